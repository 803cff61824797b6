// The tree of topics, live: the server sends what changes of the levels that are open.

import {t} from "./text.js";

const maxOpen = 90, maxURL = 12_000;
const tree = document.getElementById("tree");
const state = document.getElementById("topics-state");
const collator = new Intl.Collator("en", {numeric: true});
const root = {list: tree, children: new Map(), open: true};
const nodes = new Map(); // by topic
let source, version = 0, epoch = "", starting;

function element(name, text, ...classes) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  e.classList.add(...classes);
  return e;
}

function parentOf(topic) {
  const cut = topic.lastIndexOf("/");
  return cut < 0 ? root : nodes.get(topic.slice(0, cut));
}

// put shows a level as it is now.
function put(data) {
  let node = nodes.get(data.topic);
  if (!node) {
    const parent = parentOf(data.topic);
    if (!parent?.list) return; // closed meanwhile
    node = {topic: data.topic, name: data.name, parent, children: new Map(), open: false};
    node.item = element("li");
    node.row = element("div", undefined, "level");
    node.item.append(node.row);
    nodes.set(data.topic, node);
    parent.children.set(data.name, node);
    let after = null;
    for (const other of parent.children.values()) {
      if (other !== node && collator.compare(other.name, node.name) > 0 && (!after || collator.compare(other.name, after.name) < 0)) after = other;
    }
    parent.list.insertBefore(node.item, after ? after.item : parent.rest ?? null);
  }
  node.data = data;
  show(node);
}

function show(node) {
  const d = node.data;
  if (!node.parts) {
    const button = element("button", "", "open");
    button.type = "button";
    button.addEventListener("click", () => toggle(node));
    node.parts = {button, name: element("strong", d.name === "" ? "∅" : d.name), retained: element("a", t("retained")),
      count: element("span", "", "quiet"), value: element("span", "", "value")};
    node.parts.retained.href = `/topics/retained?${new URLSearchParams({topic: d.topic})}`;
    node.row.append(...Object.values(node.parts));
  }
  const {button, retained, count, value} = node.parts;
  button.hidden = d.children === 0;
  button.textContent = node.open ? "▾" : "▸";
  button.setAttribute("aria-expanded", String(node.open));
  button.setAttribute("aria-label", node.open ? t("Close %s", d.topic) : t("Open %s", d.topic));
  retained.hidden = !d.retained;
  count.textContent = [d.children > 0 ? t("%d topics", d.topics) : "", d.rate >= 0.05 ? `${d.rate.toFixed(1)}/s` : ""].filter(Boolean).join(" · ");
  value.textContent = d.value ?? "";
  value.title = d.value ?? "";
}

// forget takes levels away that are there no more.
function forget(parent, names) {
  const left = new Set(names);
  for (const [name, node] of parent.children) {
    if (left.has(name)) continue;
    drop(node);
    parent.children.delete(name);
    node.item.remove();
  }
}

function drop(node) {
  nodes.delete(node.topic);
  for (const child of node.children.values()) drop(child);
}

async function toggle(node) {
  if (node.open) {
    node.open = false;
    for (const child of node.children.values()) drop(child);
    node.children.clear();
    node.list.remove();
    node.list = node.rest = undefined;
    show(node);
    restart();
    return;
  }
  if (openTopics().length >= maxOpen) {
    state.textContent = t("So many levels are open that no other can be: close one.");
    return;
  }
  node.open = true;
  node.list = element("ul");
  node.item.append(node.list);
  show(node);
  try {
    const answer = await fetch(`/api/topics?${new URLSearchParams({topic: node.topic, depth: "1"})}`);
    if (!answer.ok) throw new Error(answer.statusText);
    const branch = await answer.json();
    if (!node.open) return;
    for (const data of branch.below ?? []) put(data);
    more(node, branch.more ?? 0);
  } catch (error) {
    state.textContent = error.message;
  }
  restart();
}

// more says how many levels are left out.
function more(node, n) {
  if (n > 0 && !node.rest) {
    node.rest = element("li", "", "quiet");
    node.list.append(node.rest);
  }
  if (node.rest) node.rest.textContent = n > 0 ? t("%d more: search for a part of the topic.", n) : "";
}

function openTopics() {
  return [...nodes.values()].filter((node) => node.open).map((node) => node.topic);
}

// restart asks for the changes of what is open now.
function restart() {
  clearTimeout(starting);
  starting = setTimeout(() => {
    source?.close();
    if (document.hidden) return;
    const query = new URLSearchParams();
    if (version > 0) {
      query.set("since", String(version));
      query.set("epoch", epoch);
    }
    for (const topic of openTopics()) {
      if (query.toString().length + topic.length < maxURL) query.append("open", topic);
    }
    source = new EventSource(`/api/topics?${query}`);
    source.onmessage = ({data}) => changed(JSON.parse(data));
    source.onerror = () => {
      document.body.classList.add("stale");
      if (source.readyState === EventSource.CLOSED) starting = setTimeout(restart, 5000);
    };
    source.onopen = () => document.body.classList.remove("stale");
  }, 50);
}

function changed(c) {
  if (c.reset) {
    forget(root, []);
    tree.replaceChildren();
  }
  if (c.root) forget(root, c.root);
  for (const [topic, names] of Object.entries(c.names ?? {})) {
    const node = nodes.get(topic);
    if (node) forget(node, names);
  }
  for (const data of c.nodes ?? []) put(data);
  for (const [topic, n] of Object.entries(c.more ?? {})) {
    const node = nodes.get(topic);
    if (node?.list) more(node, n);
  }
  if (c.epoch) epoch = c.epoch;
  version = c.version;
  if (c.topics !== undefined && (c.topics > 0 || c.reset)) state.textContent = t("%d topics", c.topics);
}

if (tree.dataset.live !== undefined) {
  document.addEventListener("visibilitychange", restart);
  addEventListener("pagehide", () => source?.close());
  restart();
}
