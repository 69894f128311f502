// The first view: a place to drop papers, the reviews so far, and their numbers.

import { el, fill } from "./dom.js";
import { ReviewList } from "./list.js";
import { StatsView } from "./stats.js";
import { submitForm } from "./submit.js";

/**
 * @param {HTMLElement} main
 * @param {import("./types.js").ServiceInfo} service
 * @param {AbortSignal} signal aborted when the view is left
 */
export async function showHome(main, service, signal) {
  const stats = new StatsView();
  const list = new ReviewList((filters) => void stats.show(filters), signal);
  const form = submitForm(service, () => void list.refresh(), signal);
  fill(main, el("div", { class: "home" }, form, list.element, stats.element));
  await list.refresh();
}
