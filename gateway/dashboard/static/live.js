// Puts the parts of a page in place that the server sends because they have changed. The
// HTML is that of the server's templates, which escape what they are given.

// follow listens as long as the page is seen.
export function follow() {
  let source;
  const start = () => {
    if (source && source.readyState !== EventSource.CLOSED) return;
    source = new EventSource(location.pathname + location.search);
    source.onmessage = (event) => {
      for (const [id, html] of Object.entries(JSON.parse(event.data))) {
        const old = document.getElementById(id);
        if (old) put(old, html);
      }
    };
    source.onerror = () => document.body.classList.add("stale");
    source.onopen = () => document.body.classList.remove("stale");
  };
  const look = () => {
    if (document.hidden) source?.close();
    else start();
  };
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", () => source?.close());
  look();
}

// put makes what is inside an element like the HTML, and leaves alone what already is: the
// focus, what is being typed, what is open and what is scrolled stay.
export function put(element, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  morph(element, template.content);
}

function morph(old, fresh) {
  let at = old.firstChild;
  for (const want of [...fresh.childNodes]) {
    if (at && alike(at, want)) {
      change(at, want);
      at = at.nextSibling;
      continue;
    }
    // One that is the same further on has moved up: what is before it is gone.
    let later = want.id ? at : null;
    while (later && !(later.id === want.id && alike(later, want))) later = later.nextSibling;
    if (later) {
      while (at !== later) at = remove(at);
      change(at, want);
      at = at.nextSibling;
    } else {
      old.insertBefore(want, at);
    }
  }
  while (at) at = remove(at);
}

function remove(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id ?? "") === (b.id ?? "");
}

function change(old, want) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== want.nodeValue) old.nodeValue = want.nodeValue;
    return;
  }
  const typed = old.matches("input, select, textarea");
  if (typed && (old === document.activeElement || old.dataset.touched !== undefined)) return;
  for (const {name} of [...old.attributes]) {
    if (!want.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  }
  for (const {name, value} of want.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.nodeName === "INPUT") {
    if (old.type === "checkbox" || old.type === "radio") old.checked = want.hasAttribute("checked");
    else if (old.type !== "file") old.value = want.getAttribute("value") ?? "";
  }
  morph(old, want);
}

// What a person has changed in a form is theirs until it is sent.
document.addEventListener("input", (event) => { event.target.dataset.touched = ""; });
document.addEventListener("reset", (event) => {
  for (const field of event.target.elements) delete field.dataset.touched;
});
