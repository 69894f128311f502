// The view of one review: the paper on one side, the review on the other.

import { json } from "./api.js";
import { el, fill, said } from "./dom.js";
import { exportForm } from "./exports.js";
import { when } from "./list.js";
import { integrityView, outlineView } from "./outline.js";
import { openPaper } from "./paper.js";
import { PointsPanel } from "./points.js";
import { Progress } from "./progress.js";
import { T } from "./texts.js";
import { verdictView } from "./verdict.js";

/**
 * @typedef {import("./types.js").Review} Review
 * @typedef {import("./types.js").ServiceInfo} ServiceInfo
 */

/**
 * @param {HTMLElement} main
 * @param {string} id
 * @param {ServiceInfo} service
 * @param {AbortSignal} signal aborted when the view is left
 */
export async function showReview(main, id, service, signal) {
  /** @type {Review} */
  const review = await json(`v1/reviews/${id}`, { signal });
  const view = new ReviewView(id, service, signal);
  fill(main, view.element);
  await view.show(review);
}

class ReviewView {
  /**
   * @param {string} id
   * @param {ServiceInfo} service
   * @param {AbortSignal} signal
   */
  constructor(id, service, signal) {
    this.id = id;
    this.service = service;
    this.signal = signal;
    this.title = el("h2", { class: "title" }, T.loading);
    this.about = el("p", { class: "hint" });
    this.content = el("div", { class: "content" });
    this.paperSide = el("section", { class: "pane paper", "aria-label": T.review.paper, tabindex: 0 });
    this.reviewSide = el(
      "section",
      { class: "pane review", "aria-label": T.review.of, tabindex: 0 },
      el("p", { class: "back" }, el("a", { href: "#/" }, `← ${T.review.back}`)),
      this.title,
      this.about,
      this.content,
    );
    // Of both sides, as narrow screens show one at a time.
    const heading = el("h1", { class: "visually-hidden" }, T.review.of);
    this.element = el("div", { class: "panes", "data-shown": "review" }, heading, this.switch(), this.paperSide, this.reviewSide);
  }

  /** Buttons for narrow screens, where one side is shown at a time. */
  switch() {
    const buttons = ["review", "paper"].map((side) =>
      el(
        "button",
        { type: "button", "data-side": side, on: { click: () => this.turnTo(side) } },
        side === "review" ? T.review.of : T.review.paper,
      ),
    );
    this.buttons = buttons;
    this.turnTo("review");
    return el("div", { class: "switch", role: "group", "aria-label": T.review.panes }, ...buttons);
  }

  /** @param {string} side */
  turnTo(side) {
    this.element?.setAttribute("data-shown", side);
    for (const one of this.buttons ?? []) {
      one.setAttribute("aria-pressed", String(one.dataset.side === side));
    }
  }

  /** @param {Review} review */
  async show(review) {
    this.name(review);
    if (review.status === "completed") {
      await this.showCompleted(review);
      return;
    }
    if (review.status === "failed" || review.status === "cancelled") {
      const why = review.error?.message ?? T.progress.cancelled;
      fill(this.content, el("p", { class: "error", role: "alert" }, said(why)));
      await this.openPaper();
      return;
    }
    const progress = new Progress(this.id, this.service, this.signal, () => void this.openPaper());
    fill(this.content, progress.element);
    void this.openPaper();
    const ended = await progress.follow();
    if (ended) await this.show(ended);
  }

  /** @param {Review} review */
  name(review) {
    const title = review.paper?.title || T.untitled;
    fill(this.title, said(title));
    this.about.textContent = T.review.made(review.template, review.model, when(review.created));
    document.title = `${title.slice(0, 80)} – ${T.title}`;
  }

  /** Show the paper, unless it is shown already. */
  async openPaper() {
    if (this.pane) return this.pane;
    const pane = await openPaper(this.id, this.signal, () => this.turnTo("paper"));
    if (!this.pane) {
      this.pane = pane.isThere ? pane : undefined;
      fill(this.paperSide, pane.element);
    }
    return pane;
  }

  /** @param {Review} review */
  async showCompleted(review) {
    const paper = this.openPaper();
    const points = new PointsPanel(review, this.service, this.signal, () => this.turnTo("review"));
    fill(
      this.content,
      review.notice ? el("p", { class: "trial", role: "note" }, review.notice) : null,
      verdictView(review, this.service),
      integrityView(review, async (found) => (await paper).goTo(found)),
      review.mode === "verdict" ? el("p", {}, T.review.verdictOnly) : points.element,
      exportForm(review, this.service),
      review.paper ? outlineView(review.paper, async (page) => (await paper).goTo({ page })) : null,
    );
    const pane = await paper;
    pane.markFindings(review.integrity?.hidden_text ?? [], review.integrity?.visible_instructions ?? []);
    await points.load(pane);
  }
}
