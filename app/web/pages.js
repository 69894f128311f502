// A paper's pages as images, with marks over them.

import { request } from "./api.js";
import { textWithin } from "./blocks.js";
import { Chooser } from "./choosing.js";
import { button, complain, el, fill, still, svg } from "./dom.js";
import { box, onPick, titled } from "./marks.js";
import { T } from "./texts.js";

/**
 * @typedef {import("./types.js").BBox} BBox
 * @typedef {import("./types.js").PageInfo} PageInfo
 * @typedef {import("./blocks.js").Block} Block
 * @typedef {import("./paper.js").Pane} Pane
 */

/** Scales at which pages are asked for: few of them, so that the service has most in its cache. */
const SCALES = [1, 1.5, 2, 3];

/** @implements {Pane} */
export class PagesPane {
  /**
   * @param {string} path of the paper
   * @param {PageInfo[]} pages
   * @param {() => Promise<Block[]>} blocks
   * @param {AbortSignal} signal
   * @param {() => void} shown
   */
  constructor(path, pages, blocks, signal, shown) {
    this.isThere = true;
    this.blocks = blocks;
    this.shown = shown;
    this.views = pages.map((page) => new PageView(path, page, pages.length, signal));
    const toggle = el("input", { type: "checkbox", id: "blocks" });
    toggle.addEventListener("change", () => void this.showBlocks(toggle.checked));
    const figures = el("div", { class: "pages" }, ...this.views.map((view) => view.figure));
    this.hint = el("p", { class: "choosing", role: "status" });
    this.element = el(
      "div",
      { class: "sheet" },
      el("p", { class: "tools" }, el("label", { class: "check" }, toggle, T.pages.blocks)),
      this.hint,
      figures,
    );
    const seen = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          if (entry.isIntersecting) void this.views.find((view) => view.figure === entry.target)?.load();
        }
      },
      { rootMargin: "600px 0px" },
    );
    for (const view of this.views) seen.observe(view.figure);
    signal.addEventListener("abort", () => {
      seen.disconnect();
      for (const view of this.views) view.forget();
    });
  }

  /**
   * @param {import("./types.js").Finding[]} hidden
   * @param {import("./types.js").Finding[]} instructions
   */
  markFindings(hidden, instructions) {
    for (const view of this.views) {
      const marks = [
        ...hidden.map((found) => ({ found, label: T.pages.hidden(found.text), kind: "hidden" })),
        ...instructions.map((found) => ({ found, label: T.pages.instruction(found.text), kind: "instruction" })),
      ].filter(({ found }) => found.page === view.number);
      fill(view.findings, ...marks.map(({ found, label, kind }) => titled(box(found.bbox, { class: kind }), label)));
    }
  }

  /**
   * @param {import("./types.js").PointState[]} points
   * @param {(id: string) => void} picked
   */
  markPoints(points, picked) {
    for (const view of this.views) {
      const marks = [];
      for (const point of points.filter((one) => !one.dismissed)) {
        for (const { bbox } of point.evidence.filter((one) => one.page === view.number)) {
          const label = T.pages.about(point.text.slice(0, 160));
          const mark = titled(box(bbox, { class: "evidence", tabindex: 0, role: "button", "aria-label": label }), label);
          mark.dataset.point = point.id;
          onPick(mark, () => picked(point.id));
          marks.push(mark);
        }
      }
      fill(view.passages, ...marks);
    }
  }

  /** @param {string | null} id */
  highlight(id) {
    for (const view of this.views) {
      for (const mark of /** @type {NodeListOf<SVGElement>} */ (view.passages.querySelectorAll("[data-point]"))) {
        mark.classList.toggle("active", mark.dataset.point === id);
      }
    }
  }

  /** @param {import("./paper.js").Place} place */
  goTo({ page, bbox }) {
    const view = this.views[page - 1];
    if (!view) return;
    this.shown();
    view.goTo(bbox);
  }

  /** @param {boolean} on */
  async showBlocks(on) {
    try {
      const blocks = on ? await this.blocks() : [];
      for (const view of this.views) view.showBlocks(blocks);
    } catch (error) {
      complain(error);
    }
  }

  /** Let the person choose a passage: a box that they draw, or a block. */
  async choose() {
    this.shown();
    this.hint.textContent = T.points.choosing;
    try {
      const blocks = await this.blocks();
      const chosen = await new Chooser(this.views, blocks, () => this.shown()).chosen;
      if (!chosen) return null;
      return { ...chosen, quote: (chosen.quote || textWithin(blocks, chosen.page, chosen.bbox)).slice(0, 2000) };
    } finally {
      this.hint.textContent = "";
    }
  }
}

export class PageView {
  /**
   * @param {string} path
   * @param {PageInfo} page
   * @param {number} all the number of pages
   * @param {AbortSignal} signal
   */
  constructor(path, page, all, signal) {
    this.number = page.number;
    this.page = page;
    this.path = path;
    this.signal = signal;
    this.image = el("img", { alt: T.pages.alt(page.number, all), width: Math.round(page.width), height: Math.round(page.height) });
    this.blocks = svg("g");
    this.findings = svg("g");
    this.passages = svg("g");
    this.overlay = svg(
      "svg",
      { class: "overlay", viewBox: `0 0 ${page.width} ${page.height}` },
      this.blocks,
      this.findings,
      this.passages,
    );
    this.figure = el("figure", { class: "page" }, this.image, this.overlay);
    this.figure.style.aspectRatio = `${page.width} / ${page.height}`;
    this.source = "";
    this.loading = false;
  }

  /** Get the image, once. */
  async load() {
    if (this.source || this.loading) return;
    this.loading = true;
    try {
      const response = await request(`${this.path}/pages/${this.number}?scale=${this.scale()}`, { signal: this.signal });
      this.source = URL.createObjectURL(await response.blob());
      this.image.src = this.source;
    } catch (error) {
      if (this.signal.aborted) return;
      this.figure.append(
        el("p", { class: "error" }, T.pages.failed(error instanceof Error ? error.message : ""), " ", button("↻", () => this.again())),
      );
    } finally {
      this.loading = false;
    }
  }

  again() {
    this.figure.querySelector(".error")?.remove();
    return this.load();
  }

  /** The first scale that is sharp enough for the width on the screen. */
  scale() {
    const wanted = ((this.figure.clientWidth || this.page.width) * devicePixelRatio) / this.page.width;
    const fitting = SCALES.filter((scale) => scale <= this.page.largest_scale);
    return fitting.find((scale) => scale >= wanted * 0.9) ?? fitting.at(-1) ?? this.page.largest_scale;
  }

  forget() {
    if (this.source) URL.revokeObjectURL(this.source);
  }

  /** @param {BBox} [bbox] */
  goTo(bbox) {
    const behavior = still() ? "auto" : "smooth";
    if (!bbox) {
      this.figure.scrollIntoView({ behavior, block: "start" });
      return;
    }
    const mark = box(bbox, { class: "arrived" });
    this.overlay.append(mark);
    mark.scrollIntoView({ behavior, block: "center" });
    setTimeout(() => mark.remove(), 2500);
  }

  /** @param {Block[]} blocks */
  showBlocks(blocks) {
    const marks = [];
    for (const block of blocks) {
      for (const part of block.parts.filter(({ page }) => page === this.number)) {
        const [x0, y0] = part.bbox;
        const label = svg("text", { x: x0, y: y0 - 2, class: "block-number" }, `${block.number} ${block.kind}`);
        marks.push(titled(box(part.bbox, { class: `block ${block.kind}` }), T.pages.block(block.number, block.kind)), label);
      }
    }
    fill(this.blocks, ...marks);
  }
}
