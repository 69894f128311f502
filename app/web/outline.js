// What the paper has, and what about it is not as it seems.

import { button, el, said } from "./dom.js";
import { T } from "./texts.js";

/**
 * @typedef {import("./types.js").Finding} Finding
 * @typedef {import("./types.js").Integrity} Integrity
 * @typedef {(place: {page: number, bbox?: import("./types.js").BBox}) => unknown} GoTo
 */

/**
 * @param {import("./types.js").PaperInfo} paper
 * @param {(page: number) => unknown} goTo
 */
export function outlineView(paper, goTo) {
  const rows = paper.sections.map((section) =>
    el(
      "li",
      { class: `level-${Math.min(section.level, 4)}${section.included ? "" : " left"}` },
      el("span", { class: "heading" }, said(section.heading || section.kind.replaceAll("_", " "))),
      " ",
      el("span", { class: "hint" }, section.included ? T.review.tokens(section.tokens) : T.review.left),
      section.page ? button(T.review.onPage(section.page), () => goTo(section.page), { class: "place" }) : null,
    ),
  );
  return el("details", { class: "card outline" }, el("summary", {}, T.review.outline), el("ol", {}, ...rows));
}

/**
 * @param {import("./types.js").Review} review
 * @param {GoTo} goTo
 */
export function integrityView(review, goTo) {
  return review.integrity ? integrityOf(review.integrity, review, goTo) : null;
}

/**
 * @param {Integrity} integrity
 * @param {import("./types.js").Review | null} review null while it is being written
 * @param {GoTo} goTo
 */
export function integrityOf(integrity, review, goTo) {
  const parts = [
    ...findings(T.integrity.hidden, integrity.hidden_text, goTo),
    ...findings(T.integrity.instructions, integrity.visible_instructions, goTo),
    ...truncated(integrity),
    ...notes(integrity, review).map((note) => el("p", {}, note)),
  ];
  const alarming = integrity.hidden_text.length || integrity.visible_instructions.length;
  return el(
    "section",
    { class: `card integrity${alarming ? " alarming" : ""}`, "aria-labelledby": "unusual" },
    el("h2", { id: "unusual" }, T.review.unusual),
    ...(parts.length ? parts : [el("p", { class: "hint" }, T.review.ordinary)]),
  );
}

/**
 * @param {string} title
 * @param {Finding[]} found
 * @param {GoTo} goTo
 */
function findings(title, found, goTo) {
  if (!found.length) return [];
  const rows = found.map((one) =>
    el(
      "li",
      {},
      said(one.text, { class: "found" }),
      " ",
      el("span", { class: "hint" }, T.integrity.kinds[one.kind] ?? one.kind),
      one.page ? button(T.review.onPage(one.page), () => goTo(one), { class: "place" }) : null,
    ),
  );
  return [el("p", {}, title), el("ul", {}, ...rows)];
}

/** @param {Integrity} integrity */
function truncated(integrity) {
  if (!integrity.truncated.length) return [];
  const rows = integrity.truncated.map((part) =>
    el("li", {}, said(part.heading), ": ", T.integrity.kept(part.kept_tokens, part.tokens)),
  );
  return [el("p", {}, T.integrity.truncated), el("ul", {}, ...rows)];
}

/**
 * @param {Integrity & {blinded_characters?: number}} of
 * @param {import("./types.js").Review | null} review
 */
function notes(of, review) {
  const words = (/** @type {string[]} */ names) => names.map((name) => name.replaceAll("_", " ")).join(", ");
  const hidden = of.verdict_with_hidden_text;
  const probability = hidden?.probability ?? null;
  return [
    of.blinded.length && T.integrity.blinded(words(of.blinded), of.blinded_characters ?? 0),
    of.repaired && T.integrity.repaired,
    of.ocr_pages.length && T.integrity.ocr(of.ocr_pages.join(", ")),
    of.unread.length && T.integrity.unread(of.unread.join(", ")),
    of.cut_sections.length && T.integrity.cut(words(of.cut_sections)),
    of.repeated_points && T.integrity.repeated(of.repeated_points),
    review?.constrained === false && T.integrity.free,
    hidden &&
      T.integrity.withHidden(
        T.decisions[hidden.decision ?? "none"],
        probability === null ? "" : ` (${probability.toFixed(2)})`,
      ),
  ].filter((note) => typeof note === "string");
}
