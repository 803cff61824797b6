// What every page has: parts that change by themselves, and questions before something
// dangerous is done. Without this file everything still works, by forms and reloading.

import {t} from "./text.js";

// Live parts: the page's own URL sends them as server-sent events.
if (document.body.dataset.live !== undefined && window.EventSource) {
  const {follow} = await import("./live.js");
  follow();
}

// A form with data-confirm asks first.
document.addEventListener("submit", (event) => {
  const form = event.target;
  const question = event.submitter?.dataset.confirm ?? form.dataset.confirm;
  if (!question || form.dataset.confirmed) return;
  event.preventDefault();
  ask(question).then((yes) => {
    if (!yes) return;
    form.dataset.confirmed = "yes";
    form.requestSubmit(event.submitter ?? undefined);
    delete form.dataset.confirmed;
  });
});

// ask shows a question and returns what is answered.
export function ask(question) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "ask");
  const text = document.createElement("p");
  text.id = "ask";
  text.textContent = question;
  const form = document.createElement("form");
  form.method = "dialog";
  form.className = "row";
  for (const [value, label, kind] of [["yes", t("Yes"), "danger"], ["no", t("No"), "plain"]]) {
    const button = document.createElement("button");
    button.value = value;
    button.textContent = label;
    button.className = kind;
    form.append(button);
  }
  dialog.append(text, form);
  document.body.append(dialog);
  dialog.showModal();
  form.lastElementChild.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

// What was chosen in a select with data-submit takes effect at once.
document.addEventListener("change", (event) => {
  if (event.target.dataset.submit !== undefined) event.target.form.requestSubmit();
});
