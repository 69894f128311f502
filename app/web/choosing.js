// Chooses a passage on the pages: a box drawn with the pointer, or a block, also with the keyboard.

import { svg } from "./dom.js";
import { box, onPick } from "./marks.js";
import { T } from "./texts.js";

/**
 * @typedef {import("./types.js").BBox} BBox
 * @typedef {import("./pages.js").PageView} PageView
 * @typedef {{page: number, bbox: BBox, quote: string}} Chosen
 */

/** Points that the pointer moves before it draws a box. */
const SMALLEST = 4;

export class Chooser {
  /**
   * @param {PageView[]} views
   * @param {import("./blocks.js").Block[]} blocks
   * @param {() => void} shown
   */
  constructor(views, blocks, shown) {
    this.stop = new AbortController();
    /** @type {Element[]} */
    this.added = [];
    /** @type {Promise<Chosen | null>} null if the person ended it */
    this.chosen = new Promise((resolve) => {
      this.resolve = resolve;
    });
    for (const view of views) this.offer(view, blocks);
    addEventListener("keydown", (event) => event.key === "Escape" && this.end(null), { signal: this.stop.signal });
    shown();
    /** @type {SVGElement | undefined} */ (this.added.find((mark) => mark.hasAttribute("tabindex")))?.focus({ preventScroll: true });
  }

  /**
   * @param {PageView} view
   * @param {import("./blocks.js").Block[]} blocks
   */
  offer(view, blocks) {
    const layer = svg("g");
    view.overlay.append(layer);
    this.added.push(layer);
    view.overlay.classList.add("drawing");
    for (const block of blocks) {
      for (const part of block.parts.filter(({ page }) => page === view.number)) {
        const label = T.pages.pick(block.number, block.text);
        const mark = box(part.bbox, { class: "pick", tabindex: 0, role: "button", "aria-label": label });
        onPick(mark, () => this.end({ page: view.number, bbox: part.bbox, quote: block.text }));
        layer.append(mark);
        this.added.push(mark);
      }
    }
    this.drawOn(view, layer);
  }

  /**
   * @param {PageView} view
   * @param {SVGElement} layer
   */
  drawOn(view, layer) {
    const { signal } = this.stop;
    const at = (/** @type {PointerEvent} */ event) => {
      const { left, top, width, height } = view.overlay.getBoundingClientRect();
      return [((event.clientX - left) / width) * view.page.width, ((event.clientY - top) / height) * view.page.height];
    };
    /** @type {number[] | null} */
    let from = null;
    /** @type {BBox | null} */
    let drawn = null;
    /** @type {Element | null} */
    let shown = null;
    view.overlay.addEventListener("pointerdown", (event) => {
      from = at(event);
      drawn = null;
    }, { signal });
    view.overlay.addEventListener("pointermove", (event) => {
      if (!from || !(event.buttons & 1)) return;
      const [x, y] = at(event);
      if (Math.abs(x - from[0]) < SMALLEST && Math.abs(y - from[1]) < SMALLEST) return;
      drawn = [Math.min(x, from[0]), Math.min(y, from[1]), Math.max(x, from[0]), Math.max(y, from[1])];
      shown?.remove();
      shown = box(drawn, { class: "drawn" });
      layer.append(shown);
    }, { signal });
    view.overlay.addEventListener("click", (event) => {
      from = null;
      if (!drawn) return;
      event.stopImmediatePropagation();
      this.end({ page: view.number, bbox: drawn, quote: "" });
    }, { signal, capture: true });
  }

  /** @param {Chosen | null} chosen */
  end(chosen) {
    this.stop.abort();
    for (const element of this.added) {
      element.closest(".overlay")?.classList.remove("drawing");
      element.remove();
    }
    this.resolve?.(chosen);
  }
}
