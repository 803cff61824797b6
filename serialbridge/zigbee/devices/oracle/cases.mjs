// Makes devices up and writes what zigbee2mqtt says of their frames:
//
//	node cases.mjs ../testdata/oracle.jsonl.gz
//	node cases.mjs ../testdata/oracle-again.jsonl.gz 424242
//
// The devices are drawn from the converters' own definitions: those of which all
// clusters are of the standard, and those of which all datapoints of Tuya are in
// a table. Each sends frames for every attribute, command and datapoint that its
// converters look at. The choice is seeded, so that it can be made again, and
// another seed tells whether what is the same is so for one draw only.
import fs from "node:fs";
import zlib from "node:zlib";
import {Zcl, zhc, definitions, device, start, message, publish, exposes} from "./offline.mjs";
import {lookedAt, clusterOf, datapointRows} from "./rows.mjs";
import {samples} from "./probe.mjs";

Date.now = () => 1800000000000; // how long a button was held does not depend on the machine

const wanted = {standard: 240, tabular: 120};
let seed = Number(process.argv[3] ?? 20261122);
function random() {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
}
const pick = (list) => list[Math.floor(random() * list.length)];

const standard = new Set(Object.values(Zcl.Clusters).filter((c) => c.ID < 0x8000).map((c) => c.name));
const tabular = (d, rows) => d.meta?.tuyaDatapoints && rows?.every((r) => ["identity", "scale", "enum", "bool", "range", "write-only"].includes(r.k));

function kind(d, rows) {
    const clusters = d.fromZigbee.map((c) => c.cluster);
    if (clusters.length === 0) return undefined;
    if (clusters.every((c) => standard.has(c))) return "standard";
    if (tabular(d, rows) && clusters.every((c) => standard.has(c) || c === "manuSpecificTuya")) return "tabular";
    return undefined;
}

// value is one that the attribute or parameter may have.
function value(of) {
    const within = samples(of.type).filter((n) => (of.min === undefined || n >= of.min) && (of.max === undefined || n <= of.max));
    switch (of.type) {
        case 0x10: return pick([0, 1]);
        case 0x41: return Buffer.from("010203", "hex");
        case 0x42: return "text";
        case 0xf0: return "0x00124b0012345678";
        case 0xf1: return Buffer.alloc(16);
        case 0x38: case 0x39: case 0x3a: return pick([0, 1, 21.5, 400, 0.000413]);
    }
    return within.length ? pick(within) : (of.min ?? 0);
}

let sequence = 0;
const header = (type, toClient) => [type, toClient ? 1 : 0, true, null, (sequence = (sequence % 250) + 1)];

function report(cluster, attributes, name = "report") {
    const payload = attributes.map((a) => ({attrId: a.ID, status: 0, dataType: a.type, attrData: a.value}));
    const code = attributes[0].manufacturerCode ?? cluster.manufacturerCode ?? null;
    const [type, direction, quiet, , tsn] = header(0, true);
    return Zcl.Frame.create(type, direction, quiet, code, tsn, name, cluster, payload, {}).toBuffer();
}

function command(cluster, name) {
    for (const [toClient, commands] of [[true, cluster.commandsResponse], [false, cluster.commands]]) {
        const m = commands[name];
        if (!m) continue;
        if (m.parameters.some((p) => p.type >= 1000)) return undefined;
        const payload = {};
        for (const p of m.parameters) payload[p.name] = value(p);
        const [type, direction, quiet, , tsn] = header(1, toClient);
        return Zcl.Frame.create(type, direction, quiet, cluster.manufacturerCode ?? null, tsn, m.name, cluster, payload, {}).toBuffer();
    }
    return undefined;
}

function datapoint(row) {
    let [datatype, n] = [2, pick([0, 1, 7, 42, 215, 1234])];
    if (row.k === "enum" || row.k === "bool") {
        n = Number(pick(Object.keys(row.n)));
        datatype = row.truth && n < 2 ? 1 : 4;
    } else if (row.k === "range") n = pick([0, 1, row.r[1] >> 1, row.r[1]]);
    if (row.t === "enum") datatype = 4;
    const data = Buffer.alloc(datatype === 2 ? 4 : 1);
    if (datatype === 2) data.writeInt32BE(n);
    else data[0] = n;
    const [type, direction, quiet, , tsn] = header(1, true);
    return Zcl.Frame.create(type, direction, quiet, null, tsn, "dataReport", Zcl.Clusters.manuSpecificTuya,
        {seq: sequence, dpValues: [{dp: row.i, datatype, data}]}, {}).toBuffer();
}

async function frames(d, zh, ids, rows) {
    const out = [];
    const add = (cluster, ep, buffer) => buffer && out.push({cluster, ep, hex: buffer.toString("hex")});
    const seen = new Set();
    for (const c of d.fromZigbee) {
        const cluster = clusterOf(zh, c.cluster);
        if (!cluster) continue;
        for (const type of Array.isArray(c.type) ? c.type : [c.type]) {
            const key = `${c.cluster} ${type}`;
            if (type.startsWith("command") && c.cluster !== "manuSpecificTuya") {
                if (seen.has(key)) continue;
                seen.add(key);
                const name = type[7].toLowerCase() + type.slice(8);
                for (let i = 0; i < 2; i++) {
                    try {
                        add(cluster.ID, pick(ids), command(cluster, name));
                    } catch {
                        // herdsman makes no such command
                    }
                }
            }
        }
        const types = Array.isArray(c.type) ? c.type : [c.type];
        const type = types.find((t) => t === "attributeReport" || t === "readResponse");
        if (!type) continue;
        for (const name of await lookedAt(d, zh, c, zh.getEndpoint(ids[0]), type, cluster)) {
            const a = cluster.attributes[name];
            if (!a || seen.has(`${c.cluster} ${name}`) || a.type >= 0x48 && a.type < 0xe0) continue;
            seen.add(`${c.cluster} ${name}`);
            for (let i = 0; i < 2; i++) {
                add(cluster.ID, pick(ids), report(cluster, [{...a, value: value(a)}], type === "readResponse" ? "readRsp" : "report"));
            }
        }
    }
    if (rows) for (const r of rows) if (r.k !== "write-only") for (let i = 0; i < 2; i++) add(0xef00, ids[0], datapoint(r));
    // What meters say of their numbers comes first.
    const scales = [];
    const names = d.fromZigbee.map((c) => c.cluster);
    if (names.includes("seMetering") && random() < 0.7) {
        const c = Zcl.Clusters.seMetering;
        scales.push([c, [{...c.attributes.divisor, value: pick([1, 100, 1000, 3600000])}, {...c.attributes.multiplier, value: 1}]]);
    }
    if (names.includes("haElectricalMeasurement") && random() < 0.7) {
        const c = Zcl.Clusters.haElectricalMeasurement;
        scales.push([c, ["acVoltageMultiplier", "acVoltageDivisor", "acCurrentMultiplier", "acCurrentDivisor", "acPowerMultiplier", "acPowerDivisor"]
            .map((n) => ({...c.attributes[n], value: n.endsWith("Multiplier") ? 1 : pick([1, 10, 100, 1000])}))]);
    }
    return [...scales.map(([c, list]) => ({cluster: c.ID, ep: ids[0], hex: report(c, list, "readRsp").toString("hex")})), ...out.slice(0, 90)];
}

const candidates = {standard: [], tabular: []};
const nobody = device({ieee: "0x00a0000000000002", endpoints: [{id: 1}]});
for (const {raw} of definitions()) {
    const d = zhc.prepareDefinition(raw);
    const rows = d.meta?.tuyaDatapoints && datapointRows(d, nobody);
    const k = kind(d, rows);
    if (k) candidates[k].push({raw, d, rows});
}
console.error(`${candidates.standard.length} standard, ${candidates.tabular.length} tabular`);

let address = 0x00b0000000000000n;
const lines = [];
for (const [k, n] of Object.entries(wanted)) {
    const list = [...candidates[k]];
    for (let made = 0; made < n && list.length; ) {
        const {d: drawn, rows} = list.splice(Math.floor(random() * list.length), 1)[0];
        const f = drawn.fingerprint?.find((x) => x.modelID && !(x.ieeeAddr instanceof RegExp)) ?? {};
        const modelID = drawn.zigbeeModel?.[0] ?? f.modelID;
        if (!modelID) continue;
        const {manufacturerName, manufacturerID, type, powerSource, softwareBuildID, dateCode, applicationVersion, hardwareVersion, stackVersion, zclVersion} = f;
        const given = {modelID, manufacturerName, manufacturerID, type, powerSource, softwareBuildID, dateCode, applicationVersion, hardwareVersion, stackVersion, zclVersion};
        for (const key of Object.keys(given)) if (given[key] === undefined) delete given[key];
        const bare = device({ieee: "0x00a0000000000001", ...given, endpoints: [{id: 1}]});
        let names = {};
        try {
            names = drawn.endpoint?.(bare) ?? {};
        } catch {
            // it looks for an endpoint that is not there
        }
        const ids = [...new Set(Object.values(names).length ? Object.values(names) : [1])].filter(Number.isInteger).sort((a, b) => a - b);
        const has = (word) => [...new Set(drawn.fromZigbee.filter((c) => [c.type].flat().some((t) => t.startsWith("command") === (word === "out") || c.cluster === "ssIasZone" && word === "in"))
            .map((c) => clusterOf(bare, c.cluster)?.ID).filter((id) => id !== undefined))];
        const made0 = {
            ieee: `0x${(++address).toString(16).padStart(16, "0")}`, type: "Router", powerSource: "Mains (single phase)", manufacturerName: "ACME", ...given,
            endpoints: f.endpoints?.every((e) => e.ID) ? f.endpoints.map((e) => ({id: e.ID, profile: e.profileID ?? 260, device: e.deviceID ?? 0, in: e.inputClusters ?? [0], out: e.outputClusters ?? []}))
                : ids.map((id) => ({id, profile: 260, device: 0, in: [0, ...has("in").filter((c) => c !== 0)], out: has("out")})),
        };
        const zh = device(made0);
        const d = await zhc.findByDevice(zh, true);
        if (!d || d.generated) continue;
        await start(d, zh);
        const sent = await frames(d, zh, made0.endpoints.map((e) => e.id), rows);
        if (sent.length === 0) continue;
        const told = [];
        for (const s of sent) {
            const state = {};
            told.push({...s, publish: JSON.parse(JSON.stringify(await publish(d, zh, message(zh, s), state)))});
        }
        let shown;
        try {
            shown = exposes(d, zh);
        } catch {
            continue;
        }
        const strip = (e) => {
            delete e.description;
            e.features?.forEach(strip);
            e.presets?.forEach((p) => delete p.description);
            if (e.item_type) strip(e.item_type);
        };
        shown.forEach(strip);
        lines.push(JSON.stringify({kind: k, device: made0, model: d.model, vendor: d.vendor, description: d.description, exposes: shown, frames: told}));
        made++;
    }
}
const text = lines.join("\n") + "\n";
fs.writeFileSync(process.argv[2], zlib.gzipSync(text, {level: 9}));
const n = lines.reduce((sum, l) => sum + JSON.parse(l).frames.length, 0);
console.error(`${lines.length} devices, ${n} frames, ${text.length} bytes`);
process.exit(0);
