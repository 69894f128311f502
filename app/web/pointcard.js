// One point, with what can be done to it.

import { button, el, fill, said, still } from "./dom.js";
import { T } from "./texts.js";

const LONGEST = 20_000;

/**
 * @typedef {import("./types.js").PointState} PointState
 * @typedef {import("./points.js").PointsPanel} PointsPanel
 */

export class PointCard {
  /**
   * @param {PointState} point
   * @param {PointsPanel} panel
   */
  constructor(point, panel) {
    this.point = point;
    this.panel = panel;
    this.content = el("div");
    const isPoint = point.kind === "point";
    const classes = ["card", "point", point.dismissed && "dismissed", point.useful && "useful"].filter(Boolean);
    this.element = el(isPoint ? "li" : "div", { class: classes.join(" "), id: `card-${point.id}`, tabindex: -1 }, this.content);
    if (isPoint) {
      for (const event of ["mouseenter", "focusin"]) {
        this.element.addEventListener(event, () => panel.highlight(point.id));
      }
      this.element.addEventListener("mouseleave", () => panel.highlight(null));
    }
    this.show();
  }

  show() {
    const { point } = this;
    const text = el("p", { class: "prose", dir: "auto" }, ...marked(point.text, point.unsupported));
    if (point.evidence[0]) {
      // With the keyboard the buttons below do the same.
      text.classList.add("linked");
      text.addEventListener("click", () => this.panel.goTo(point.evidence[0]));
    }
    fill(
      this.content,
      text,
      this.notes(),
      point.kind === "point" ? this.passages() : null,
      el("div", { class: "row actions" }, ...this.actions()),
    );
  }

  notes() {
    const { point } = this;
    const notes = [];
    if (point.written === null) notes.push(el("span", { class: "badge own" }, T.points.own));
    else if (point.text !== point.written) {
      const before = el("details", {}, el("summary", {}, T.points.edited), el("p", { class: "hint" }, T.points.written), el("p", { class: "prose", dir: "auto" }, said(point.written)));
      notes.push(before);
    }
    if (point.dismissed) notes.push(el("span", { class: "badge reject" }, T.points.dismissed(T.points.reasons[point.dismissed])));
    if (point.unsupported.length) {
      notes.push(el("span", { class: "hint" }, `${T.points.unsupported}: `, ...joined(point.unsupported)));
    }
    return notes.length ? el("div", { class: "notes" }, ...notes) : null;
  }

  passages() {
    const { point } = this;
    if (!point.evidence.length) return el("p", { class: "hint" }, T.points.noPassage);
    const rows = point.evidence.map((evidence) => {
      const place = evidence.page
        ? button(T.review.onPage(evidence.page), () => this.panel.goTo(evidence), { class: "place", "aria-label": T.points.for(T.points.passage(evidence.page), point.text) })
        : button("↗", () => this.panel.goTo(evidence), { class: "place", "aria-label": T.points.for(T.points.choose, point.text) });
      return el("li", {}, place, " ", el("q", {}, said(evidence.quote)));
    });
    return el("details", { class: "passages" }, el("summary", {}, `${T.review.onPage(point.evidence[0].page || 0)} `.replace("p. 0 ", ""), said(shortened(point.evidence[0].quote))), el("ul", {}, ...rows));
  }

  actions() {
    const { point, panel } = this;
    const named = (/** @type {string} */ action, /** @type {string} */ id) => ({
      id: `${id}-${point.id}`,
      "aria-label": T.points.for(action, point.text),
    });
    const edit = button(T.points.edit, () => this.edit(), named(T.points.edit, "edit"));
    if (point.kind === "section") return [edit];
    const useful = button(
      T.points.useful,
      () => panel.change({ edit: [{ id: point.id, useful: !point.useful }] }),
      { ...named(T.points.useful, "useful"), "aria-pressed": String(point.useful) },
    );
    const dismissed = point.dismissed
      ? button(T.points.takeBack, () => panel.change({ edit: [{ id: point.id, dismissed: null }] }), named(T.points.takeBack, "dismiss"))
      : button(T.points.dismiss, () => this.askWhy(), { ...named(T.points.dismiss, "dismiss"), "aria-expanded": "false" });
    const remove =
      point.written === null
        ? button(T.points.remove, () => panel.change({ remove: [point.id] }), named(T.points.remove, "remove"))
        : null;
    return [useful, dismissed, edit, remove];
  }

  /** Ask for the reason of a dismissal. */
  askWhy() {
    const { point, panel } = this;
    const known = this.content.querySelector(".why");
    const opener = document.getElementById(`dismiss-${point.id}`);
    opener?.setAttribute("aria-expanded", String(!known));
    if (known) {
      known.remove();
      return;
    }
    const reasons = Object.entries(T.points.reasons).map(([reason, label]) =>
      button(label, () => panel.change({ edit: [{ id: point.id, dismissed: reason }] })),
    );
    const why = el("div", { class: "row why", role: "group", "aria-label": T.points.why }, el("span", { class: "hint" }, T.points.why), ...reasons);
    this.content.append(why);
    reasons[0].focus();
  }

  edit() {
    const { point, panel } = this;
    const area = el("textarea", { "aria-label": T.points.text, maxlength: LONGEST, dir: "auto", rows: Math.min(12, 2 + Math.ceil(point.text.length / 60)) });
    area.value = point.text;
    const back = () => {
      this.show();
      document.getElementById(`edit-${point.id}`)?.focus();
    };
    const save = async () => {
      if (await panel.change({ edit: [{ id: point.id, text: area.value }] })) document.getElementById(`edit-${point.id}`)?.focus();
    };
    const restore = async () => {
      await panel.change({ edit: [{ id: point.id, text: null }] });
      document.getElementById(`edit-${point.id}`)?.focus();
    };
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") back();
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void save();
    });
    fill(
      this.content,
      area,
      el(
        "div",
        { class: "row actions" },
        button(T.points.save, save, { class: "main" }),
        button(T.points.cancel, back),
        point.written !== null && point.text !== point.written ? button(T.points.restore, restore) : null,
      ),
    );
    area.focus();
  }

  reveal() {
    this.element.scrollIntoView({ behavior: still() ? "auto" : "smooth", block: "center" });
    this.element.focus({ preventScroll: true });
  }
}

/**
 * The text, with the claims that the paper does not contain marked where they stand.
 * @param {string} text
 * @param {string[]} claims
 */
function marked(text, claims) {
  const wanted = claims.filter((claim) => claim && text.includes(claim)).sort((a, b) => b.length - a.length);
  if (!wanted.length) return [said(text)];
  const parts = [];
  let at = 0;
  while (at < text.length) {
    const found = wanted
      .map((claim) => ({ claim, index: text.indexOf(claim, at) }))
      .filter(({ index }) => index >= 0)
      .sort((a, b) => a.index - b.index || b.claim.length - a.claim.length)[0];
    if (!found) break;
    parts.push(said(text.slice(at, found.index)), el("mark", { title: T.points.unsupported }, said(found.claim)));
    at = found.index + found.claim.length;
  }
  parts.push(said(text.slice(at)));
  return parts;
}

/** @param {string[]} claims */
function joined(claims) {
  return claims.flatMap((claim, index) => (index ? [", ", el("mark", {}, said(claim))] : [el("mark", {}, said(claim))]));
}

/** @param {string} quote */
function shortened(quote) {
  return quote.length > 90 ? `“${quote.slice(0, 90)}…”` : `“${quote}”`;
}
