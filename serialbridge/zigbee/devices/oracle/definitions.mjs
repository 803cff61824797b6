// Writes what zigbee-herdsman-converters (MIT) know of devices in the form that
// package devices reads:
//
//	node definitions.mjs ../definitions.bin full.jsonl
//	LINTEL_ROWS=$PWD/full.jsonl LINTEL_KEPT=$PWD/kept.jsonl go test -run TestKeptRows ..
//	node definitions.mjs ../definitions.bin full.jsonl kept.jsonl
//
// The format stands in database.go. Conversions of attributes and datapoints are
// found out by trying them (probe.mjs); prose is left out but for the description
// of a device.
import {createRequire} from "node:module";
import fs from "node:fs";
import path from "node:path";
import zlib from "node:zlib";
import {Zcl, zhc, definitions, device, start} from "./offline.mjs";
import {attributeRows, datapointRows, settings} from "./rows.mjs";
import {buttonRows, commandRows, lumiRows, pointRows, quirks as told, sentRows, structureRows} from "./told.mjs";

const require = createRequire(import.meta.url);
const modelsIndex = require(path.join(path.dirname(require.resolve("zigbee-herdsman-converters")), "models-index.json"));

const label = (name) => {
    const text = name.replace(/_/g, " ");
    return text[0].toUpperCase() + text.slice(1);
};

// plain is an expose without its prose and without what follows from the rest.
function plain(e) {
    const {description, label: l, property, features, item_type, presets, ...out} = JSON.parse(JSON.stringify(e));
    if (l !== undefined && e.name === undefined) out.label = l;
    else if (l !== undefined && l !== label(e.name)) out.label = l;
    if (property !== undefined && property !== e.name) out.property = property;
    if (features) out.features = features.map(plain);
    if (item_type) out.item_type = plain(item_type);
    if (presets) out.presets = presets.map(({name, value}) => ({name, value}));
    return out;
}

// quirks are what is in meta and is data; a function is "function".
function quirks(meta) {
    const out = {};
    for (const [key, value] of Object.entries(meta ?? {})) {
        if (["multiEndpoint", "multiEndpointSkip", "tuyaDatapoints"].includes(key)) continue;
        const text = JSON.stringify(value, (_, v) => (typeof v === "function" ? "function" : v));
        if (text.length < 400) out[key] = JSON.parse(text);
    }
    return out;
}

const fingerprint = (f) => (f.ieeeAddr instanceof RegExp ? {...f, ieeeAddr: f.ieeeAddr.source} : f);

const options = [];
const optionNumber = new Map();
const all = [];
const place = new Map();
let address = 0x00a0000000000000n;
const statistics = {rows: 0, datapoints: 0, code: 0};

// The second time there is nothing to try any more.
const before = process.argv[4] ? fs.readFileSync(process.argv[3], "utf8").split("\n").map((l) => JSON.parse(l)) : [];
if (before.length) {
    const last = before.pop();
    options.push(...last.options);
    for (const [key, n] of last.place) place.set(key, n);
    all.push(...before);
    statistics.datapoints = all.reduce((n, line) => n + (line.t?.length ?? 0), 0);
}

for (const {file, index, raw} of before.length ? [] : definitions()) {
    const d = zhc.prepareDefinition(raw);
    const modelID = d.zigbeeModel?.[0] ?? d.fingerprint?.find((f) => f.modelID)?.modelID;
    const manufacturerName = d.fingerprint?.find((f) => f.manufacturerName)?.manufacturerName;
    const bare = device({ieee: `0x${(++address).toString(16).padStart(16, "0")}`, modelID, manufacturerName, endpoints: [{id: 1}]});
    let names = {};
    try {
        names = d.endpoint?.(bare) ?? {};
    } catch {
        // it looks for an endpoint that is not there
    }
    const ids = [...new Set([1, ...Object.values(names)])].filter((id) => Number.isInteger(id)).sort((a, b) => a - b);
    const zh = device({ieee: `0x${(++address).toString(16).padStart(16, "0")}`, modelID, manufacturerName, endpoints: ids.map((id) => ({id}))});
    await start(d, zh);
    const cluster = (key) => {
        if (typeof key === "number") return key;
        return (zh.customClusters[key] ?? Zcl.Clusters[key])?.ID;
    };
    const clusters = new Set(d.fromZigbee.map((c) => cluster(c.cluster)).filter((id) => id !== undefined));
    const list = typeof d.exposes === "function" ? d.exposes({isDummyDevice: true}, {}) : d.exposes;
    const line = {m: d.model, v: d.vendor, d: d.description};
    if (d.zigbeeModel?.length) line.z = d.zigbeeModel;
    if (d.fingerprint?.length) line.f = d.fingerprint.map(fingerprint);
    const white = (d.whiteLabel ?? []).filter((w) => w.fingerprint);
    if (white.length) line.w = white.map((w) => ({m: w.model, v: w.vendor, d: w.description, f: w.fingerprint.map(fingerprint)}));
    line.e = list.map(plain);
    if (typeof d.exposes === "function") line.ef = 1;
    line.o = d.options.map((o) => {
        const text = JSON.stringify(plain(o));
        if (!optionNumber.has(text)) {
            optionNumber.set(text, options.length);
            options.push(text);
        }
        return optionNumber.get(text);
    });
    if (Object.keys(names).length) line.ep = names;
    if (d.meta?.multiEndpoint) line.me = 1;
    if (d.meta?.multiEndpointSkip?.length) line.ms = d.meta.multiEndpointSkip;
    if (d.ota) line.ota = 1;
    line.c = [...clusters].sort((a, b) => a - b);
    const q = {...quirks(d.meta), ...(await told(d, zh, ids))};
    if (Object.keys(q).length) line.q = q;
    const code = new Set();
    const plainRows = await attributeRows(d, zh, ids, names, code);
    await settings(d, zh, list, plainRows, names);
    const rows = [...(await structureRows(d, zh, ids)), ...(await commandRows(d, zh, ids)), ...(await lumiRows(d, zh, ids))];
    rows.push(...(await buttonRows(d, zh)));
    Object.assign(line, {plainRows, code: [...code]});
    rows.push(...(await buttonRows(d, zh)));
    if (rows.length) line.a = rows;
    if (d.meta?.tuyaDatapoints) {
        line.t = datapointRows(d, zh);
        await sentRows(d, zh, ids, list, line.t);
    } else if (clusters.has(0xef00)) {
        line.t = await pointRows(d, zh, ids, list);
    }
    statistics.datapoints += line.t?.length ?? 0;
    place.set(`${file} ${index}`, all.length);
    all.push(line);
}

// Most rows say what the traits know. TestKeptRows of package devices finds out
// which do not; without its answer all are kept.
const kept = process.argv[4] && fs.readFileSync(process.argv[4], "utf8").split("\n").map((l) => l && JSON.parse(l));
if (process.argv[3] && !kept) fs.writeFileSync(process.argv[3], [...all, {options, place: [...place]}].map((line) => JSON.stringify(line)).join("\n"));
all.forEach((line, i) => {
    const rows = kept ? kept[i].keep.map((n) => line.plainRows[n]) : line.plainRows;
    for (const r of rows) delete r.within;
    for (const n of kept?.[i].bare ?? []) {
        delete line.plainRows[n].t;
        delete line.plainRows[n].g;
    }
    if (kept) rows.push(...(kept[i].nothing ?? []));
    line.a = [...(line.a ?? []), ...rows];
    delete line.plainRows;
    delete line.code;
    if (line.a.length === 0) delete line.a;
    statistics.rows += line.a?.length ?? 0;
});
const lines = all.map((line) => JSON.stringify(line));

// hash is FNV-1a of the model as the index of the converters has it, in lower case.
function hash(text) {
    let h = 0x811c9dc5;
    for (const b of Buffer.from(text)) h = Math.imul(h ^ b, 0x01000193) >>> 0;
    return h;
}
// Of a model that hundreds of definitions share, such as TS0601, those that name
// manufacturers are found by both.
const index = [];
for (const [model, at] of Object.entries(modelsIndex)) {
    let last = Infinity; // the converters try the last one first
    for (const [file, i] of at) {
        const n = place.get(`${file} ${i}`);
        if (n > last) throw new Error(`the definitions of ${model} are not in order`);
        last = n;
        const of = (all[n].f ?? []).filter((f) => (f.modelID ?? "null").toLowerCase() === model);
        if (!all[n].z?.some((z) => z.toLowerCase() === model) && of.length && of.every((f) => f.manufacturerName)) {
            for (const name of new Set(of.map((f) => f.manufacturerName))) index.push([hash(`${model}\0${name}`), n]);
        } else index.push([hash(model), n]);
    }
}
index.sort((a, b) => a[0] - b[0] || b[1] - a[1]);

// What occurs most is what the packer begins with, so that blocks can be small.
const pieces = new Map();
for (const line of all) {
    for (const piece of [...line.e, ...(line.a ?? [])].map((p) => JSON.stringify(p))) pieces.set(piece, (pieces.get(piece) ?? 0) + 1);
}
let dictionary = "";
for (const [piece, n] of [...pieces].sort((a, b) => (b[1] - 1) * b[0].length - (a[1] - 1) * a[0].length)) {
    if (n > 1 && Buffer.byteLength(dictionary + piece) < 32000) dictionary = piece + dictionary;
}

const blocks = [];
const perBlock = 64;
for (let i = 0; i < lines.length; i += perBlock) blocks.push(lines.slice(i, i + perBlock).join("\n"));
const packed = [options.join("\n"), dictionary].map((b) => zlib.deflateRawSync(b, {level: 9}));
packed.push(...blocks.map((b) => zlib.deflateRawSync(b, {level: 9, memLevel: 9, dictionary: Buffer.from(dictionary)})));

const head = Buffer.alloc(16);
head.write("LZD1", 0);
head.writeUInt32LE(lines.length, 4);
head.writeUInt32LE(index.length, 8);
head.writeUInt16LE(packed.length, 12);
head.writeUInt16LE(perBlock, 14);
const table = Buffer.alloc(index.length * 6);
index.forEach(([h, n], i) => {
    table.writeUInt32LE(h, i * 6);
    table.writeUInt16LE(n, i * 6 + 4);
});
const lengths = Buffer.alloc(packed.length * 4);
packed.forEach((p, i) => lengths.writeUInt32LE(p.length, i * 4));
const file = Buffer.concat([head, table, lengths, ...packed]);
fs.writeFileSync(process.argv[2], file);
console.error(`${lines.length} definitions, ${index.length} models, ${options.length} options, ${statistics.rows} rows, ${statistics.datapoints} datapoints: ${file.length} bytes, ${lines.join("").length} unpacked`);
process.exit(0);
