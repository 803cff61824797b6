// Publishes and subscribes on the page, as the user who is logged in.

import {t} from "./text.js";
import {Client} from "./mqtt.js";

const maxMessages = 200, maxHistory = 50, maxShown = 20_000;
const $ = (id) => document.getElementById(id);
const subscriptions = new Map(); // QoS by filter
const held = []; // messages that came while paused
let client, delay = 1000, paused = false, total = 0;

$("live").hidden = false;
$("properties").hidden = false;

function element(name, text, ...classes) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  e.classList.add(...classes);
  return e;
}

function connect() {
  tell(t("Connecting…"));
  client = new Client(`${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/mqtt`, {
    clientId: `page-${[...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, "0")).join("")}`,
    onready() {
      delay = 1000;
      tell(t("Connected to the broker."));
      for (const [filter, qos] of subscriptions) client.subscribe(filter, {qos}).catch(failed);
    },
    onmessage: received,
    onclose(error) {
      if (!error) return;
      tell(`${t("Not connected:")} ${error.message}`);
      setTimeout(connect, delay);
      delay = Math.min(delay * 2, 60_000);
    },
  });
}

function tell(text) { $("connection").textContent = text; }

function failed(error) { tell(`${t("That did not work:")} ${error.message}`); }

// shown returns a payload as people read it: JSON, text or hexadecimal.
export function shown(payload) {
  const cut = payload.subarray(0, maxShown);
  try {
    const text = new TextDecoder("utf-8", {fatal: true}).decode(cut);
    if (/^\s*[[{]/.test(text) && cut.length === payload.length) {
      try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
    }
    // eslint-disable-next-line no-control-regex
    if (!/[\u0000-\u0008\u000e-\u001f]/.test(text)) return text;
  } catch { /* no text */ }
  const lines = [];
  for (let i = 0; i < Math.min(cut.length, 1024); i += 16) {
    lines.push(`${i.toString(16).padStart(4, "0")}  ${[...cut.subarray(i, i + 16)].map((b) => b.toString(16).padStart(2, "0")).join(" ")}`);
  }
  return lines.join("\n");
}

function received(m) {
  total++;
  if (paused) {
    held.push(m);
    if (held.length > maxMessages) held.shift();
  } else add(m);
  $("count").textContent = t("%d messages", total);
}

function add(m) {
  const item = element("li");
  const head = element("p", undefined, "quiet");
  head.append(element("time", new Date().toLocaleTimeString()), " ", element("code", m.topic), ` QoS ${m.qos}`, m.retain ? `, ${t("retained")}` : "");
  item.append(head, element("pre", shown(m.payload)));
  const user = m.properties.user ?? [];
  for (const [name, value] of [["content type", m.properties.contentType], ["response topic", m.properties.responseTopic], ...user.slice(0, 20)]) {
    if (value !== undefined) item.append(element("p", `${name}: ${value}`, "quiet"));
  }
  const list = $("messages");
  list.prepend(item);
  while (list.childElementCount > maxMessages) list.lastElementChild.remove();
}

$("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  event.target.textContent = paused ? t("Go on") : t("Pause");
  while (!paused && held.length > 0) add(held.shift());
});

$("clear").addEventListener("click", () => {
  $("messages").replaceChildren();
  held.length = 0;
});

$("subscribe").addEventListener("submit", async (event) => {
  event.preventDefault();
  const filter = event.target.elements.filter.value, qos = Number(event.target.elements.qos.value);
  try {
    const granted = await client.subscribe(filter, {qos});
    subscriptions.set(filter, qos);
    listSubscriptions(filter, granted);
  } catch (error) { failed(error); }
});

function listSubscriptions(filter, granted) {
  for (const old of $("subscriptions").children) if (old.dataset.filter === filter) old.remove();
  const item = element("li");
  item.dataset.filter = filter;
  const button = element("button", t("Unsubscribe"), "plain");
  button.type = "button";
  button.addEventListener("click", async () => {
    try {
      await client.unsubscribe(filter);
      subscriptions.delete(filter);
      item.remove();
    } catch (error) { failed(error); }
  });
  item.append(element("code", filter), ` QoS ${granted} `, button);
  $("subscriptions").append(item);
}

$("publish").addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = event.target.elements;
  const message = {topic: fields.topic.value, payload: fields.payload.value, qos: Number(fields.qos.value), retain: fields.retain.checked, properties: {}};
  if (fields.contentType.value) message.properties.contentType = fields.contentType.value;
  if (fields.responseTopic.value) message.properties.responseTopic = fields.responseTopic.value;
  if (fields.expiry.value) message.properties.messageExpiryInterval = Number(fields.expiry.value);
  const user = fields.user.value.split("\n").filter((line) => line.includes("="));
  if (user.length > 0) message.properties.user = user.slice(0, 50).map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]);
  try {
    await client.publish(message);
    remember(message, message.qos === 0 ? t("sent") : t("the broker has it"));
  } catch (error) {
    failed(error);
    remember(message, error.message);
  }
});

function remember(message, how) {
  const item = element("li");
  const again = element("button", t("Use again"), "plain");
  again.type = "button";
  again.addEventListener("click", () => {
    const fields = $("publish").elements;
    fields.topic.value = message.topic;
    fields.payload.value = message.payload;
    fields.qos.value = String(message.qos);
    fields.retain.checked = message.retain;
    fields.payload.focus();
  });
  item.append(element("time", new Date().toLocaleTimeString()), " ", element("code", message.topic), ` QoS ${message.qos}`,
    message.retain ? `, ${t("retained")}` : "", ` – ${how} `, again, element("pre", message.payload.slice(0, 500)));
  const list = $("history");
  list.prepend(item);
  while (list.childElementCount > maxHistory) list.lastElementChild.remove();
}

connect();
