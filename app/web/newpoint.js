// The form for a point of one's own, with a passage of the paper if one is chosen.

import { button, el } from "./dom.js";
import { T } from "./texts.js";

const LONGEST = 20_000;

export class NewPointForm {
  /**
   * @param {{field: string, heading: string}[]} sections
   * @param {import("./points.js").PointsPanel} panel
   * @param {() => void} close
   */
  constructor(sections, panel, close) {
    this.panel = panel;
    /** @type {import("./paper.js").Passage | null} */
    this.passage = null;
    this.section = el("select", { id: "new-section" }, ...sections.map(({ field, heading }) => el("option", { value: field, selected: field === "weaknesses" }, heading)));
    this.text = el("textarea", { id: "new-text", rows: 4, required: true, maxlength: LONGEST, dir: "auto" });
    this.chosen = el("p", { class: "hint", role: "status" });
    this.picker = button(T.points.choose, () => this.choose());
    this.element = el(
      "form",
      { class: "card new-point", "aria-label": T.points.add },
      el("label", { for: "new-section" }, T.points.addTo),
      this.section,
      el("label", { for: "new-text" }, T.points.text),
      this.text,
      this.chosen,
      el("div", { class: "row actions" }, el("button", { class: "main" }, T.points.save), this.picker, button(T.points.cancel, close)),
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.save();
    });
  }

  focus() {
    this.text.focus();
  }

  async choose() {
    this.passage = await this.panel.choose();
    if (this.passage) {
      const { quote, page } = this.passage;
      this.chosen.textContent = quote ? T.points.chosen(quote) : T.points.chosenPage(page);
    } else {
      this.chosen.textContent = T.points.drop;
    }
    this.picker.focus();
  }

  async save() {
    const point = { section: this.section.value, text: this.text.value, passage: this.passage };
    if (await this.panel.change({ add: [point] })) document.getElementById("add-point")?.focus();
  }
}
