// Rows of attributes and datapoints of a definition, found out by trying its converters.
import {createRequire} from "node:module";
import {Zcl} from "./offline.mjs";
import {classify, samples} from "./probe.mjs";

const require = createRequire(import.meta.url);
const tuya = require("zigbee-herdsman-converters/lib/tuya");
const {Endpoint} = require("zigbee-herdsman/dist/controller/model/endpoint.js");

// looked says that a converter has looked at more than the value: what it does
// depends on what was before, and takes code.
let looked = false;
const cached = Endpoint.prototype.getClusterAttributeValue;
Endpoint.prototype.getClusterAttributeValue = function (...a) {
    looked = true;
    return cached.apply(this, a);
};
const state = new Proxy({}, {get: (_, key) => (typeof key === "string" && (looked = true), undefined), has: () => ((looked = true), false)});
const silent = {debug() {}, info() {}, warning() {}, error() {}};
let sequence = 0;

async function convert(d, zh, c, endpoint, data, type) {
    const m = {
        type, data, endpoint, device: zh, cluster: c.cluster, linkquality: 100, groupID: 0,
        meta: {zclTransactionSequenceNumber: ++sequence, frameControl: {}, rawData: Buffer.alloc(0)},
    };
    try {
        const got = c.convert(d, m, () => (looked = true), {}, {device: zh, logger: silent, state, deviceExposesChanged() {}});
        return (got instanceof Promise ? await got : got) ?? {};
    } catch {
        return {};
    }
}

// lookedAt returns the attributes that a converter looks at when a report comes.
export async function lookedAt(d, zh, c, endpoint, type, cluster) {
    const asked = new Set();
    const note = (key) => {
        if (typeof key === "string") asked.add(key);
    };
    const data = new Proxy({}, {
        get: (_, key) => note(key), has: (_, key) => (note(key), false),
        getOwnPropertyDescriptor: (_, key) => note(key),
        ownKeys: () => (Object.keys(cluster.attributes).forEach(note), []),
    });
    await convert(d, zh, c, endpoint, data, type);
    return [...asked].filter((key) => key in cluster.attributes || /^\d+$/.test(key));
}

export const clusterOf = (zh, key) => {
    if (typeof key === "number") return Zcl.Utils.getCluster(key, undefined, zh.customClusters);
    return zh.customClusters[key] ?? Zcl.Clusters[key];
};

// attributeRows returns the rows of what the device tells of its attributes. Of
// those that take code it puts "cluster:attribute" into code.
export async function attributeRows(d, zh, ids, names, code) {
    const rows = [];
    for (const c of d.fromZigbee) {
        const types = Array.isArray(c.type) ? c.type : [c.type];
        const type = types.find((t) => t === "attributeReport" || t === "readResponse");
        const cluster = clusterOf(zh, c.cluster);
        if (!type || !cluster) continue;
        const first = zh.getEndpoint(ids[0]);
        for (const key of await lookedAt(d, zh, c, first, type, cluster)) {
            if (["65281", "65282", "247"].includes(key)) continue; // structures of Xiaomi
            const attribute = cluster.attributes[key];
            const found = new Map(); // property without endpoint → rows by endpoint
            for (const id of ids) {
                const endpoint = zh.getEndpoint(id);
                looked = false;
                const tried = [];
                for (const x of samples(attribute?.type)) tried.push([x, await convert(d, zh, c, endpoint, {[key]: x}, type)]);
                const takesCode = () => code.add(`${cluster.ID}:${attribute ? attribute.ID : key}`);
                if (looked) {
                    takesCode();
                    continue;
                }
                for (const property of new Set(tried.flatMap(([, got]) => Object.keys(got)))) {
                    const row = classify(tried.map(([x, got]) => [x, got[property]]));
                    if (!row) {
                        takesCode();
                        continue;
                    }
                    if (attribute?.type === 0x10 && row.n) row.n = Object.fromEntries(Object.entries(row.n).filter(([n]) => n < 2));
                    const name = Object.keys(names).find((n) => names[n] === id);
                    const base = d.meta?.multiEndpoint && name && property.endsWith(`_${name}`) ? property.slice(0, -name.length - 1) : property;
                    if (!found.has(base)) found.set(base, []);
                    found.get(base).push({id, property, row});
                }
            }
            for (const [base, at] of found) {
                const common = {c: cluster.ID, i: attribute ? attribute.ID : Number(key)};
                if (attribute?.manufacturerCode ?? cluster.manufacturerCode) common.m = attribute?.manufacturerCode ?? cluster.manufacturerCode;
                // The engine appends the names of endpoints to all or to none.
                const suffixed = !d.meta?.multiEndpoint || d.meta.multiEndpointSkip?.includes(base)
                    || (Object.keys(names).length > 0 && at.every((x) => x.property !== base || !Object.values(names).includes(x.id)));
                const alike = suffixed && at.length === ids.length && at.every((x) => JSON.stringify(x.row) === JSON.stringify(at[0].row));
                if (alike) rows.push({...common, p: base, ...at[0].row});
                else for (const x of at) rows.push({...common, e: x.id, p: x.property, ...x.row});
            }
        }
    }
    for (const r of rows) delete r.one;
    return rows;
}

const leaves = (list) => list.flatMap((e) => (e.features && e.type !== "composite" ? leaves(e.features) : [e]));
const soon = (promise) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 20))]);

// settings adds to the rows how they are written (t, the type of the attribute) and
// that they are read (g), where that is one attribute and the conversion backwards.
export async function settings(d, zh, exposes, rows, names) {
    for (const e of leaves(exposes)) {
        if (!e.name || !(e.access & 6)) continue;
        const row = rows.find((r) => r.p === e.property || (r.p === e.name && r.e === undefined));
        if (!row || !["identity", "scale", "enum", "bool"].includes(row.k)) continue;
        const cluster = Object.values(zh.customClusters).find((c) => c.ID === row.c) ?? Object.values(Zcl.Clusters).find((c) => c.ID === row.c);
        const endpoint = zh.getEndpoint((e.endpoint && names[e.endpoint]) || zh.endpoints[0].ID);
        const converter = (kind) => d.toZigbee.find((x) => x.key?.includes(e.name) && x[kind] && (!x.endpoints || !e.endpoint || x.endpoints.includes(e.endpoint)));
        const sent = [];
        const kept = {write: endpoint.write, read: endpoint.read, command: endpoint.command};
        endpoint.write = (...a) => (sent.push(["write", ...a]), Promise.resolve());
        endpoint.read = (...a) => (sent.push(["read", ...a]), Promise.resolve({}));
        endpoint.command = (...a) => (sent.push(["command", ...a]), Promise.resolve());
        const meta = (message) => ({message, device: zh, mapped: d, state: {}, options: {}, endpoint_name: e.endpoint, logger: silent, publish() {}});
        const idOf = (key) => (cluster?.attributes[key]?.ID ?? Number(key));
        try {
            if (e.access & 2 && converter("convertSet")) {
                const wires = row.n ? Object.entries(row.n).map(([w, v]) => [v, Number(w)]) : [[Math.max(e.value_min ?? 2, 2), Math.max(e.value_min ?? 2, 2) * (row.d ?? 1)]];
                let type;
                const right = [];
                for (const [v, w] of wires) {
                    sent.length = 0;
                    await soon(converter("convertSet").convertSet(endpoint, e.name, v, meta({[e.property]: v, [e.name]: v})));
                    const [first] = sent;
                    const pairs = sent.length === 1 && first[0] === "write" ? Object.entries(first[2]) : [];
                    if (pairs.length !== 1 || idOf(pairs[0][0]) !== row.i) continue;
                    const [key, x] = pairs[0];
                    const value = x !== null && typeof x === "object" && "value" in x ? x.value : x;
                    if (Math.abs(Number(value) - w) > 0.5) continue;
                    type = x?.type ?? cluster?.attributes[key]?.type;
                    if (first[3]?.manufacturerCode) row.m = first[3].manufacturerCode;
                    right.push(v);
                }
                // Of an enum those count that can be chosen.
                const needed = row.n ? wires.filter(([v]) => !e.values || e.values.includes(v)).map(([v]) => v) : [wires[0][0]];
                if (type !== undefined && needed.every((v) => right.includes(v))) row.t = type;
            }
            if (e.access & 4 && converter("convertGet")) {
                sent.length = 0;
                await soon(converter("convertGet").convertGet(endpoint, e.name, meta({[e.property]: ""})));
                const [first] = sent;
                if (sent.length === 1 && first[0] === "read" && first[2].some((key) => idOf(key) === row.i)) {
                    row.g = 1;
                    if (first[3]?.manufacturerCode) row.m = first[3].manufacturerCode;
                }
            }
        } catch {
            // it wants something else
        }
        Object.assign(endpoint, kept);
    }
}

const converterName = (() => {
    const by = new Map();
    for (const [name, v] of Object.entries(tuya.valueConverter)) {
        const from = typeof v === "function" ? undefined : v.from;
        by.set(v, name);
        if (from) by.set(from, name);
        if (typeof v === "function") {
            for (const argument of [1, "x", undefined, {}]) {
                try {
                    const made = v(argument);
                    if (made?.from) by.set(made.from.toString(), name);
                    break;
                } catch {
                    // it wants something else
                }
            }
        }
    }
    return (v) => by.get(v) ?? by.get(v.from) ?? (v.from && by.get(v.from.toString()));
})();

// datapointRows returns the rows of Tuya's table.
export function datapointRows(d, zh) {
    const rows = [];
    for (const [dp, property, conversion, more] of d.meta.tuyaDatapoints) {
        const converter = conversion ?? {};
        const row = {i: dp};
        if (property) row.p = property;
        const meta = {device: zh, state, options: {}, message: {}, mapped: d, logger: silent, deviceExposesChanged() {}};
        looked = false;
        const from = (x) => {
            try {
                const y = converter.from(x, meta, {}, () => (looked = true), {device: zh, data: {}, endpoint: zh.endpoints[0]});
                return y instanceof Promise ? ((looked = true), undefined) : y;
            } catch {
                return undefined;
            }
        };
        let made;
        if (converter.from && property) {
            const numbers = classify(samples(undefined).filter((x) => x >= 0 || converter.from.length).map((x) => [x, from(x)]));
            const truth = [false, true].map((x) => [x ? 1 : 0, from(x)]);
            const texts = from("text") === "text";
            if (!looked) {
                const truths = truth.every(([, y]) => y !== undefined) ? Object.fromEntries(truth) : undefined;
                const plainTruth = truths && truths[0] === false && truths[1] === true;
                if (numbers && numbers.k !== "enum" && numbers.k !== "bool") made = numbers;
                else if (truths && (!numbers || numbers.one || numbers.n === undefined || Object.keys(numbers.n).length === 0 || truths[0] !== truths[1])) {
                    made = !numbers || numbers.one || Object.keys(numbers.n ?? {}).length === 0 ? {k: "bool", n: truths} : numbers;
                } else made = numbers;
                if (plainTruth && texts && made?.k === "identity") made = {k: "identity"};
            }
        }
        // Whether true and false mean anything, besides 1 and 0: for who makes frames up.
        Object.defineProperty(row, "truth", {value: from(true) !== undefined && from(true) !== from(false), enumerable: false});
        if (made) Object.assign(row, made);
        else row.k = converter.from ? (converterName(converter) ?? "code") : "write-only";
        delete row.one;
        delete row.within;
        if (converter.to) {
            const tried = [];
            const candidates = row.n ? Object.values(row.n) : [1, 10, 37, true, false, "ON", "OFF", "text"];
            for (const v of new Set(candidates)) {
                try {
                    const w = converter.to(v, {...meta, message: {[property]: v}});
                    if (w !== undefined && !(w instanceof Promise)) tried.push([v, w]);
                } catch {
                    // not such a value
                }
            }
            const types = new Set(tried.map(([, w]) => (w instanceof tuya.Enum ? "enum" : w instanceof tuya.Bitmap ? "bitmap"
                : typeof w === "boolean" ? "bool" : typeof w === "number" ? "number" : Array.isArray(w) ? "raw" : "string")));
            if (types.size === 1) row.t = [...types][0];
            if (row.k === "scale" && tried.length && tried.every(([v, w]) => typeof v !== "number" || Number(w.valueOf()) === v)) row.ro = 1;
            if (row.k === "write-only" && tried.some(([v]) => typeof v === "string" && v !== "text")) {
                row.n = Object.fromEntries(tried.filter(([v]) => v === "ON" || v === "OFF").map(([v, w]) => [Number(w.valueOf()), v]));
            }
        } else row.r0 = 1;
        if (more?.optimistic === false) row.s = 1;
        rows.push(row);
    }
    return rows;
}
