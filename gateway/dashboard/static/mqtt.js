// A client of MQTT 5.0 over WebSocket (OASIS MQTT 5.0, §6), as much of one as a page needs:
// QoS 0 to 2 both ways, and the properties of messages. What comes from the broker is
// checked and bounded: whatever is wrong ends the connection with a Malformed error.

export const maxPacket = 256 * 1024; // bytes that we take, fixed header included
export const receiveMaximum = 50;
const maxWaiting = 1000; // requests without an answer

const CONNECT = 1, CONNACK = 2, PUBLISH = 3, PUBACK = 4, PUBREC = 5, PUBREL = 6, PUBCOMP = 7,
  SUBSCRIBE = 8, SUBACK = 9, UNSUBSCRIBE = 10, UNSUBACK = 11, PINGREQ = 12, PINGRESP = 13, DISCONNECT = 14;

export class Malformed extends Error {}

// Refused is an answer with a reason code of 0x80 or more.
export class Refused extends Error {
  constructor(code, reason) {
    super(reason || `0x${code.toString(16)}`);
    this.code = code;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", {fatal: true, ignoreBOM: true});

// The properties of table 2-4: their types by identifier.
const types = {
  0x01: "byte", 0x02: "four", 0x03: "text", 0x08: "text", 0x09: "binary", 0x0b: "variable", 0x11: "four", 0x12: "text",
  0x13: "two", 0x15: "text", 0x16: "binary", 0x17: "byte", 0x18: "four", 0x19: "byte", 0x1a: "text", 0x1c: "text",
  0x1f: "text", 0x21: "two", 0x22: "two", 0x23: "two", 0x24: "byte", 0x25: "byte", 0x26: "pair", 0x27: "four",
  0x28: "byte", 0x29: "byte", 0x2a: "byte",
};

// Those of messages, as they are called here.
const names = {0x01: "payloadFormatIndicator", 0x02: "messageExpiryInterval", 0x03: "contentType", 0x08: "responseTopic", 0x09: "correlationData"};

// Writer makes packets.
class Writer {
  bytes = [];
  byte(x) { this.bytes.push(x & 0xff); return this; }
  two(x) { return this.byte(x >> 8).byte(x); }
  four(x) { return this.two(x >>> 16).two(x & 0xffff); }
  variable(x) {
    do {
      const more = x > 127;
      this.byte(x % 128 | (more ? 128 : 0));
      x = Math.floor(x / 128);
      if (!more) return this;
    } while (true);
  }
  raw(bytes) { for (const b of bytes) this.bytes.push(b); return this; }
  binary(bytes) {
    if (bytes.length > 65535) throw new RangeError("longer than 65535 bytes");
    return this.two(bytes.length).raw(bytes);
  }
  text(s) { return this.binary(encoder.encode(s)); }
  pair(p) { return this.text(p[0]).text(p[1]); }
  properties(list) {
    const w = new Writer();
    for (const [id, value] of list) w.byte(id)[types[id]](value);
    return this.variable(w.bytes.length).raw(w.bytes);
  }
}

function packet(type, flags, body) {
  const w = new Writer().byte(type << 4 | flags).variable(body.bytes.length);
  return Uint8Array.from([...w.bytes, ...body.bytes]);
}

// Reader takes packets apart.
class Reader {
  constructor(bytes) { this.bytes = bytes; this.at = 0; }
  get left() { return this.bytes.length - this.at; }
  take(n) {
    if (n > this.left) throw new Malformed("the packet is cut off");
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }
  byte() { return this.take(1)[0]; }
  two() { const b = this.take(2); return b[0] << 8 | b[1]; }
  four() { return this.two() * 65536 + this.two(); }
  variable() {
    let x = 0;
    for (let scale = 1, i = 0; i < 4; i++, scale *= 128) {
      const b = this.byte();
      x += (b & 127) * scale;
      if (b < 128) return x;
    }
    throw new Malformed("a number of more than four bytes");
  }
  binary() { return this.take(this.two()).slice(); }
  text() {
    let s;
    try { s = decoder.decode(this.take(this.two())); } catch (error) {
      throw error instanceof Malformed ? error : new Malformed("a text that is no UTF-8");
    }
    if (s.includes("\0")) throw new Malformed("a text with U+0000");
    return s;
  }
  pair() { return [this.text(), this.text()]; }
  // properties returns {id: value}, with lists of user properties and subscription identifiers.
  properties() {
    const inner = new Reader(this.take(this.variable()));
    const all = new Map();
    while (inner.left > 0) {
      const id = inner.variable();
      if (!types[id]) throw new Malformed(`property 0x${id.toString(16)}`);
      const value = inner[types[id]]();
      if (id === 0x26 || id === 0x0b) all.set(id, [...(all.get(id) ?? []), value]);
      else if (all.has(id)) throw new Malformed(`property 0x${id.toString(16)} twice`);
      else all.set(id, value);
    }
    return all;
  }
}

// Packets splits a stream of bytes into packets.
export class Packets {
  #rest = new Uint8Array(0);

  // push returns the packets that are whole now, as {type, flags, body}.
  push(bytes) {
    let all = bytes;
    if (this.#rest.length > 0) {
      all = new Uint8Array(this.#rest.length + bytes.length);
      all.set(this.#rest);
      all.set(bytes, this.#rest.length);
    }
    const list = [];
    let at = 0;
    for (;;) {
      let size = 0, scale = 1, head = 1, whole = false;
      while (at + head < all.length && head <= 4 && !whole) {
        const b = all[at + head++];
        size += (b & 127) * scale;
        scale *= 128;
        whole = b < 128;
      }
      if (!whole && head > 4) throw new Malformed("a length of more than four bytes");
      if (head + size > maxPacket) throw new Malformed("a packet that is too large");
      if (!whole || at + head + size > all.length) break;
      list.push({type: all[at] >> 4, flags: all[at] & 15, body: all.subarray(at + head, at + head + size)});
      at += head + size;
    }
    this.#rest = all.slice(at);
    return list;
  }
}

// decode reads a packet of a server.
export function decode({type, flags, body}) {
  const r = new Reader(body);
  if (flags !== (type === PUBREL ? 2 : 0) && type !== PUBLISH) throw new Malformed("reserved flags");
  const p = {type};
  switch (type) {
    case CONNACK:
      p.sessionPresent = (r.byte() & 1) === 1;
      p.code = r.byte();
      p.properties = r.properties();
      break;
    case PUBLISH:
      p.dup = (flags & 8) !== 0;
      p.qos = flags >> 1 & 3;
      p.retain = (flags & 1) === 1;
      if (p.qos === 3) throw new Malformed("QoS 3");
      p.topic = r.text();
      if (p.topic === "" || /[#+]/.test(p.topic)) throw new Malformed("a topic that is none"); // we take no aliases
      if (p.qos > 0 && (p.packetId = r.two()) === 0) throw new Malformed("packet id 0");
      p.properties = r.properties();
      p.payload = r.take(r.left).slice();
      break;
    case PUBACK: case PUBREC: case PUBREL: case PUBCOMP:
      p.packetId = r.two();
      p.code = r.left > 0 ? r.byte() : 0;
      p.properties = r.left > 0 ? r.properties() : new Map();
      break;
    case SUBACK: case UNSUBACK:
      p.packetId = r.two();
      p.properties = r.properties();
      p.codes = [...r.take(r.left)];
      if (p.codes.length === 0) throw new Malformed("an answer without codes");
      break;
    case PINGRESP:
      break;
    case DISCONNECT:
      p.code = r.left > 0 ? r.byte() : 0;
      p.properties = r.left > 0 ? r.properties() : new Map();
      break;
    default:
      throw new Malformed(`packet type ${type} from a server`);
  }
  if (r.left > 0) throw new Malformed("bytes after the packet");
  return p;
}

// Client is a connection. It calls onready once, onmessage for each message with {topic,
// payload, qos, retain, dup, properties}, and onclose(error) once, error being undefined
// after close.
export class Client {
  #socket; #packets = new Packets(); #waiting = new Map(); #lastId = 0; #open2 = new Set(); #handlers; #ping; #heard = true; #ended = false; #ready = false;

  constructor(url, {clientId = "", keepAlive = 30, WebSocket = globalThis.WebSocket, socketOptions = "mqtt", ...handlers} = {}) {
    this.#handlers = handlers;
    this.#socket = new WebSocket(url, socketOptions);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      const properties = [[0x21, receiveMaximum], [0x27, maxPacket]];
      this.#send(packet(CONNECT, 0, new Writer().text("MQTT").byte(5).byte(2).two(keepAlive).properties(properties).text(clientId)));
      this.#ping = setInterval(() => {
        if (!this.#heard) this.#end(new Error("the broker does not answer"));
        this.#heard = false;
        if (this.#ready) this.#send(packet(PINGREQ, 0, new Writer()));
      }, keepAlive * 1000);
    };
    this.#socket.onmessage = ({data}) => this.#received(data);
    this.#socket.onclose = ({code, reason}) => this.#end(new Error(reason || `the connection was closed (${code})`));
    this.#socket.onerror = () => {};
  }

  get connected() { return this.#ready && !this.#ended; }

  // subscribe resolves to the QoS that was granted.
  async subscribe(filter, {qos = 0, noLocal = false, retainAsPublished = false, retainHandling = 0} = {}) {
    const options = qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | retainHandling << 4;
    const {codes, properties} = await this.#request(SUBACK, (id) => packet(SUBSCRIBE, 2, new Writer().two(id).properties([]).text(filter).byte(options)));
    if (codes[0] >= 0x80) throw new Refused(codes[0], properties.get(0x1f));
    return codes[0];
  }

  async unsubscribe(filter) {
    const {codes, properties} = await this.#request(UNSUBACK, (id) => packet(UNSUBSCRIBE, 2, new Writer().two(id).properties([]).text(filter)));
    if (codes[0] >= 0x80) throw new Refused(codes[0], properties.get(0x1f));
  }

  // publish resolves when the message is the broker's: at once for QoS 0.
  async publish({topic, payload = "", qos = 0, retain = false, properties = {}}) {
    const list = [];
    for (const [id, name] of Object.entries(names)) {
      if (properties[name] !== undefined) list.push([Number(id), properties[name]]);
    }
    for (const pair of properties.user ?? []) list.push([0x26, pair]);
    const bytes = typeof payload === "string" ? encoder.encode(payload) : payload;
    const make = (id) => {
      const w = new Writer().text(topic);
      if (qos > 0) w.two(id);
      return packet(PUBLISH, qos << 1 | (retain ? 1 : 0), w.properties(list).raw(bytes));
    };
    if (qos === 0) {
      this.#must();
      this.#send(make(0));
      return;
    }
    const answer = await this.#request(qos === 1 ? PUBACK : PUBREC, make);
    if (answer.code >= 0x80) throw new Refused(answer.code, answer.properties.get(0x1f));
    if (qos === 2) await this.#request(PUBCOMP, (id) => packet(PUBREL, 2, new Writer().two(id)), answer.packetId);
  }

  close() {
    if (this.connected) this.#send(packet(DISCONNECT, 0, new Writer()));
    this.#end();
  }

  #must() { if (!this.connected) throw new Error("not connected"); }

  #send(bytes) { if (this.#socket.readyState === 1) this.#socket.send(bytes); }

  // request sends a packet and waits for the one that answers it.
  #request(type, make, id) {
    this.#must();
    if (this.#waiting.size >= maxWaiting) throw new Error("too much waits for the broker");
    if (id === undefined) {
      do this.#lastId = this.#lastId % 65535 + 1; while (this.#waiting.has(this.#lastId));
      id = this.#lastId;
    }
    const bytes = make(id); // may fail
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {type, resolve, reject});
      this.#send(bytes);
    });
  }

  #received(data) {
    try {
      if (!(data instanceof ArrayBuffer)) throw new Malformed("a text frame");
      for (const raw of this.#packets.push(new Uint8Array(data))) {
        if (this.#ended) return;
        this.#handle(decode(raw));
      }
    } catch (error) {
      this.#end(error);
    }
  }

  #handle(p) {
    this.#heard = true;
    if (!this.#ready) {
      if (p.type === DISCONNECT) throw new Refused(p.code, p.properties.get(0x1f));
      if (p.type !== CONNACK) throw new Malformed("no CONNACK first");
      if (p.code !== 0) throw new Refused(p.code, p.properties.get(0x1f));
      this.#ready = true;
      this.#handlers.onready?.();
      return;
    }
    switch (p.type) {
      case PUBLISH: {
        const again = p.qos === 2 && this.#open2.has(p.packetId);
        if (p.qos === 2 && !again) {
          if (this.#open2.size >= receiveMaximum) throw new Malformed("more than the receive maximum");
          this.#open2.add(p.packetId);
        }
        if (!again) this.#handlers.onmessage?.({...p, properties: named(p.properties)});
        if (p.qos > 0) this.#send(packet(p.qos === 1 ? PUBACK : PUBREC, 0, new Writer().two(p.packetId)));
        return;
      }
      case PUBREL:
        this.#send(packet(PUBCOMP, 0, new Writer().two(p.packetId).byte(this.#open2.delete(p.packetId) ? 0 : 0x92)));
        return;
      case DISCONNECT:
        throw new Refused(p.code, p.properties.get(0x1f));
      case PINGRESP:
        return;
      case CONNACK:
        throw new Malformed("a second CONNACK");
    }
    const waits = this.#waiting.get(p.packetId);
    if (!waits || waits.type !== p.type) throw new Malformed("an answer to nothing");
    this.#waiting.delete(p.packetId);
    waits.resolve(p);
  }

  #end(error) {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#ping);
    this.#socket.close();
    for (const {reject} of this.#waiting.values()) reject(error ?? new Error("closed"));
    this.#waiting.clear();
    this.#handlers.onclose?.(error);
  }
}

// named gives the properties of a message their names.
function named(properties) {
  const all = {};
  for (const [id, name] of Object.entries(names)) {
    if (properties.has(Number(id))) all[name] = properties.get(Number(id));
  }
  if (properties.has(0x26)) all.user = properties.get(0x26);
  return all;
}
