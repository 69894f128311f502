// Builds the page's elements. Text becomes text nodes only, never HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, unknown>} Attributes `on` has listeners by event; the others are attributes.
 */

/**
 * @template {Element} E
 * @param {E} element
 * @param {Attributes} attributes
 * @param {Child[]} children
 * @returns {E}
 */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(/** @type {Record<string, EventListener>} */ (value))) {
        element.addEventListener(event, listener);
      }
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  put(element, children);
  return element;
}

/**
 * An HTML element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * An SVG element.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * Append children; null and false stand for none.
 * @param {Element} element
 * @param {Child[]} children
 */
export function put(element, children) {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(typeof child === "number" ? String(child) : child);
    }
  }
}

/**
 * Replace an element's content.
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  put(element, children);
}

/**
 * @param {string} label
 * @param {() => unknown} act
 * @param {Attributes} [attributes]
 */
export function button(label, act, attributes = {}) {
  return el("button", { type: "button", ...attributes, on: { click: () => act() } }, label);
}

/**
 * A text from a paper, a model or a person. Its direction is its own and can't turn what is around it.
 * @param {string} text
 * @param {Attributes} [attributes]
 */
export function said(text, attributes = {}) {
  return el("bdi", attributes, text);
}

/** @param {string} id */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return found;
}

/**
 * Tell a screen reader.
 * @param {string} text
 */
export function announce(text) {
  byId("status").textContent = text;
}

/** @type {number | undefined} */
let hiding;

/**
 * Show an error for a while; a screen reader reads it at once.
 * @param {unknown} error
 */
export function complain(error) {
  const toast = byId("toast");
  toast.textContent = error instanceof Error ? error.message : String(error);
  toast.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => {
    toast.hidden = true;
  }, 12_000);
}

/** Whether the person wants no motion. */
export function still() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
