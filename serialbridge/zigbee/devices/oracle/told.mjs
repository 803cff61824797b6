// What devices tell otherwise than by an attribute of one value, found out by trying
// their converters: commands that mean an action, bits of a zone status, members of
// Xiaomi's structures. It adds to the rows and quirks of definitions.mjs.
import {createRequire} from "node:module";
import {Zcl} from "./offline.mjs";
import {classify, samples} from "./probe.mjs";

const require = createRequire(import.meta.url);
const library = (name) => require(`zigbee-herdsman-converters/${name}`);
const {Endpoint} = require("zigbee-herdsman/dist/controller/model/endpoint.js");
const {batteryVoltageToPercentage} = library("lib/utils");

// names of converters that are exported somewhere, by what they do.
const names = new Map();
for (const [prefix, converters] of [
    ["", library("converters/fromZigbee")], ["lumi.", library("lib/lumi").fromZigbee], ["tuya.", library("lib/tuya").fz],
    ["philips.", library("lib/philips").philipsFz ?? library("lib/philips").fz], ["legacy.", library("lib/legacy").fromZigbee],
]) {
    for (const [name, c] of Object.entries(converters ?? {})) if (c?.convert) names.set(c.convert, prefix + name);
}

// Converters send and do not wait: there is no radio.
process.on("unhandledRejection", () => {});

let looked = false;
const cached = Endpoint.prototype.getClusterAttributeValue;
Endpoint.prototype.getClusterAttributeValue = function (...a) {
    looked = true;
    return cached.apply(this, a);
};
const state = new Proxy({}, {get: (_, key) => (typeof key === "string" && (looked = true), undefined), has: () => ((looked = true), false)});
const silent = {debug() {}, info() {}, warning() {}, error() {}};
let sequence = 0;

// soon gives up on what waits for a device.
const soon = (promise) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 20))]);

async function convert(d, zh, c, endpoint, type, data, published) {
    const m = {
        type, data, endpoint, device: zh, cluster: c.cluster, linkquality: 100, groupID: 0,
        meta: {zclTransactionSequenceNumber: ++sequence, frameControl: {}, rawData: Buffer.alloc(0)},
    };
    try {
        const got = c.convert(d, m, (p) => published?.push(p), {}, {device: zh, logger: silent, state, deviceExposesChanged() {}});
        return (got instanceof Promise ? await soon(got) : got) ?? {};
    } catch {
        return {};
    }
}

const clusterOf = (zh, key) => (typeof key === "number" ? Zcl.Utils.getCluster(key, undefined, zh.customClusters) : zh.customClusters[key] ?? Zcl.Clusters[key]);
const typesOf = (c) => (Array.isArray(c.type) ? c.type : [c.type]);

// quirks are converters (names of those that have one) and zone: property → [bit of
// the status, value while it is not set], by what tells it.
export async function quirks(d, zh, ids) {
    const out = {};
    const converters = [...new Set(d.fromZigbee.map((c) => names.get(c.convert)).filter((n) => n && !n.startsWith("ignore_")))];
    if (converters.length) out.converters = converters;
    const endpoint = zh.getEndpoint(ids[0]);
    const power = d.fromZigbee.filter((c) => c.cluster === "genPowerCfg" && typesOf(c).includes("attributeReport"));
    const percents = await Promise.all(power.map((c) => convert(d, zh, c, endpoint, "attributeReport", {batteryPercentageRemaining: 100})));
    if (power.length && percents.every((got) => got.battery === undefined)) out.distrusted = true;
    for (const [kind, type, key] of [["commands", "commandStatusChangeNotification", "zonestatus"], ["reports", "attributeReport", "zoneStatus"]]) {
        const zone = {};
        let any = false;
        for (const c of d.fromZigbee) {
            if (c.cluster !== "ssIasZone" || !typesOf(c).includes(type)) continue;
            any = true;
            const tell = (n) => convert(d, zh, c, endpoint, type, {[key]: n, extendedstatus: 0, zoneID: 0, delay: 0});
            const none = await tell(0);
            for (let bit = 0; bit < 16; bit++) {
                const one = await tell(1 << bit);
                for (const [p, v] of Object.entries(one)) {
                    if (typeof v === "boolean" && typeof none[p] === "boolean" && v !== none[p]) zone[p] = [bit, none[p]];
                }
            }
        }
        if (any) (out.zone ??= {})[kind] = zone;
    }
    return out;
}

// commandRows are actions by cluster, command and the first byte of its payload.
export async function commandRows(d, zh, ids) {
    const rows = [];
    for (const c of d.fromZigbee) {
        const cluster = clusterOf(zh, c.cluster);
        if (!cluster || ["ssIasZone", "manuSpecificTuya", "greenPower", "ssIasAce"].includes(c.cluster)) continue;
        const known = names.get(c.convert) ?? "";
        if (known.startsWith("command_") || known === "tuya.on_off_action" || known.startsWith("philips.")) continue; // traits of their own
        for (const type of typesOf(c)) {
            if (type?.startsWith("commandTradfriArrow")) continue;
            const name = type?.startsWith("command") && type[7].toLowerCase() + type.slice(8);
            const command = name && [...Object.values(cluster.commands), ...Object.values(cluster.commandsResponse)].find((x) => x.name === name);
            if (!command) continue;
            for (const id of ids) {
                const endpoint = zh.getEndpoint(id);
                if (!endpoint) continue;
                looked = false;
                const [first] = command.parameters;
                const told = new Map(); // first byte → action
                for (let byte = 0; byte < (first ? 20 : 1); byte++) {
                    for (const x of first?.type === 0x21 ? [byte, byte + 256] : [byte]) {
                        const data = Object.fromEntries(command.parameters.map((p, i) => [p.name, i === 0 ? x : [0x41, 0x42].includes(p.type) ? "" : 0]));
                        const {action} = await convert(d, zh, c, endpoint, type, data);
                        const other = Object.fromEntries(Object.entries(data).map(([k, v], i) => [k, i && typeof v === "number" ? 7 : v]));
                        if ((await convert(d, zh, c, endpoint, type, other)).action !== action) looked = true; // it is not the first byte alone
                        if (typeof action === "string" && !/undefined|null|NaN/.test(action)) told.set(byte, told.has(byte) && told.get(byte) !== action ? undefined : action);
                    }
                }
                if (looked || told.size === 0 || [...told.values()].includes(undefined)) continue;
                const counts = new Map();
                for (const v of told.values()) counts.set(v, (counts.get(v) ?? 0) + 1);
                const [common, n] = [...counts].sort((a, b) => b[1] - a[1])[0];
                const row = {c: cluster.ID, C: command.ID, p: "action", e: id, k: "enum"};
                if (told.size === (first ? 20 : 1) && n >= told.size / 2) row.o = common;
                const listed = [...told].filter(([, v]) => v !== row.o);
                if (listed.length) row.n = Object.fromEntries(listed);
                rows.push(row);
            }
        }
    }
    return joined(rows, ids);
}

// joined makes rows of all endpoints one, where they say the same.
function joined(rows, ids) {
    const by = new Map();
    for (const {e, ...row} of rows) {
        const key = JSON.stringify(row);
        by.set(key, [...(by.get(key) ?? []), e]);
    }
    return [...by].flatMap(([key, es]) => (es.length === ids.length ? [JSON.parse(key)] : es.map((e) => ({...JSON.parse(key), e}))));
}

// buttonRows are the actions of Aqara's buttons, which stand on endpoints of their own.
export async function buttonRows(d, zh) {
    const rows = [];
    const buttons = [1, 2, 3, 4, 5, 6, 7, 41, 42, 43, 51, 52, 53, 61];
    for (const c of d.fromZigbee) {
        const name = names.get(c.convert);
        const key = {"lumi.lumi_action_multistate": "presentValue", "lumi.lumi_action": "onOff"}[name];
        if (!key || ["MFKZQ01LM", "CTP-R01"].includes(d.model)) continue;
        const at = [];
        for (const e of buttons) {
            looked = false;
            const endpoint = zh.getEndpoint(e) ?? zh.createEndpoint(e);
            const told = [];
            for (const x of key === "onOff" ? [0, 1] : [0, 1, 2, 3, 5, 6, 16, 17, 18, 255]) {
                const published = [];
                const {action} = await convert(d, zh, c, endpoint, "attributeReport", {[key]: x}, published);
                if (published.length) continue;
                if (typeof action === "string" && !/undefined|null/.test(action)) told.push([x, action]);
            }
            if (told.length) at.push({e, n: Object.fromEntries(told)});
        }
        const common = {c: key === "onOff" ? 6 : 0x12, i: key === "onOff" ? 0 : 0x55, p: "action", k: "enum"};
        const alike = at.length === buttons.length && at.every((x) => JSON.stringify(x.n) === JSON.stringify(at[0].n));
        if (alike) rows.push({...common, e: 0, n: at[0].n});
        else for (const x of at) rows.push({...common, ...x});
    }
    return rows;
}

// lumiRows are the attributes of Xiaomi's own cluster that herdsman has no name for.
export async function lumiRows(d, zh, ids) {
    const rows = [];
    for (const c of d.fromZigbee) {
        if (names.get(c.convert) !== "lumi.lumi_specific") continue;
        const endpoint = zh.getEndpoint(ids[0]);
        for (let id = 0; id < 1400; id++) {
            if (id === 247) continue;
            const quick = [];
            for (const x of [0, 1, 2]) quick.push(...Object.keys(await convert(d, zh, c, endpoint, "attributeReport", {[id]: x})));
            if (quick.length === 0) continue;
            looked = false;
            const tried = [];
            for (const x of samples(0x23)) tried.push([x, await convert(d, zh, c, endpoint, "attributeReport", {[id]: x})]);
            if (looked) continue;
            for (const p of new Set(tried.flatMap(([, got]) => Object.keys(got)))) {
                const made = simple(tried.map(([x, got]) => [x, got[p]]));
                if (made) rows.push({c: 0xfcc0, i: id, m: 0x115f, p, ...made});
            }
        }
    }
    for (const r of rows) delete r.one;
    return rows;
}

// simple is classify, but for what is told of a few values only.
function simple(pairs) {
    const told = pairs.filter(([, y]) => y !== undefined);
    return told.length && told.every(([x, y]) => x === y) ? {k: "identity"} : classify(pairs);
}

const curves = [
    "3V_2100", "3V_1500_2800",
    ...[2850, 2800, 2750, 2700, 2600, 2500, 2400, 2300, 2200, 2100, 2000, 1900, 1800].flatMap((min) => [2900, 2950, 3000, 3050, 3100, 3200, 3300].filter((max) => max > min).map((max) => ({min, max}))),
    {min: 2850, max: 3000, vOffset: 1}, {min: 3000, max: 4200}, {min: 6500, max: 8400},
];
const volts = [...Array(40).keys()].map((n) => 1800 + 37 * n);

// structureRows are those of the members of the structure that Xiaomi's devices tell.
export async function structureRows(d, zh, ids) {
    const rows = [];
    for (const c of d.fromZigbee) {
        if (!["genBasic", "manuSpecificLumi"].includes(c.cluster) || !typesOf(c).includes("attributeReport")) continue;
        const endpoint = zh.getEndpoint(ids[0]);
        const basic = c.cluster === "genBasic";
        const tell = (tag, x) => {
            if (basic) return convert(d, zh, c, endpoint, "attributeReport", {65281: {[tag]: x}});
            const b = Buffer.from([tag, 0x2b, 0, 0, 0, 0]);
            b.writeInt32LE(x, 2);
            return convert(d, zh, c, endpoint, "attributeReport", {247: b});
        };
        for (let tag = 0; tag < 256; tag++) {
            const quick = [];
            for (const x of [0, 1, 3000]) quick.push(...Object.keys(await tell(tag, x)));
            if (quick.length === 0) continue;
            looked = false;
            const tried = [];
            const xs = samples(undefined);
            for (const x of tag === 1 ? volts : xs) tried.push([x, await tell(tag, x)]);
            const properties = new Set(tried.flatMap(([, got]) => Object.keys(got)));
            if (looked || (tag === 155 && properties.size === 0)) continue;
            for (const p of properties) {
                const pairs = tried.map(([x, got]) => [x, got[p]]);
                if (pairs.every(([, y]) => y === undefined)) continue;
                const row = {c: basic ? 0 : 0xfcc0, i: basic ? 0xff01 : 0xf7, T: tag, p};
                if (!basic) row.m = 0x115f;
                const curve = tag === 1 && p === "battery" && [d.meta?.battery?.voltageToPercentage, ...curves].find((x) => x && pairs.every(([v, y]) => y === undefined || batteryVoltageToPercentage(v, x) === y));
                const offset = pairs.every(([x, y]) => y === x - 1 || (p === "trigger_count" && (x < 0 || x > 0xffff))); // it counts in 16 bits
                const made = curve ? {k: "voltageCurve", a: curve} : offset ? {k: "plus", a: -1} : simple(pairs);
                if (made) rows.push({...row, ...made});
                else console.error("structure", d.model, tag, p);
            }
        }
    }
    for (const r of rows) {
        delete r.one;
        delete r.within;
    }
    return rows;
}

const pointTypes = ["raw", "bool", "number", "string", "enum", "bitmap"];
const leaves = (list) => list.flatMap((e) => (e.features && e.type !== "composite" ? leaves(e.features) : [e]));
const number = (b) => [...b].reduce((n, x) => (n * 256 + x) | 0, 0);

// pointRows are the datapoints of definitions that have no table of them.
export async function pointRows(d, zh, ids, exposes) {
    const rows = [];
    const endpoint = zh.getEndpoint(ids[0]);
    for (const c of d.fromZigbee) {
        if (c.cluster !== "manuSpecificTuya" || !typesOf(c).includes("commandDataReport")) continue;
        const tell = (dp, datatype, x) => {
            const data = Buffer.from(datatype === 2 ? [0, 0, 0, 0] : [x & 0xff]);
            if (datatype === 2) data.writeInt32BE(x);
            return convert(d, zh, c, endpoint, "commandDataReport", {seq: ++sequence & 0xffff, dpValues: [{dp, datatype, data}]});
        };
        for (let dp = 1; dp < 256; dp++) {
            looked = false;
            const any = new Set();
            for (const [t, x] of [[1, 0], [1, 1], [2, 0], [2, 1], [2, 3], [2, 215]]) Object.keys(await tell(dp, t, x)).forEach((p) => any.add(p));
            if (any.size === 0) continue;
            const numbers = [];
            for (const x of samples(undefined)) numbers.push([x, await tell(dp, 2, x)]);
            const truths = [[0, await tell(dp, 1, 0)], [1, await tell(dp, 1, 1)]];
            if (looked) continue;
            let first = true;
            for (const p of any) {
                const n = numbers.map(([x, got]) => [x, got[p]]), t = truths.map(([x, got]) => [x, got[p]]);
                const constant = new Set(n.map(([, y]) => y)).size <= 1;
                const made = constant && t.every(([, y]) => y !== undefined) && t[0][1] !== t[1][1] ? {k: "bool", n: Object.fromEntries(t)} : classify(n);
                if (!made) continue;
                delete made.one;
                delete made.within;
                rows.push({i: dp, p, ...made, ...(first ? {} : {b: 1})});
                first = false;
            }
        }
    }
    for (const e of leaves(exposes)) if (e.access & 2) await sent(d, zh, endpoint, e, rows);
    return rows;
}

// sentRows adds how values are sent that take code to be read.
export async function sentRows(d, zh, ids, exposes, rows) {
    const endpoint = zh.getEndpoint(ids[0]);
    for (const e of leaves(exposes)) {
        const at = rows.findIndex((r) => r.p === (e.property ?? e.name));
        if (!(e.access & 2) || at < 0 || ["identity", "scale", "enum", "bool", "range", "write-only"].includes(rows[at].k)) continue;
        const fresh = [];
        await sent(d, zh, endpoint, e, fresh);
        rows.push(...fresh);
    }
}

// sent finds out as what the property is sent, and adds it to the rows.
async function sent(d, zh, endpoint, e, rows) {
    const key = e.name;
    const c = d.toZigbee.find((x) => (!x.key || x.key.includes(key)) && x.convertSet && (!x.endpoints || !e.endpoint || x.endpoints.includes(e.endpoint)));
    if (!c) return;
    const values = e.values ?? (e.type === "binary" ? [e.value_on, e.value_off] : e.type === "numeric" ? [1, 2, 10, 20].map((n) => Math.max(n, e.value_min ?? n)) : []);
    const tried = [];
    const command = endpoint.command;
    for (const v of values) {
        let got;
        endpoint.command = (cluster, name, payload) => {
            if (cluster === "manuSpecificTuya" && payload.dpValues?.length === 1 && !got) got = payload.dpValues[0];
            else got = {};
            return Promise.resolve();
        };
        try {
            const property = e.endpoint ? `${key}_${e.endpoint}` : key;
            await soon(c.convertSet(endpoint, key, v, {message: {[property]: v, [key]: v}, device: zh, mapped: d, state: {}, options: {}, endpoint_name: e.endpoint, logger: silent, publish() {}}));
        } catch {
            // not such a value
        }
        if (got?.dp) tried.push([v, got]);
    }
    endpoint.command = command;
    if (tried.length === 0 || new Set(tried.map(([, x]) => `${x.dp} ${x.datatype}`)).size !== 1) return;
    const {dp, datatype} = tried[0][1];
    const row = {i: dp, p: e.property ?? key, t: pointTypes[datatype]};
    const known = rows.find((r) => r.i === dp && r.p === row.p);
    const wire = tried.map(([v, x]) => [v, number(x.data)]);
    if (known) {
        known.t = row.t;
        if (known.k === "scale" && wire.every(([v, w]) => v === w)) known.ro = 1;
        return;
    }
    if (datatype === 0 || datatype === 3) return;
    if (e.type === "numeric") {
        const factor = wire[0][1] / wire[0][0];
        if (!wire.every(([v, w]) => Math.abs(v * factor - w) < 0.01)) return;
        if (factor !== 1) row.d = factor;
    } else row.n = Object.fromEntries(wire.map(([v, w]) => [w, v]));
    rows.push({...row, k: "write-only"});
}
