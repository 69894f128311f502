// Numbers of the reviews: verdicts by probability, and what became of the points.

import { json } from "./api.js";
import { complain, el, fill, said, svg } from "./dom.js";
import { T } from "./texts.js";

const WIDTH = 300;
const HEIGHT = 90;

export class StatsView {
  constructor() {
    this.content = el("div");
    this.element = el(
      "section",
      { class: "card", "aria-labelledby": "stats-title" },
      el("h2", { id: "stats-title" }, T.stats.title),
      this.content,
    );
  }

  /** @param {URLSearchParams} filters */
  async show(filters) {
    try {
      const stats = await json(`v1/reviews/stats?${filters}`);
      fill(this.content, el("div", { class: "stats" }, histogram(stats.probabilities), pointsTable(stats)));
    } catch (error) {
      complain(error);
    }
  }
}

/** @param {number[]} counts */
function histogram(counts) {
  const most = Math.max(1, ...counts);
  const wide = WIDTH / counts.length;
  const label = (/** @type {number} */ index) => T.stats.bin(index / counts.length, (index + 1) / counts.length, counts[index]);
  const bars = counts.map((count, index) => {
    const high = (count / most) * (HEIGHT - 28);
    return svg(
      "g",
      {},
      svg("title", {}, label(index)),
      svg("rect", { class: "bar", x: index * wide + 1, y: HEIGHT - 14 - high, width: wide - 2, height: high }),
      count ? svg("text", { x: (index + 0.5) * wide, y: HEIGHT - 18 - high, "text-anchor": "middle" }, count) : null,
    );
  });
  const ends = ["0", "0.5", "1"].map((text, index) =>
    svg("text", { x: (index * WIDTH) / 2, y: HEIGHT - 2, "text-anchor": ["start", "middle", "end"][index] }, text),
  );
  const axis = svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT - 14, y2: HEIGHT - 14 });
  return el(
    "figure",
    { class: "histogram" },
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": counts.map((_, index) => label(index)).join("; ") },
      ...bars,
      axis,
      ...ends,
    ),
    el("figcaption", {}, T.stats.histogram),
  );
}

/** @param {import("./types.js").Stats} stats */
function pointsTable(stats) {
  if (!stats.points.length) return el("p", { class: "hint" }, T.stats.noPoints);
  const of = T.stats;
  const head = [of.model, of.reviews, of.of, of.kept, of.wrong, of.trivial, of.not_in_paper, of.useful, of.edited, of.added];
  const rows = stats.points.map((one) => {
    const share = one.share_kept === null ? "" : ` (${of.share(one.share_kept)})`;
    const numbers = [one.reviews, one.points, `${one.kept}${share}`];
    const reasons = [one.dismissed.wrong, one.dismissed.trivial, one.dismissed.not_in_paper];
    const cells = [...numbers, ...reasons, one.useful, one.edited, one.added];
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, said(one.model)),
      ...cells.map((cell, index) => el("td", { "data-label": head[index + 1] }, cell)),
    );
  });
  return el(
    "table",
    { class: "numbers" },
    el("caption", {}, of.points),
    el("thead", {}, el("tr", {}, ...head.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows),
  );
}
