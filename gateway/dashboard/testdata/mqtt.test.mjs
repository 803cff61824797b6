// Run by TestMQTTModule against a real broker: LINTEL_MQTT_URL.
import test from "node:test";
import assert from "node:assert/strict";
import {Client, Malformed, Packets, Refused, decode, maxPacket} from "./mqtt.js";

const url = process.env.LINTEL_MQTT_URL;

function open(handlers = {}) {
  return new Promise((resolve, reject) => {
    const client = new Client(url, {
      ...handlers,
      onready: () => resolve(client),
      onclose: (error) => { handlers.onclose?.(error); reject(error); },
    });
  });
}

test("messages of each QoS, both ways, with their properties", async () => {
  const got = [];
  let told;
  const all = new Promise((resolve) => { told = resolve; });
  const to = await open({onmessage: (m) => { got.push(m); if (got.length === 3) told(); }});
  assert.equal(await to.subscribe("js/+", {qos: 2}), 2);
  const from = await open();
  for (const qos of [0, 1, 2]) {
    await from.publish({topic: `js/${qos}`, payload: `ü${qos}`, qos, properties: {
      contentType: "text/plain", responseTopic: "answer", correlationData: Uint8Array.of(1, 2), payloadFormatIndicator: 1, user: [["a", "1"], ["a", "2"]]}});
  }
  await all;
  for (const [i, m] of got.entries()) {
    assert.equal(m.topic, `js/${i}`);
    assert.equal(m.qos, i);
    assert.equal(new TextDecoder().decode(m.payload), `ü${i}`);
    assert.deepEqual(m.properties, {payloadFormatIndicator: 1, contentType: "text/plain", responseTopic: "answer",
      correlationData: Uint8Array.of(1, 2), user: [["a", "1"], ["a", "2"]]});
  }
  await to.unsubscribe("js/+");
  to.close();
  from.close();
});

test("retained messages come with a subscription", async () => {
  const from = await open();
  await from.publish({topic: "kept", payload: "x".repeat(100_000), qos: 1, retain: true});
  let told;
  const first = new Promise((resolve) => { told = resolve; });
  const to = await open({onmessage: told});
  await to.subscribe("kept", {qos: 1});
  const m = await first;
  assert.equal(m.retain, true);
  assert.equal(m.payload.length, 100_000);
  from.close();
  to.close();
});

test("many at a time all arrive, once", async () => {
  const n = 500, got = [];
  let told;
  const all = new Promise((resolve) => { told = resolve; });
  const c = await open({onmessage: (m) => { got.push(Number(new TextDecoder().decode(m.payload))); if (got.length === n) told(); }});
  await c.subscribe("many", {qos: 2});
  await Promise.all(Array.from({length: n}, (_, i) => c.publish({topic: "many", payload: String(i), qos: 1 + i % 2})));
  await all;
  assert.deepEqual(got.toSorted((a, b) => a - b), Array.from({length: n}, (_, i) => i));
  c.close();
});

test("what the broker refuses is told", async () => {
  const c = await open();
  await assert.rejects(c.publish({topic: "$SYS/x", qos: 1}), (e) => e instanceof Refused && e.code === 0x87);
  await assert.rejects(c.subscribe("$share/x", {}), Error);
  await assert.rejects(c.publish({topic: "a", payload: "", qos: 1, properties: {contentType: "x".repeat(70_000)}}), RangeError);
  c.close();
  await assert.rejects(c.publish({topic: "a"}), /not connected/);
});

test("the end is told", async () => {
  let ended;
  const end = new Promise((resolve) => { ended = resolve; });
  const c = await open({onclose: ended});
  await c.publish({topic: "a/#"}); // the broker closes
  const error = await end;
  assert.ok(error instanceof Refused && error.code >= 0x80, String(error));
});

// FakeSocket plays a server that says anything.
class FakeSocket {
  static last;
  readyState = 1;
  sent = [];
  constructor() { FakeSocket.last = this; queueMicrotask(() => this.onopen()); }
  send(bytes) { this.sent.push(bytes); }
  close() { this.readyState = 3; }
  says(...bytes) { this.onmessage({data: Uint8Array.from(bytes).buffer}); }
}

async function fake() {
  const closed = [];
  const messages = [];
  const c = new Client("", {WebSocket: FakeSocket, onclose: (e) => closed.push(e), onmessage: (m) => messages.push(m)});
  await new Promise(setImmediate);
  return {c, socket: FakeSocket.last, closed, messages};
}

test("hostile bytes end the connection and nothing else", async () => {
  const connack = [0x20, 3, 0, 0, 0];
  for (const bytes of [
    [0x20, 0xff, 0xff, 0xff, 0xff], [0x20, 0xff, 0xff, 0xff, 0x7f], [0x00, 0], [0xf0, 0], [0x10, 0], [0x30, 0], [0x20, 2, 0, 0],
    [0x20, 4, 0, 0, 0, 0], [0x20, 5, 0, 0, 2, 0x7f, 0], [0x20, 3, 0, 0x87, 0], [0x21, 3, 0, 0, 0], [0xd0, 0],
    [...connack, ...connack], [...connack, 0x36, 6, 0, 1, 97, 0, 1, 0], [...connack, 0x30, 4, 0, 1, 0xff, 0], [...connack, 0x30, 4, 0, 1, 0x23, 0],
    [...connack, 0x30, 3, 0, 0, 0], [...connack, 0x32, 6, 0, 1, 97, 0, 0, 0], [...connack, 0x40, 2, 0, 9], [...connack, 0x90, 4, 0, 1, 0, 0],
    [...connack, 0x30, 8, 0, 1, 97, 4, 1, 0, 1, 0], [...connack, 0xe0, 0],
  ]) {
    const {socket, closed, messages} = await fake();
    socket.says(...bytes);
    assert.equal(closed.length, 1, bytes.join(" "));
    assert.ok(closed[0] instanceof Malformed || closed[0] instanceof Refused, `${bytes.join(" ")}: ${closed[0]}`);
    assert.equal(socket.readyState, 3);
    assert.equal(messages.length, 0);
    socket.says(...connack); // nothing more is looked at
    assert.equal(closed.length, 1);
  }
});

test("QoS 2 is delivered once, and no more are open than we said", async () => {
  const {socket, closed, messages} = await fake();
  socket.says(0x20, 3, 0, 0, 0);
  const publish = (id, dup) => [0x34 | (dup ? 8 : 0), 6, 0, 1, 97, 0, id, 0];
  socket.says(...publish(7, false), ...publish(7, true), ...publish(7, true));
  assert.equal(messages.length, 1);
  socket.says(0x62, 2, 0, 7, ...publish(7, false));
  assert.equal(messages.length, 2);
  for (let id = 8; id < 8 + 50; id++) socket.says(...publish(id, false));
  assert.ok(closed[0] instanceof Malformed);
});

test("any bytes are packets or malformed, in any pieces", () => {
  let seed = 1;
  const random = (n) => { seed = seed * 1103515245 + 12345 & 0x7fffffff; return (seed >> 8) % n; };
  for (let i = 0; i < 20_000; i++) {
    const bytes = Uint8Array.from({length: random(40)}, () => random(3) ? random(8) : random(256));
    try {
      const packets = new Packets();
      for (let at = 0; at < bytes.length;) {
        const n = 1 + random(8);
        for (const p of packets.push(bytes.subarray(at, at + n))) decode(p);
        at += n;
      }
    } catch (error) {
      assert.ok(error instanceof Malformed, `${bytes.join(" ")}: ${error.stack}`);
    }
  }
  const packets = new Packets();
  assert.throws(() => packets.push(Uint8Array.of(0x30, 0x80, 0x80, 0x80, 0x01)), Malformed); // 2 MiB
  assert.ok(maxPacket < 2 << 20);
});
