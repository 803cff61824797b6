// Writes what zigbee2mqtt makes of frames of well known sensors and remotes, and what
// it sends to Tuya devices:
//
//	node sensor_vectors.mjs ../testdata/sensors.jsonl
//
// The frames are composed here, the answers are the converters'.
import fs from "node:fs";
import {Zcl, zhc, definitions, device, start, message, publish} from "./offline.mjs";

process.on("unhandledRejection", () => {});
// soon gives up on what waits for a device.
const soon = (promise) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 500, []))]);
let sequence = 0;
const u8 = (n) => (n & 0xff).toString(16).padStart(2, "0");
const le = (n, bytes) => { let s = ""; for (let i = 0; i < bytes; i++, n = Math.floor(n / 256)) s += u8(n); return s; };
const float = (n) => { const b = Buffer.alloc(4); b.writeFloatLE(n); return b.toString("hex"); };
const sizes = {0x10: 1, 0x18: 1, 0x19: 2, 0x1b: 4, 0x20: 1, 0x21: 2, 0x22: 3, 0x23: 4, 0x24: 5, 0x25: 6, 0x27: 8, 0x28: 1, 0x29: 2, 0x2a: 3, 0x2b: 4, 0x30: 1};
const typed = (type, value) => u8(type) + (type === 0x39 ? float(value) : type === 0x41 || type === 0x42 ? u8(value.length / 2) + value : le(value < 0 ? value + 256 ** sizes[type] : value, sizes[type]));
const next = () => u8(sequence = (sequence % 250) + 1);
// told is a report of [attribute, type, value] …; did a command of a remote.
const told = (cluster, ep, attributes, code) => ({cluster, ep, hex: (code ? "1c" + le(code, 2) : "18") + next() + "0a" + attributes.map(([a, t, v]) => le(a, 2) + typed(t, v)).join("")});
const did = (cluster, ep, id, payload = "", code) => ({cluster, ep, hex: (code ? "05" + le(code, 2) : "01") + next() + u8(id) + payload});
const rang = (cluster, ep, id, payload = "", code) => ({cluster, ep, hex: (code ? "0d" + le(code, 2) : "09") + next() + u8(id) + payload});
const tlv = (...members) => members.map(([tag, type, value]) => u8(tag) + typed(type, value)).join("");
const ff01 = (...members) => told(0, 1, [[0xff01, 0x42, tlv(...members)]], 0x115f);
const f7 = (...members) => told(0xfcc0, 1, [[0xf7, 0x41, tlv(...members)]], 0x115f);
const zone = (status, ep = 1) => rang(0x0500, ep, 0, le(status, 2) + "00000000");
const state = (ep, ...values) => values.map((v) => told(0x0012, ep, [[0x55, 0x21, v]]));
const angle = (v) => told(0x000c, 3, [[0x55, 0x39, v]]);
const hue = (button, type, time = 0, last = 0, ep = 2) => rang(0xfc00, ep, 0, u8(button) + "000030" + u8(type) + "21" + u8(time) + u8(last), 0x100b);
const arrow = (id, value, rest) => did(5, 1, id, le(value, 2) + rest, 0x117c);
const pressed = (ep, value) => did(6, ep, 0xfd, u8(value));
const measured = [told(0x402, 1, [[0, 0x29, 2137]]), told(0x402, 1, [[0, 0x29, -523]]), told(0x405, 1, [[0, 0x21, 4523]])];
const battery = [told(1, 1, [[0x21, 0x20, 181]]), told(1, 1, [[0x20, 0x20, 29]]), told(1, 1, [[0x20, 0x20, 24], [0x21, 0x20, 100]]), told(1, 1, [[0x21, 0x20, 255]])];
const usual = [[1, 0x21, 3045], [3, 0x28, 24], [4, 0x21, 5032], [5, 0x21, 6], [6, 0x24, 1], [10, 0x21, 0]];
const zones = [0, 1, 2, 3, 4, 8, 0x10, 0x40, 0x80, 0x100, 0x200].map((n) => zone(n));

const wanted = [
    ["lumi.weather", "LUMI", [1], [...measured, told(0x403, 1, [[0, 0x29, 1013], [0x14, 0x28, -1], [0x10, 0x29, 10132]]), told(0x403, 1, [[0, 0x29, 998]]), ff01(...usual, [100, 0x29, -812], [101, 0x21, 9990], [102, 0x2b, 99820])]],
    ["lumi.sensor_ht", "LUMI", [1], [...measured, ff01(...usual, [100, 0x29, 2500], [101, 0x21, 12000])]],
    ["lumi.sensor_magnet.aq2", "LUMI", [1], [told(6, 1, [[0, 0x10, 1]]), told(6, 1, [[0, 0x10, 0]]), ff01(...usual, [100, 0x10, 1]), ff01([1, 0x21, 2700], [6, 0x24, 70000], [100, 0x10, 0])]],
    ["lumi.sensor_motion.aq2", "LUMI", [1], [told(0x406, 1, [[0, 0x18, 1]]), told(0x400, 1, [[0, 0x21, 57]]), ff01(...usual, [11, 0x21, 17], [100, 0x10, 1])]],
    ["lumi.sensor_motion", "LUMI", [1], [told(0x406, 1, [[0, 0x18, 1]]), told(0x406, 1, [[0, 0x18, 0]])]],
    ["lumi.sensor_wleak.aq1", "LUMI", [1], [zone(1), zone(0), ff01(...usual, [100, 0x10, 1])]],
    ["lumi.sensor_switch.aq2", "LUMI", [1], [told(6, 1, [[0, 0x10, 1]]), told(6, 1, [[0x8000, 0x20, 2]]), told(6, 1, [[0x8000, 0x20, 4]]), ff01(...usual)]],
    ["lumi.remote.b1acn01", "LUMI", [1], state(1, 0, 1, 2, 255)],
    ["lumi.sensor_switch.aq3", "LUMI", [1], state(1, 1, 2, 16, 17, 18)],
    ["lumi.sensor_86sw2.es1", "LUMI", [1, 2, 3], [told(6, 1, [[0, 0x10, 0]]), told(6, 2, [[0, 0x10, 0]]), told(6, 3, [[0, 0x10, 0]])]],
    ["lumi.remote.b286acn01", "LUMI", [1, 2, 3], [...state(1, 1), ...state(2, 2), ...state(3, 0)]],
    ["lumi.sensor_cube.aqgl01", "LUMI", [1, 2, 3], [...state(2, 0, 2, 3, 67, 84, 100, 131, 260, 515), angle(48.25), angle(-120.5), ff01(...usual)]],
    ["lumi.remote.cagl02", "LUMI", [1, 2, 3], [...state(2, 0, 1, 2, 4, 67, 84, 130, 259, 514, 1026), angle(33.333), angle(-90)]],
    ["lumi.vibration.aq1", "LUMI", [1], [told(0x101, 1, [[0x55, 0x21, 1]]), told(0x101, 1, [[0x55, 0x21, 2]]), told(0x101, 1, [[0x55, 0x21, 3]]), told(0x101, 1, [[0x508, 0x25, 0x0012fffeffb2]]), told(0x101, 1, [[0x503, 0x21, 25]]), told(0x101, 1, [[0x505, 0x23, 0x00340012]])]],
    ["lumi.motion.agl02", "LUMI", [1], [told(0xfcc0, 1, [[0x112, 0x23, 65536 + 320]], 0x115f), f7(...usual.slice(0, 4))]],
    ["lumi.motion.ac02", "LUMI", [1], [told(0xfcc0, 1, [[0x112, 0x23, 65536 + 12]], 0x115f), told(0xfcc0, 1, [[0x112, 0x23, 130600]], 0x115f), f7([1, 0x21, 2990], [3, 0x28, 21], [105, 0x20, 30], [106, 0x20, 2], [107, 0x20, 1])]],
    ["lumi.magnet.agl02", "LUMI", [1], [zone(1), f7(...usual, [100, 0x10, 0])]],
    ["lumi.sensor_smoke.acn03", "LUMI", [1], [f7([1, 0x21, 2900], [160, 0x20, 1], [161, 0x20, 4], [162, 0x20, 0], [163, 0x20, 0]), told(0xfcc0, 1, [[0x13a, 0x20, 1]], 0x115f), told(0xfcc0, 1, [[0x13b, 0x20, 2]], 0x115f)]],
    ["lumi.plug.maeu01", "LUMI", [1], [f7([3, 0x28, 31], [5, 0x21, 3], [100, 0x10, 1], [149, 0x39, 1.5], [150, 0x39, 2301], [151, 0x39, 432.5], [152, 0x39, 99.5]), told(6, 1, [[0, 0x10, 1]])]],
    ["lumi.remote.rkba01", "LUMI", [1], [...state(1, 1, 0), told(0xfcc0, 1, [[0x23a, 0x20, 1], [0x22e, 0x39, 12], [0x230, 0x39, 3], [0x233, 0x39, 5], [0x232, 0x39, 2], [0x231, 0x23, 120]], 0x115f), told(0xfcc0, 1, [[0x23a, 0x20, 131]], 0x115f)]],
    ["lumi.remote.b686opcn01", "LUMI", [1, 2, 3, 4, 5, 6], [...state(1, 1), ...state(3, 2), ...state(6, 3), ...state(2, 255)]],
    ["RWL021", "Philips", [1, 2], [hue(1, 0), hue(1, 2), hue(2, 1), hue(3, 3), hue(4, 0)]],
    ["RWL022", "Signify Netherlands B.V.", [1], [hue(1, 0, 0, 0, 1), hue(4, 2, 0, 0, 1)]],
    ["RDM001", "Signify Netherlands B.V.", [1], [hue(1, 0, 0, 0, 1), hue(2, 1, 8, 0, 1), hue(2, 3, 8, 0, 1)]],
    ["RDM002", "Signify Netherlands B.V.", [1], [hue(1, 0, 0, 0, 1), hue(3, 2, 0, 0, 1), hue(20, 1, 15, 0, 1), hue(20, 2, 60, 0, 1), hue(20, 2, 100, 255, 1)]],
    ["ROM001", "Signify Netherlands B.V.", [1], [hue(1, 0, 0, 0, 1), hue(1, 2, 0, 0, 1)]],
    ["SML001", "Philips", [1, 2], [told(0x406, 2, [[0, 0x18, 1]]), told(0x400, 2, [[0, 0x21, 12345]]), told(0x402, 2, [[0, 0x29, 2012]]), told(0x406, 2, [[0x30, 0x20, 2]], 0x100b)]],
    ["TRADFRI remote control", "IKEA of Sweden", [1], [did(6, 1, 2), did(8, 1, 6, "002b0500"), did(8, 1, 2, "012b0500"), did(8, 1, 5, "0054"), did(8, 1, 7), arrow(7, 0x101, "0d00"), arrow(7, 0x100, "0d00"), arrow(8, 0xd01, ""), arrow(9, 1500, ""), arrow(8, 0xd00, ""), arrow(9, 700, "")]],
    ["SOMRIG shortcut button", "IKEA of Sweden", [1, 2], [did(0xfc80, 1, 1, "00", 0x117c), did(0xfc80, 2, 3, "00", 0x117c), did(0xfc80, 1, 6, "00", 0x117c)]],
    ["TRADFRI open/close remote", "IKEA of Sweden", [1], [did(0x102, 1, 0), did(0x102, 1, 1), did(0x102, 1, 2)]],
    ["VALLHORN Wireless Motion Sensor", "IKEA of Sweden", [1, 2, 3], [told(0x406, 2, [[0, 0x18, 1]]), told(0x406, 2, [[0, 0x18, 0]]), told(0x400, 3, [[0, 0x21, 20000]])]],
    ["PARASOLL Door/Window Sensor", "IKEA of Sweden", [1, 2], [zone(1, 2), zone(0, 2), told(1, 1, [[0x21, 0x20, 178]])]],
    ["TS0041", "_TZ3000_tk3s5tyg", [1], [pressed(1, 0), pressed(1, 1), pressed(1, 2)]],
    ["TS0042", "_TZ3000_dfgbtub0", [1, 2], [pressed(1, 0), pressed(2, 2)]],
    ["TS0044", "_TZ3000_ee8nrt2l", [1, 2, 3, 4], [pressed(1, 0), pressed(2, 1), pressed(4, 2)]],
    ["TS004F", "_TZ3000_xabckq1v", [1, 2, 3, 4], [pressed(1, 0), pressed(3, 2)]],
    ["TS0201", "_TZ3000_bguser20", [1], [...measured, ...battery]],
    ["TS0203", "_TZ3000_26fmupbb", [1], [...zones.slice(0, 6), ...battery]],
    ["TS0202", "_TZ3000_mcxw5ehu", [1], [zone(1), zone(0), ...battery.slice(0, 2)]],
    ["TS0207", "_TZ3000_kyb656no", [1], [zone(1), zone(4)]],
    ["TS011F", "_TZ3000_cehuw1lw", [1], [told(6, 1, [[0, 0x10, 1]]), told(6, 1, [[0x8002, 0x30, 2]]), told(6, 1, [[0x8001, 0x30, 1]]), told(6, 1, [[0x8000, 0x10, 1]]), told(6, 1, [[0x4001, 0x21, 120]]), told(0xb04, 1, [[0x505, 0x21, 231], [0x508, 0x21, 432], [0x50b, 0x29, 97]]), told(0x702, 1, [[0, 0x25, 1234]])]],
    ["SmokeSensor-EM", "HEIMAN", [1], [...zones, ...battery]],
    ["GASSensor-N", "HEIMAN", [1], zones], ["COSensor-EM", "HEIMAN", [1], zones], ["WaterSensor-N", "HEIMAN", [1], zones], ["DoorSensor-N", "HEIMAN", [1], [...zones.slice(0, 5), ...battery]],
    ["TH01", "eWeLink", [1], [...measured, ...battery]], ["DS01", "eWeLink", [1], zones.slice(0, 6)], ["MS01", "eWeLink", [1], zones.slice(0, 4)],
    ["WB01", "eWeLink", [1], [did(6, 1, 2), did(6, 1, 1), did(6, 1, 0)]],
    ["eTRV0100", "Danfoss", [1], [told(0x201, 1, [[0x4000, 0x30, 3]], 0x1246), told(0x201, 1, [[0x4012, 0x10, 1]], 0x1246), told(0x201, 1, [[0x4030, 0x10, 1]], 0x1246), told(0x201, 1, [[0x4015, 0x29, 2150]], 0x1246), told(1, 1, [[0x21, 0x20, 150]])]],
    ["MOSZB-130", "Develco Products A/S", [1, 34, 35, 38, 39], [zone(1, 35), zone(0, 35), told(0x402, 38, [[0, 0x29, 2111]]), told(0x400, 39, [[0, 0x21, 20]])]],
    ["URC4450BC0-X-R", "Universal Electronics Inc", [1], [did(0x501, 1, 0, "030431323334ff"), did(0x501, 1, 0, "0000ff"), did(0x501, 1, 2), did(0x501, 1, 4)]],
    ["multiv4", "SmartThings", [1], [zone(1), told(0x402, 1, [[0, 0x29, 1900]]), ...battery.slice(0, 2)]],
];

const lines = [];
let address = 0x00c0000000000000n, frames = 0;
for (const [modelID, manufacturerName, eps, sent] of wanted) {
    const clusters = (ep, out) => [...new Set([0, ...sent.filter((f) => f.ep === ep && (f.hex.startsWith("01") || f.hex.startsWith("05")) === out).map((f) => f.cluster)])].filter((c) => !out || c);
    const made = {ieee: `0x${(++address).toString(16).padStart(16, "0")}`, type: "EndDevice", powerSource: "Battery", manufacturerName, modelID,
        endpoints: eps.map((id) => ({id, profile: 260, device: 0, in: clusters(id, false), out: clusters(id, true)}))};
    const zh = device(made);
    const d = await zhc.findByDevice(zh, true);
    if (!d || d.generated) {
        console.error("no definition of", modelID);
        continue;
    }
    await start(d, zh);
    const out = [];
    for (const f of sent) out.push({...f, publish: JSON.parse(JSON.stringify(await soon(publish(d, zh, message(zh, f), {}))))});
    frames += out.length;
    lines.push(JSON.stringify({kind: "decode", device: made, model: d.model, vendor: d.vendor, description: d.description, frames: out}));
}

// What is sent to Tuya devices: one of each kind of value.
const leaves = (list) => list.flatMap((e) => (e.features && e.type !== "composite" ? leaves(e.features) : [e]));
let sets = 0, models = 0;
for (const {file, raw} of definitions()) {
    if (!raw.meta?.tuyaDatapoints || models >= 24 || !(file.startsWith("tuya") || file.startsWith("moes") || file.startsWith("avatto"))) continue;
    const d = zhc.prepareDefinition(raw);
    const f = d.fingerprint?.find((x) => x.modelID && x.manufacturerName);
    if (!f) continue;
    if (place(d) % 11 !== 0) continue;
    const made = {ieee: `0x${(++address).toString(16).padStart(16, "0")}`, type: "Router", powerSource: "Mains (single phase)", modelID: f.modelID, manufacturerName: f.manufacturerName,
        endpoints: [{id: 1, profile: 260, device: 81, in: [4, 5, 0xef00, 0], out: [25, 10]}]};
    const zh = device(made);
    const found = await zhc.findByDevice(zh, true);
    if (!found || found.model !== d.model) continue;
    const list = leaves(typeof found.exposes === "function" ? found.exposes(zh, {}) : found.exposes).filter((e) => e.access & 2);
    const out = [];
    for (const e of list.slice(0, 8)) {
        const values = e.values?.slice(0, 1) ?? (e.type === "binary" ? [e.value_on] : e.type === "numeric" ? [Math.max(e.value_min ?? 0, Math.min(e.value_max ?? 20, 20))] : []);
        for (const value of values) {
            const c = found.toZigbee.find((x) => (!x.key || x.key.includes(e.name)) && x.convertSet);
            if (!c) continue;
            const sent = [];
            const endpoint = zh.getEndpoint(1);
            endpoint.command = async (cluster, name, payload) => sent.push([cluster, name, payload]);
            try {
                await soon(c.convertSet(endpoint, e.name, value, {message: {[e.property]: value}, device: zh, mapped: found, state: {}, options: {}, endpoint_name: e.endpoint, logger: {debug() {}, info() {}, warning() {}, error() {}}, publish() {}}));
            } catch {
                continue;
            }
            if (sent.length !== 1 || sent[0][0] !== "manuSpecificTuya") continue;
            const [, name, {seq, dpValues}] = sent[0];
            const command = Zcl.Clusters.manuSpecificTuya.commands[name].ID;
            const payload = le(seq, 2) + dpValues.map((p) => u8(p.dp) + u8(p.datatype) + u8(p.data.length >> 8) + u8(p.data.length) + Buffer.from(p.data).toString("hex")).join("");
            out.push({key: e.property, value, command, payload});
        }
    }
    if (out.length < 3) continue;
    models++;
    sets += out.length;
    lines.push(JSON.stringify({kind: "set", device: made, model: found.model, vendor: found.vendor, description: found.description, sets: out}));
}
function place(d) {
    let h = 7;
    for (const c of d.model) h = (h * 31 + c.charCodeAt(0)) >>> 0;
    return h;
}
fs.writeFileSync(process.argv[2], lines.join("\n") + "\n");
console.error(`${frames} frames, ${sets} commands to ${models} devices`);
process.exit(0);
