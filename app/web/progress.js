// Follows a review while it waits, is read for and is written.

import { ApiError, events, json, pause, request, unreadiness } from "./api.js";
import { announce, button, complain, el, fill, said } from "./dom.js";
import { integrityOf, outlineView } from "./outline.js";
import { T } from "./texts.js";

const LOOK_S = 3;
const FIRST_OF_ATTEMPT = "review.created";

/** @typedef {import("./types.js").Review} Review */

export class Progress {
  /**
   * @param {string} id
   * @param {import("./types.js").ServiceInfo} service
   * @param {AbortSignal} signal
   * @param {() => void} read called when the paper was read
   */
  constructor(id, service, signal, read) {
    this.path = `v1/reviews/${id}`;
    this.service = service;
    this.signal = signal;
    this.read = read;
    this.began = Date.now();
    this.last = -1;
    this.started = false;
    this.step = el("span", {});
    this.clock = el("span", { class: "clock", "aria-hidden": "true" });
    this.found = el("div");
    this.written = el("div", { class: "written" });
    /** @type {Map<string, {text: HTMLElement, words: number}>} */
    this.sections = new Map();
    this.element = el(
      "div",
      { class: "progress" },
      el(
        "div",
        { class: "card step" },
        el("p", {}, el("span", { class: "spinner", "aria-hidden": "true" }), this.step, " ", this.clock),
        el("p", { class: "hint" }, T.progress.background),
        button(T.progress.cancel, () => this.cancel(), { class: "quiet" }),
      ),
      this.found,
      this.written,
    );
  }

  /**
   * @returns {Promise<Review | null>} the review once it has ended; null if the view was left
   */
  async follow() {
    const ticking = setInterval(() => this.tick(), 1000);
    const stopped = () => clearInterval(ticking);
    this.signal.addEventListener("abort", stopped);
    void this.watchTheQueue();
    try {
      while (!this.signal.aborted) {
        try {
          await events(`${this.path}?stream=true&starting_after=${this.last}`, (event) => this.take(event), this.signal);
          const review = await json(this.path, { signal: this.signal });
          if (!["queued", "in_progress"].includes(review.status)) return review;
        } catch (error) {
          if (this.signal.aborted) return null;
          if (error instanceof ApiError && error.status >= 400 && error.status < 429) throw error;
          this.tell(T.progress.lost);
        }
        await pause(LOOK_S);
      }
      return null;
    } finally {
      stopped();
    }
  }

  /** While it is queued, say what it waits for. */
  async watchTheQueue() {
    while (!this.signal.aborted && !this.started) {
      try {
        const review = await json(this.path, { signal: this.signal });
        if (this.started) return;
        if (review.status === "queued") {
          const why = await unreadiness();
          this.tell(why ? T.progress.unready(why) : T.progress.queued(review.ahead ?? 0));
        } else if (review.status === "in_progress") {
          this.tell(T.progress.reading);
          return;
        } else {
          return;
        }
      } catch {
        // What follows the events says that the connection is lost.
      }
      await pause(LOOK_S);
    }
  }

  /** @param {any} event */
  take(event) {
    this.last = event.sequence_number;
    switch (event.type) {
      case FIRST_OF_ATTEMPT:
        if (this.started) announce(T.progress.again);
        this.started = true;
        this.sections.clear();
        fill(this.written);
        this.tell(T.progress.reading);
        break;
      case "review.extracted":
        this.showPaper(event.paper, event.integrity);
        break;
      case "review.delta":
        this.write(event.sample, event.section, event.text);
        break;
      case "review.section.completed":
        this.complete(event.sample, event.section, event.value);
        break;
      case "review.verdict":
        this.tell(T.progress.verdict);
        break;
      case "review.completed":
        announce(T.progress.completed);
        break;
    }
  }

  /**
   * @param {import("./types.js").PaperInfo} paper
   * @param {import("./types.js").Integrity} integrity
   */
  showPaper(paper, integrity) {
    this.read();
    fill(this.found, integrityOf(integrity, null, () => undefined), outlineView(paper, () => undefined));
    const tokens = paper.sections.reduce((sum, part) => sum + (part.included ? part.tokens : 0), 0);
    this.tell(T.progress.prompted(tokens));
  }

  /**
   * @param {number} sample
   * @param {string} field
   * @param {string} text
   */
  write(sample, field, text) {
    const section = this.section(sample, field);
    section.text.append(text);
    section.words += text.split(/\s+/).filter(Boolean).length;
    this.step.textContent = T.progress.writing(this.heading(field), section.words);
  }

  /**
   * @param {number} sample
   * @param {string} field
   * @param {string | string[]} value
   */
  complete(sample, field, value) {
    const { text } = this.section(sample, field);
    if (typeof value === "string") fill(text, said(value));
    else fill(text, el("ul", {}, ...value.map((point) => el("li", {}, said(point)))));
  }

  /**
   * @param {number} sample
   * @param {string} field
   */
  section(sample, field) {
    const key = `${sample} ${field}`;
    const known = this.sections.get(key);
    if (known) return known;
    const made = { text: el("div", { class: "prose draft", dir: "auto" }), words: 0 };
    this.sections.set(key, made);
    const heading = this.heading(field);
    const many = [...this.sections.keys()].some((other) => !other.startsWith("0 "));
    const name = many ? `${T.progress.sample(sample)}: ${heading}` : heading;
    this.written.append(el("section", {}, el("h2", {}, name), made.text));
    announce(T.progress.writing(heading, 0));
    return made;
  }

  /** @param {string} field */
  heading(field) {
    for (const template of this.service.templates) {
      const found = template.sections.find((section) => section.field === field);
      if (found) return found.heading;
    }
    return field.replaceAll("_", " ");
  }

  /** @param {string} text */
  tell(text) {
    if (this.step.textContent === text) return;
    this.step.textContent = text;
    announce(text);
  }

  tick() {
    this.clock.textContent = T.progress.since(Math.round((Date.now() - this.began) / 1000));
  }

  async cancel() {
    try {
      await request(`${this.path}/cancel`, { method: "POST" });
    } catch (error) {
      complain(error);
    }
  }
}
