// A paper without pages: its text, with the passages of points marked.

import { button, el, fill, said, still } from "./dom.js";
import { T } from "./texts.js";

/**
 * @typedef {import("./types.js").PointState} PointState
 * @typedef {import("./paper.js").Pane} Pane
 */

/** @implements {Pane} */
export class TextPane {
  /**
   * @param {import("./blocks.js").Block[]} blocks
   * @param {() => void} shown
   */
  constructor(blocks, shown) {
    this.isThere = true;
    this.shown = shown;
    this.rows = blocks.map((block) => {
      const heading = block.kind === "title" || block.kind === "heading";
      const text = el(heading ? "h2" : "p", { class: "block-text" }, said(block.text));
      return { block, text, tools: el("span", { class: "tools" }), element: el("div", { class: "text-block", tabindex: -1 }, text) };
    });
    for (const row of this.rows) row.element.append(row.tools);
    this.element = el(
      "div",
      { class: "sheet text" },
      el("p", { class: "hint" }, T.pages.noPages),
      ...this.rows.map((row) => row.element),
    );
  }

  markFindings() {}

  /**
   * @param {PointState[]} points
   * @param {(id: string) => void} picked
   */
  markPoints(points, picked) {
    for (const row of this.rows) {
      const about = points.filter(
        (point) => !point.dismissed && point.evidence.some(({ quote }) => contains(row.block.text, quote)),
      );
      row.element.dataset.points = about.map((point) => point.id).join(" ");
      fill(
        row.tools,
        ...about.map((point) => button("●", () => picked(point.id), { class: "place", "aria-label": T.pages.about(point.text.slice(0, 160)) })),
      );
    }
  }

  /** @param {string | null} id */
  highlight(id) {
    for (const { element } of this.rows) {
      element.classList.toggle("active", id !== null && (element.dataset.points ?? "").split(" ").includes(id));
    }
  }

  /** @param {import("./paper.js").Place} place */
  goTo({ quote }) {
    const row = quote && this.rows.find(({ block }) => contains(block.text, quote));
    if (!row) return;
    this.shown();
    row.element.scrollIntoView({ behavior: still() ? "auto" : "smooth", block: "center" });
    row.element.focus({ preventScroll: true });
  }

  /**
   * Let the person choose a block.
   * @returns {Promise<import("./paper.js").Passage | null>}
   */
  choose() {
    this.shown();
    return new Promise((resolve) => {
      const stop = new AbortController();
      /** @type {Element[]} */
      const added = [];
      const end = (/** @type {string | null} */ quote) => {
        stop.abort();
        for (const one of added) one.remove();
        resolve(quote === null ? null : { page: 0, bbox: [0, 0, 0, 0], quote: quote.slice(0, 2000) });
      };
      for (const { block, element } of this.rows) {
        const pick = button(T.points.choose, () => end(block.text), { "aria-label": T.pages.pick(block.number, block.text) });
        element.append(pick);
        added.push(pick);
      }
      addEventListener("keydown", (event) => event.key === "Escape" && end(null), { signal: stop.signal });
      /** @type {HTMLElement | undefined} */ (added[0])?.focus();
    });
  }
}

/**
 * @param {string} text
 * @param {string} quote
 */
function contains(text, quote) {
  return quote !== "" && text.includes(quote);
}
