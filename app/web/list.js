// The list of reviews: filtered as the API filters, a page at a time, as CSV.

import { ApiError, json, request, save } from "./api.js";
import { announce, button, complain, el, fill, said } from "./dom.js";
import { csv } from "./csv.js";
import { T } from "./texts.js";

const AT_ONCE = 50;
const LOOK_MS = 3000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * @typedef {import("./types.js").ReviewSummary} Summary
 */

export class ReviewList {
  /**
   * @param {(filters: URLSearchParams) => void} shown called with the filters when the list is shown
   * @param {AbortSignal} signal
   */
  constructor(shown, signal) {
    this.shown = shown;
    this.signal = signal;
    /** @type {string[]} the cursors of the pages before this one and of this one */
    this.cursors = [""];
    this.next = "";
    this.pauseMs = LOOK_MS;
    this.drawn = "";
    this.rows = el("tbody");
    this.status = choice("filter-status", T.list.status, T.statuses);
    this.decision = choice("filter-decision", T.list.decision, T.decisions);
    this.after = day("filter-after", T.list.after);
    this.before = day("filter-before", T.list.before);
    this.range = el("span", { class: "range" });
    this.newer = button(T.list.newer, () => this.turn(-1));
    this.older = button(T.list.older, () => this.turn(1));
    this.element = this.framed();
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  framed() {
    const filters = el("form", { class: "filters" });
    for (const field of [this.status, this.decision, this.after, this.before]) {
      filters.append(field.label);
      field.input.addEventListener("change", () => {
        this.cursors = [""];
        void this.refresh();
      });
    }
    filters.addEventListener("submit", (event) => event.preventDefault());
    filters.append(button(T.list.csv, () => this.saveTable(), { class: "quiet" }));
    const columns = [T.list.paper, T.list.status, T.list.decision, T.list.probability, T.list.created, T.list.actions];
    const head = columns.map((name, index) =>
      el("th", { scope: "col" }, index === columns.length - 1 ? el("span", { class: "visually-hidden" }, name) : name),
    );
    return el(
      "section",
      { class: "card", "aria-labelledby": "list-title" },
      el("h2", { id: "list-title" }, T.list.title),
      filters,
      el("table", { class: "reviews", "aria-labelledby": "list-title" }, el("thead", {}, el("tr", {}, ...head)), this.rows),
      el("p", { class: "row paging" }, this.newer, this.range, this.older),
    );
  }

  filters() {
    const found = new URLSearchParams();
    if (this.status.input.value) found.set("status", this.status.input.value);
    if (this.decision.input.value) found.set("decision", this.decision.input.value);
    const from = seconds(this.after.input.value);
    const until = seconds(this.before.input.value);
    if (from) found.set("created_after", String(from - 0.001));
    if (until) found.set("created_before", String(until + 86_400));
    return found;
  }

  /** Get the page again, and again after a while as long as something on it is unfinished. */
  async refresh() {
    clearTimeout(this.timer);
    const filters = this.filters();
    const query = new URLSearchParams(filters);
    query.set("limit", String(AT_ONCE));
    const cursor = this.cursors.at(-1);
    if (cursor) query.set("cursor", cursor);
    try {
      const page = await json(`v1/reviews?${query}`, { signal: this.signal });
      this.pauseMs = LOOK_MS;
      this.show(page, filters);
    } catch (error) {
      if (this.signal.aborted) return;
      if (!(error instanceof ApiError) || error.status === 400) throw error;
      complain(error);
      this.pauseMs = Math.min(2 * this.pauseMs, LONGEST_PAUSE_MS);
      this.timer = setTimeout(() => void this.refresh(), this.pauseMs);
    }
  }

  /**
   * @param {{data: Summary[], next: string | null}} page
   * @param {URLSearchParams} filters
   */
  show(page, filters) {
    this.next = page.next ?? "";
    const first = (this.cursors.length - 1) * AT_ONCE;
    this.range.textContent = page.data.length ? T.list.shown(first + 1, first + page.data.length) : "";
    this.newer.disabled = this.cursors.length === 1;
    this.older.disabled = !this.next;
    const drawn = JSON.stringify([page.data, [...filters]]);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.draw(page.data, [...filters].length > 0);
      this.shown(filters);
    }
    if (page.data.some((one) => one.status === "queued" || one.status === "in_progress")) {
      this.timer = setTimeout(() => void this.refresh(), this.pauseMs);
    }
  }

  /**
   * @param {Summary[]} reviews
   * @param {boolean} filtered
   */
  draw(reviews, filtered) {
    // A person who uses the keyboard keeps their place when the rows are drawn again.
    const focused = document.activeElement?.id ?? "";
    const rows = reviews.map((one) => this.row(one));
    const empty = filtered ? T.list.none : T.list.empty;
    fill(this.rows, ...(rows.length ? rows : [el("tr", {}, el("td", { colspan: 6, class: "empty" }, empty))]));
    if (focused.startsWith("row-")) document.getElementById(focused)?.focus();
  }

  /** @param {Summary} one */
  row(one) {
    const title = one.title ?? (one.name || T.untitled);
    const cell = (/** @type {string} */ label, /** @type {import("./dom.js").Child[]} */ ...content) =>
      el("td", { "data-label": label }, ...content);
    const link = el("a", { href: `#/reviews/${one.id}`, id: `row-${one.id}` }, said(title));
    const state = el("span", { class: `badge ${one.status}` }, T.statuses[one.status]);
    const why = one.error ? el("span", { class: "why" }, said(one.error.message)) : null;
    const decision = one.status === "completed" ? T.decisions[one.decision ?? "none"] : "";
    const remove = button(T.list.remove, () => this.remove(one, title), {
      class: "quiet",
      "aria-label": T.list.removeOne(title),
    });
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, link),
      cell(T.list.status, state, why),
      cell(T.list.decision, decision ? el("span", { class: `badge ${one.decision ?? "none"}` }, decision) : ""),
      cell(T.list.probability, one.probability === null ? "" : one.probability.toFixed(2)),
      cell(T.list.created, el("time", { datetime: iso(one.created) }, when(one.created))),
      cell(T.list.actions, remove),
    );
  }

  /** @param {number} by */
  turn(by) {
    if (by > 0) this.cursors.push(this.next);
    else this.cursors.pop();
    void this.refresh();
    this.element.scrollIntoView();
  }

  /**
   * @param {Summary} one
   * @param {string} title
   */
  async remove(one, title) {
    if (!confirm(T.list.confirm(title))) return;
    try {
      await request(`v1/reviews/${one.id}`, { method: "DELETE" });
      announce(T.list.removed);
      await this.refresh();
    } catch (error) {
      complain(error);
    }
  }

  /** Save all reviews that the filters let through as a table. */
  async saveTable() {
    /** @type {Summary[]} */
    const all = [];
    const query = this.filters();
    query.set("limit", "100");
    try {
      for (;;) {
        const page = await json(`v1/reviews?${query}`);
        all.push(...page.data);
        if (!page.next) break;
        query.set("cursor", page.next);
      }
      save(new Blob([table(all)], { type: "text/csv;charset=utf-8" }), "reviews.csv");
    } catch (error) {
      complain(error);
    }
  }
}

/** @param {Summary[]} reviews */
function table(reviews) {
  const head = ["id", "created", "title", "file", "status", "decision", "probability", "model", "template", "error"];
  const rows = reviews.map((one) => [
    one.id,
    iso(one.created),
    one.title,
    one.name,
    one.status,
    one.decision,
    one.probability,
    one.model,
    one.template,
    one.error?.code,
  ]);
  return csv([head, ...rows]);
}

/**
 * @param {string} id
 * @param {string} label
 * @param {Record<string, string>} values
 */
function choice(id, label, values) {
  const options = Object.entries(values).map(([value, text]) => el("option", { value }, text));
  const input = el("select", { id }, el("option", { value: "" }, T.list.any), ...options);
  return { input, label: el("label", {}, label, input) };
}

/**
 * @param {string} id
 * @param {string} label
 */
function day(id, label) {
  const input = el("input", { id, type: "date" });
  return { input, label: el("label", {}, label, input) };
}

/**
 * The Unix time at which a day begins here; 0 without one.
 * @param {string} date
 */
function seconds(date) {
  return date ? new Date(`${date}T00:00:00`).getTime() / 1000 : 0;
}

/** @param {number} created */
export function iso(created) {
  return new Date(created * 1000).toISOString();
}

/** @param {number} created */
export function when(created) {
  return new Date(created * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
