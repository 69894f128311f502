// The API key: asked for when the service wants one, kept for this tab only.

import { byId, el } from "./dom.js";
import { T } from "./texts.js";

const NAME = "reviewer-api-key";

/** @type {Promise<void> | null} */
let asking = null;

/** The key, or an empty text. */
export function key() {
  return sessionStorage.getItem(NAME) ?? "";
}

/**
 * Ask for the key in a dialog. Requests that need one at the same time share the dialog.
 * @param {string} problem what was wrong with the last one
 * @returns {Promise<void>} once a key was given
 */
export function askForKey(problem) {
  asking ??= ask(problem).finally(() => {
    asking = null;
  });
  return asking;
}

/** @param {string} problem */
function ask(problem) {
  const input = el("input", {
    type: "password",
    id: "key",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    "aria-describedby": "key-help",
  });
  const form = el(
    "form",
    {},
    el("h2", { id: "key-title" }, T.key.title),
    el("p", { id: "key-help" }, T.key.help),
    problem ? el("p", { class: "error", role: "alert" }, problem) : null,
    el("label", { for: "key" }, T.key.label),
    input,
    el("p", { class: "row" }, el("button", { class: "main" }, T.key.use)),
  );
  const dialog = el("dialog", { "aria-labelledby": "key-title" }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    // Without a key the page can show nothing, so Escape does not close the dialog.
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(NAME, input.value.trim());
      byId("key-button").hidden = false;
      dialog.remove();
      resolve(undefined);
    });
  });
}

/** Show the button that forgets the key, if there is one. */
export function showKeyButton() {
  const forget = byId("key-button");
  forget.textContent = T.key.forget;
  forget.hidden = !key();
  forget.addEventListener("click", () => {
    sessionStorage.removeItem(NAME);
    location.reload();
  });
}
