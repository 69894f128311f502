// Shows the view that the address names: `#/` the papers, `#/reviews/ID` one review.

import { json } from "./api.js";
import { byId, complain, el, fill } from "./dom.js";
import { showHome } from "./home.js";
import { showKeyButton } from "./key.js";
import { T } from "./texts.js";

const REVIEW = /^#\/reviews\/(rev_[0-9a-f]{1,64})$/;

/** @type {AbortController} aborted when its view is left */
let leaving = new AbortController();

/** @param {import("./types.js").ServiceInfo} service */
async function show(service) {
  leaving.abort();
  leaving = new AbortController();
  const main = byId("main");
  const found = REVIEW.exec(location.hash);
  document.body.classList.toggle("reviewing", Boolean(found));
  fill(main, el("p", { class: "loading" }, T.loading));
  try {
    if (found) {
      // Loaded when it is needed: the list of papers is seen earlier.
      const { showReview } = await import("./review.js");
      await showReview(main, found[1], service, leaving.signal);
    } else {
      document.title = T.title;
      await showHome(main, service, leaving.signal);
    }
  } catch (error) {
    if (leaving.signal.aborted && !(error instanceof Error && "code" in error)) return;
    complain(error);
    fill(main, el("p", { class: "error" }, error instanceof Error ? error.message : T.failed));
  }
}

/** @param {import("./types.js").ServiceInfo} service */
function showService(service) {
  byId("served").textContent = service.model ? T.servedBy(service.model) : T.modelLoading;
  const trial = byId("trial");
  trial.textContent = service.notice ?? "";
  trial.hidden = !service.notice;
}

async function start() {
  showKeyButton();
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
  const service = await json("v1/service");
  showService(service);
  addEventListener("hashchange", async () => {
    await show(service);
    byId("main").focus();
  });
  await show(service);
}

start().catch((error) => {
  complain(error);
  fill(byId("main"), el("p", { class: "error" }, String(error.message ?? error)));
});
