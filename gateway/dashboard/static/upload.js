// Forms that take long: an upload shows how far it is and can be given up, a download says
// that it is being made. Without this file they are sent as any form is.

import {t} from "./text.js";

const busy = new WeakSet(); // forms that are being sent

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented) return; // it is asked first whether that is meant
  if (form.dataset.upload !== undefined) {
    event.preventDefault();
    if (!busy.has(form)) upload(form);
  } else if (form.dataset.download !== undefined) {
    tell(form, t("The file is being made. The download begins by itself."));
  }
});

// tell shows below a form what is being done.
function tell(form, text) {
  let line = form.querySelector("[role=status]");
  if (!line) {
    line = document.createElement("p");
    line.setAttribute("role", "status");
    form.append(line);
  }
  line.textContent = text;
  return line;
}

function upload(form) {
  busy.add(form);
  const request = new XMLHttpRequest();
  const progress = document.createElement("progress");
  progress.setAttribute("aria-label", t("Progress"));
  const stop = document.createElement("button");
  stop.type = "button";
  stop.className = "plain";
  stop.textContent = t("Cancel");
  stop.addEventListener("click", () => request.abort());
  tell(form, t("Uploading"));
  form.append(progress, stop);
  const end = (text) => {
    busy.delete(form);
    progress.remove();
    stop.remove();
    tell(form, text);
  };
  request.upload.addEventListener("progress", ({lengthComputable, loaded, total}) => {
    if (!lengthComputable) return;
    progress.max = total;
    progress.value = loaded;
  });
  request.upload.addEventListener("load", () => {
    progress.removeAttribute("value");
    tell(form, t("All is sent. The box is working on it."));
  });
  request.addEventListener("load", () => {
    // The answer is a page of ours: what it has to say stands in its main part. One that
    // only leads to another page is followed already.
    const answer = new DOMParser().parseFromString(request.responseText, "text/html").querySelector("main");
    if (!answer) return end(t("The box did not answer as expected. Reload the page."));
    document.querySelector("main").replaceWith(document.adoptNode(answer));
    scrollTo(0, 0);
  });
  request.addEventListener("abort", () => end(t("Given up.")));
  request.addEventListener("error", () => end(t("The connection broke off. Try again.")));
  request.open("POST", form.action);
  request.send(new FormData(form));
}
