// Sends papers to the service. All reviews are made in the background, so that closing the tab
// loses none.

import { ApiError, json, pause, unreadiness } from "./api.js";
import { announce, el, fill, said } from "./dom.js";
import { T } from "./texts.js";

const AT_ONCE = 2;
const RETRY_S = 3;
const TYPES = ".pdf,.tex,.ltx,.latex,.md,.markdown,.txt,.gz,.tgz,.tar,.zip,application/pdf";

/**
 * @typedef {{name: string, send: (key: string) => Promise<any>}} Paper
 */

/**
 * @param {import("./types.js").ServiceInfo} service
 * @param {() => void} accepted called when a paper was accepted
 * @param {AbortSignal} signal
 */
export function submitForm(service, accepted, signal) {
  if (!service.keeps_reviews) {
    return el("section", { class: "card" }, el("h1", {}, T.submit.title), el("p", {}, T.submit.notKept));
  }
  const options = new Options(service);
  const sent = el("ul", { class: "sent", "aria-label": T.submit.sent });
  /** @param {Paper[]} papers */
  const submit = (papers) => void sendAll(papers, sent, accepted, signal);
  const files = el("input", { type: "file", id: "files", class: "visually-hidden", multiple: true, accept: TYPES });
  files.addEventListener("change", () => {
    submit([...(files.files ?? [])].map((file) => fromFile(file, options.values())));
    files.value = "";
  });
  const zone = el(
    "div",
    { class: "drop" },
    el("p", {}, `${T.submit.drop} `),
    files,
    el("label", { class: "main", for: "files" }, T.submit.choose),
    el("p", { class: "hint" }, `${T.submit.formats} ${T.submit.limit(service.max_upload_mb)}`),
  );
  takeDrops(zone, (dropped) => submit(dropped.map((file) => fromFile(file, options.values()))), signal);
  return el(
    "section",
    { class: "card", "aria-labelledby": "submit-title" },
    el("h1", { id: "submit-title" }, T.submit.title),
    zone,
    service.fetch_hosts.length ? linkForm(service, options, submit) : null,
    options.element,
    sent,
  );
}

/** What a review is asked for, beside its paper. */
class Options {
  /** @param {import("./types.js").ServiceInfo} service */
  constructor(service) {
    const names = service.templates.map((template) => template.name);
    this.template = el(
      "select",
      { id: "template" },
      ...names.map((name) => el("option", { value: name, selected: name === "default" }, name)),
    );
    this.samples = el("input", { id: "samples", type: "number", min: 1, max: 16, value: 1 });
    this.blind = el("input", { id: "blind", type: "checkbox", checked: true });
    this.injection = el("input", { id: "injection", type: "checkbox" });
    this.again = el("input", { id: "again", type: "checkbox" });
    this.element = el(
      "details",
      {},
      el("summary", {}, T.submit.options),
      el(
        "div",
        { class: "options" },
        el("label", { for: "template" }, T.submit.template),
        this.template,
        el("label", { for: "samples" }, T.submit.samples),
        this.samples,
        el("label", { class: "check" }, this.blind, T.submit.blind),
        el("label", { class: "check" }, this.injection, T.submit.injection),
        el("label", { class: "check" }, this.again, T.submit.again),
      ),
    );
  }

  values() {
    return {
      background: true,
      template: this.template.value,
      samples: Number(this.samples.value) || 1,
      blind: this.blind.checked,
      check_injection: this.injection.checked,
      reuse: !this.again.checked,
    };
  }
}

/**
 * @param {import("./types.js").ServiceInfo} service
 * @param {Options} options
 * @param {(papers: Paper[]) => void} submit
 */
function linkForm(service, options, submit) {
  const link = el("input", {
    id: "link",
    type: "text",
    inputmode: "url",
    placeholder: "2401.01234",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    maxlength: 2000,
    "aria-describedby": "link-help",
  });
  const form = el(
    "form",
    { class: "link" },
    el("label", { for: "link" }, T.submit.link),
    el("div", { class: "row" }, link, el("button", {}, T.submit.fetch)),
    el("p", { class: "hint", id: "link-help" }, T.submit.linkHelp(service.fetch_hosts)),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit([fromLink(link.value.trim(), options.values())]);
    link.value = "";
  });
  return form;
}

/**
 * @param {HTMLElement} zone
 * @param {(files: File[]) => void} take
 * @param {AbortSignal} signal
 */
function takeDrops(zone, take, signal) {
  // A paper that misses the zone would otherwise replace the page, opened by the browser itself.
  for (const kind of ["dragover", "drop"]) {
    addEventListener(kind, (event) => event.preventDefault(), { signal });
  }
  /** @param {boolean} on */
  const mark = (on) => zone.classList.toggle("over", on);
  zone.addEventListener("dragover", () => mark(true));
  zone.addEventListener("dragleave", () => mark(false));
  zone.addEventListener("drop", (event) => {
    mark(false);
    take([...(event.dataTransfer?.files ?? [])]);
  });
}

/**
 * @param {File} file
 * @param {ReturnType<Options["values"]>} options
 * @returns {Paper}
 */
function fromFile(file, options) {
  const form = new FormData();
  for (const [name, value] of Object.entries(options)) form.append(name, String(value));
  form.append("file", file, file.name);
  const send = (/** @type {string} */ key) =>
    json("v1/reviews", { method: "POST", body: form, headers: { "Idempotency-Key": key } });
  return { name: file.name, send };
}

/**
 * @param {string} url
 * @param {ReturnType<Options["values"]>} options
 * @returns {Paper}
 */
function fromLink(url, options) {
  const headers = (/** @type {string} */ key) => ({
    "Idempotency-Key": key,
    "Content-Type": "application/json",
  });
  const body = JSON.stringify({ url, ...options });
  return {
    name: url,
    send: (key) => json("v1/reviews", { method: "POST", body, headers: headers(key) }),
  };
}

/**
 * @param {Paper[]} papers
 * @param {HTMLElement} list
 * @param {() => void} accepted
 * @param {AbortSignal} signal
 */
async function sendAll(papers, list, accepted, signal) {
  const rows = papers.map((paper) => ({ paper, state: el("span", { class: "state" }, T.submit.sending) }));
  for (const { paper, state } of rows) {
    list.append(el("li", {}, said(paper.name, { class: "name" }), " ", state));
  }
  const waiting = [...rows];
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const review = await sendOne(next.paper, next.state, signal);
      if (!review) continue;
      accepted();
      // One paper alone is what the person waits for.
      if (papers.length === 1 && !signal.aborted) location.hash = `#/reviews/${review.id}`;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/**
 * Send a paper; while the service can't take it, try again.
 * @param {Paper} paper
 * @param {HTMLElement} state
 * @param {AbortSignal} signal
 */
async function sendOne(paper, state, signal) {
  const key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  /** @param {string} text */
  const tell = (text) => {
    if (state.textContent === text) return;
    state.textContent = text;
    announce(T.submit.announced(paper.name, text));
  };
  while (!signal.aborted) {
    try {
      const review = await paper.send(key);
      fill(state, el("a", { href: `#/reviews/${review.id}` }, review.reused ? T.submit.reused : T.submit.accepted));
      announce(T.submit.announced(paper.name, T.submit.accepted));
      return review;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!isPassing(error)) {
        state.classList.add("error");
        tell(error.message);
        return null;
      }
      const why = error.code === "engine_unavailable" ? (await unreadiness()) || error.message : error.message;
      tell(T.submit.waiting(why));
      await pause(Math.min(error.retryAfter || RETRY_S, 2 * RETRY_S));
    }
  }
  return null;
}

/** @param {ApiError} error */
function isPassing(error) {
  return error.status === 0 || error.status === 429 || error.status === 503;
}
