// Takes a review along: as it was written or as it was edited.

import { request, save } from "./api.js";
import { button, complain, el } from "./dom.js";
import { T } from "./texts.js";

const SUFFIX = { md: "md", json: "json", csv: "csv", form: "md" };

/**
 * @param {import("./types.js").Review} review
 * @param {import("./types.js").ServiceInfo} service
 */
export function exportForm(review, service) {
  const format = el(
    "select",
    { id: "export-format" },
    ...Object.entries(T.review.formats).map(([value, text]) => el("option", { value }, text)),
  );
  const template = el(
    "select",
    { id: "export-template" },
    ...service.templates.map(({ name }) => el("option", { value: name, selected: name === review.template }, name)),
  );
  const edited = el("input", { type: "checkbox", id: "export-edited", checked: true });
  const ofForm = el("label", { for: "export-template", hidden: true }, T.review.exportForm, template);
  format.addEventListener("change", () => {
    ofForm.hidden = format.value !== "form";
  });
  const form = el(
    "form",
    { class: "row export" },
    el("label", { for: "export-format" }, T.review.exportAs, format),
    ofForm,
    el("label", { class: "check" }, edited, T.review.edited),
    el("button", { class: "main" }, T.review.save),
    button(T.review.original, () => savePaper(review), { class: "quiet" }),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const query = new URLSearchParams({ format: format.value, edited: String(edited.checked) });
    if (format.value === "form") query.set("template", template.value);
    const suffix = SUFFIX[/** @type {keyof typeof SUFFIX} */ (format.value)];
    void saved(`v1/reviews/${review.id}/export?${query}`, `${review.id}.${suffix}`);
  });
  return el("section", { class: "card", "aria-labelledby": "export-title" }, el("h2", { id: "export-title" }, T.review.export), form);
}

/** @param {import("./types.js").Review} review */
function savePaper(review) {
  return saved(`v1/reviews/${review.id}/paper`, review.paper?.pages ? `${review.id}.pdf` : review.id);
}

/**
 * @param {string} path
 * @param {string} name
 */
async function saved(path, name) {
  try {
    save(await (await request(path)).blob(), name);
  } catch (error) {
    complain(error);
  }
}
