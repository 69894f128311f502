// Marks over a page: boxes in PDF points.

import { svg } from "./dom.js";

/** @typedef {import("./types.js").BBox} BBox */

const MARGIN = 2;

/**
 * @param {BBox} bbox
 * @param {import("./dom.js").Attributes} attributes
 */
export function box([x0, y0, x1, y1], attributes) {
  return svg("rect", {
    x: x0 - MARGIN,
    y: y0 - MARGIN,
    width: Math.max(0, x1 - x0) + 2 * MARGIN,
    height: Math.max(0, y1 - y0) + 2 * MARGIN,
    rx: 1.5,
    ...attributes,
  });
}

/**
 * @template {SVGElement} E
 * @param {E} element
 * @param {string} title
 * @returns {E}
 */
export function titled(element, title) {
  element.append(svg("title", {}, title));
  return element;
}

/**
 * @param {SVGElement} mark
 * @param {() => void} act
 */
export function onPick(mark, act) {
  mark.addEventListener("click", act);
  mark.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  });
}
