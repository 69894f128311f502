// Opens a review's paper: as images of its pages, or as text where it has none.

import { ApiError, json } from "./api.js";
import { blocksOf } from "./blocks.js";
import { el } from "./dom.js";
import { PagesPane } from "./pages.js";
import { TextPane } from "./textpane.js";
import { T } from "./texts.js";

/**
 * @typedef {import("./types.js").PointState} PointState
 * @typedef {import("./types.js").Finding} Finding
 * @typedef {{page: number, bbox?: import("./types.js").BBox, quote?: string}} Place
 * @typedef {{page: number, bbox: import("./types.js").BBox, quote: string}} Passage
 *
 * @typedef {object} Pane
 * @property {boolean} isThere whether the paper can be shown
 * @property {HTMLElement} element
 * @property {(hidden: Finding[], instructions: Finding[]) => void} markFindings
 * @property {(points: PointState[], picked: (id: string) => void) => void} markPoints
 * @property {(id: string | null) => void} highlight
 * @property {(place: Place) => void} goTo
 * @property {() => Promise<Passage | null>} choose
 */

/**
 * @param {string} id the review's
 * @param {AbortSignal} signal
 * @param {() => void} shown called when the pane is to be seen, on narrow screens
 * @returns {Promise<Pane>}
 */
export async function openPaper(id, signal, shown) {
  const path = `v1/reviews/${id}/paper`;
  /** @type {Promise<import("./blocks.js").Block[]> | undefined} */
  let reading;
  const blocks = () => {
    reading ??= json(`${path}/text`, { signal }).then(blocksOf);
    return reading;
  };
  try {
    const { pages } = await json(`${path}/pages`, { signal });
    return new PagesPane(path, pages, blocks, signal, shown);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code !== "not_a_pdf") return new NoPane(error);
  }
  try {
    return new TextPane(await blocks(), shown);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return new NoPane(error);
  }
}

/** Stands for a paper that can't be shown. */
class NoPane {
  /** @param {ApiError} error */
  constructor(error) {
    this.isThere = false;
    const why = error.code === "paper_not_stored" ? T.pages.notStored : error.message;
    this.element = el("p", { class: "hint absent" }, why);
  }

  markFindings() {}

  markPoints() {}

  highlight() {}

  goTo() {}

  /** @returns {Promise<null>} */
  async choose() {
    return null;
  }
}
