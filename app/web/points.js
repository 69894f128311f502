// The points of a review: worked on here, kept by the service.

import { ApiError, json, sendJson } from "./api.js";
import { announce, button, complain, el, fill } from "./dom.js";
import { NewPointForm } from "./newpoint.js";
import { PointCard } from "./pointcard.js";
import { T } from "./texts.js";

/**
 * @typedef {import("./types.js").PointState} PointState
 * @typedef {import("./types.js").ReviewPoints} ReviewPoints
 * @typedef {{edit?: object[], add?: object[], remove?: string[]}} Changes
 */

export class PointsPanel {
  /**
   * @param {import("./types.js").Review} review
   * @param {import("./types.js").ServiceInfo} service
   * @param {AbortSignal} signal
   * @param {() => void} shown called when the panel is to be seen, on narrow screens
   */
  constructor(review, service, signal, shown) {
    this.path = `v1/reviews/${review.id}/points`;
    this.signal = signal;
    this.shown = shown;
    const template = service.templates.find(({ name }) => name === review.template);
    /** @type {import("./types.js").TemplateInfo["sections"]} */
    this.template = template?.sections ?? [];
    this.count = el("span", { class: "hint" });
    this.sections = el("div");
    this.adding = el("div");
    this.element = el(
      "section",
      { class: "points", "aria-labelledby": "points-title" },
      el("h2", { id: "points-title", class: "visually-hidden" }, T.points.title),
      el("p", { class: "row" }, this.count, el("span", { class: "hint" }, T.points.unsupportedHelp)),
      this.sections,
      this.adding,
    );
    /** @type {ReviewPoints} */
    this.state = { review_id: review.id, version: 0, points: [] };
    /** @type {Map<string, PointCard>} */
    this.cards = new Map();
  }

  /** @param {import("./paper.js").Pane} pane */
  async load(pane) {
    this.pane = pane;
    this.show(await json(this.path, { signal: this.signal }));
  }

  /** @param {ReviewPoints} state */
  show(state) {
    this.state = state;
    const focused = document.activeElement?.id ?? "";
    const points = state.points.filter((point) => point.kind === "point");
    this.count.textContent = T.points.kept(points.filter((point) => !point.dismissed).length, points.length);
    this.cards.clear();
    fill(this.sections, ...this.fields().map((field) => this.section(field)));
    fill(this.adding, this.adder());
    this.pane?.markPoints(state.points, (id) => this.reveal(id));
    if (focused) document.getElementById(focused)?.focus();
  }

  /** Fields of the sections, in the template's order, then others. */
  fields() {
    const known = this.template.map(({ field }) => field);
    const others = this.state.points.map(({ section }) => section).filter((field) => !known.includes(field));
    return [...known, ...new Set(others)];
  }

  /** @param {string} field */
  heading(field) {
    const name = field.replaceAll("_", " ");
    const own = this.template.find((section) => section.field === field);
    return own?.heading ?? name[0].toUpperCase() + name.slice(1);
  }

  /** @param {string} field */
  section(field) {
    const points = this.state.points.filter(({ section }) => section === field);
    const cards = points.map((point) => {
      const card = new PointCard(point, this);
      this.cards.set(point.id, card);
      return card.element;
    });
    const list = points[0]?.kind === "section" ? el("div", {}, ...cards) : el("ul", { class: "cards" }, ...cards);
    return el("section", {}, el("h3", {}, this.heading(field)), cards.length ? list : el("p", { class: "hint" }, T.points.empty));
  }

  adder() {
    const lists = new Set(["strengths", "weaknesses", ...this.template.filter(({ bullets }) => bullets).map(({ field }) => field)]);
    for (const point of this.state.points) {
      if (point.kind === "point") lists.add(point.section);
    }
    const open = () => {
      const names = [...lists].map((field) => ({ field, heading: this.heading(field) }));
      const form = new NewPointForm(names, this, () => fill(this.adding, this.adder()));
      fill(this.adding, form.element);
      form.focus();
    };
    return button(T.points.add, open, { id: "add-point" });
  }

  /**
   * Let the person choose a passage in the paper.
   * @returns {Promise<import("./paper.js").Passage | null>}
   */
  async choose() {
    const chosen = (await this.pane?.choose()) ?? null;
    this.shown();
    return chosen;
  }

  /**
   * Make changes; all of them are kept by the service, or none.
   * @param {Changes} changes
   * @returns {Promise<boolean>} whether they were made
   */
  async change(changes) {
    try {
      this.show(await sendJson(this.path, "PATCH", { version: this.state.version, ...changes }));
      announce(T.points.saved);
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.code === "points_changed") {
        this.show(await json(this.path, { signal: this.signal }));
        complain(T.points.changed);
        return false;
      }
      complain(error);
      return false;
    }
  }

  /** @param {string | null} id */
  highlight(id) {
    this.pane?.highlight(id);
  }

  /** @param {import("./types.js").Evidence} evidence */
  goTo(evidence) {
    this.pane?.goTo(evidence);
  }

  /**
   * Show the card of a point whose passage was picked in the paper.
   * @param {string} id
   */
  reveal(id) {
    this.shown();
    this.cards.get(id)?.reveal();
    this.highlight(id);
  }
}
