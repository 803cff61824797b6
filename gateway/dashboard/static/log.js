// Puts the lines that come on top of those of the page. What is in them comes from strangers:
// it is text and nothing else.

import {t} from "./text.js";

const most = 1000; // lines on the page

const list = document.getElementById("lines-of-log");
const pause = document.getElementById("pause");
const tail = document.getElementById("tail");
let waiting = []; // while it is paused
let paused = false;
let last = Number(list.dataset.last); // number of the newest line that is here; the box counts anew after a restart
let lastTime = list.dataset.time;

function add(parent, name, text, kind) {
  const element = document.createElement(name);
  element.textContent = text;
  if (kind) element.className = kind;
  parent.append(element, " ");
  return element;
}

function show(line) {
  const row = document.createElement("li");
  const when = new Date(line.time);
  const two = (n) => String(n).padStart(2, "0");
  add(row, "time", `${two(when.getMonth() + 1)}-${two(when.getDate())} ${when.toTimeString().slice(0, 8)}`, "quiet").dateTime = line.time;
  const name = line.level.toLowerCase().replace(/[^a-z].*/, "");
  add(row, "span", name, `level ${name}`);
  add(row, "span", line.message);
  for (const key of Object.keys(line.values ?? {}).sort()) {
    const pair = add(row, "span", `${key}=`, "quiet");
    add(pair, "span", line.values[key], "value");
  }
  list.prepend(row);
  while (list.childElementCount > most) list.lastElementChild.remove();
  document.getElementById("nothing")?.remove();
}

function tell() {
  if (paused) tail.textContent = t("Paused, %d lines wait", waiting.length);
}

let source;
function start() {
  if (source && source.readyState !== EventSource.CLOSED) return;
  source = new EventSource(list.dataset.follow);
  source.onopen = () => { if (!paused) tail.textContent = t("Lines that come are shown"); };
  source.onmessage = (event) => {
    const line = JSON.parse(event.data);
    if (line.number <= last && line.time <= lastTime) return; // is here already
    lastTime = line.time;
    last = line.number;
    if (!paused) {
      show(line);
      return;
    }
    waiting.push(line);
    if (waiting.length > most) waiting.shift();
    tell();
  };
  source.onerror = () => {
    tail.textContent = source.readyState === EventSource.CLOSED ? t("Others follow the log already: reload the page later") : t("The box does not answer");
  };
}

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? t("Go on") : t("Pause");
  if (paused) {
    tell();
    return;
  }
  tail.textContent = "";
  for (const line of waiting) show(line);
  waiting = [];
});
document.addEventListener("visibilitychange", () => {
  // A page that nobody sees gives its place to another, and catches up later.
  if (document.hidden) source?.close();
  else start();
});
addEventListener("pagehide", () => source?.close());
start();
