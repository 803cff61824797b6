// Writes what zigbee2mqtt's generator shows of devices that nobody has described:
//
//	node generated.mjs ../testdata/generated.jsonl
//
// A line is a device and the exposes of its definition, without their prose.
import fs from "node:fs";
import {Zcl, zhc, device, exposes} from "./offline.mjs";

const combinations = {
    "switch": [[0, 3, 4, 5, 6]],
    "switches": [[0, 3, 4, 5, 6], [0, 4, 5, 6]],
    "second switch": [[0, 3], [0, 6]],
    "dimmer": [[0, 3, 4, 5, 6, 8]],
    "dimmer and switch": [[0, 3, 6, 8], [0, 6]],
    "white lamp": [[0, 3, 4, 5, 6, 8, 0x300], {lightingColorCtrl: {colorCapabilities: 16, colorTempPhysicalMin: 250, colorTempPhysicalMax: 454}}],
    "xy lamp": [[0, 3, 4, 5, 6, 8, 0x300], {lightingColorCtrl: {colorCapabilities: 8}}],
    "color lamp": [[0, 3, 4, 5, 6, 8, 0x300], {lightingColorCtrl: {colorCapabilities: 31, colorTempPhysicalMin: 153, colorTempPhysicalMax: 500}}],
    "unknown lamp": [[0, 3, 4, 5, 6, 8, 0x300]],
    "plug with meters": [[0, 3, 4, 5, 6, 0x702, 0xb04]],
    "cover": [[0, 3, 4, 5, 0x102]],
    "lock": [[0, 1, 3, 0x101], {closuresDoorLock: {numOfPinUsersSupported: 20}}],
    "heater": [[0, 3, 0x201]],
    "cooler": [[0, 3, 0x201], {hvacThermostat: {ctrlSeqeOfOper: 0}}],
    "both, with a fan": [[0, 3, 0x201, 0x202, 0x204], {hvacThermostat: {ctrlSeqeOfOper: 4}}],
    "fan": [[0, 3, 0x202]],
    "siren": [[0, 3, 0x502, 0x500]],
    "ballast": [[0, 3, 6, 8, 0x301]],
    "remote": [[0, 1, 3], {}, [3, 6, 8, 0x300, 0x102]],
    "climate sensor": [[0, 1, 3, 0x402, 0x405, 0x403, 0x400]],
};
const lines = [];
let address = 0x00d0000000000000n;
for (const [name, parts] of Object.entries(combinations)) {
    const endpoints = [];
    for (const p of parts) {
        const last = endpoints[endpoints.length - 1];
        if (Array.isArray(p) && last?.attributes && !last.out) last.out = p;
        else if (Array.isArray(p)) endpoints.push({id: endpoints.length + 1, device: 0, in: p});
        else last.attributes = p;
    }
    const made = {modelID: `Nobody's ${name}`, manufacturerName: "Nobody", endpoints: endpoints.map((e) => ({out: [], attributes: {}, ...e}))};
    const zh = device({ieee: `0x${(++address).toString(16).padStart(16, "0")}`, type: "Router", powerSource: "Mains (single phase)", ...made});
    for (const e of made.endpoints) for (const [cluster, values] of Object.entries(e.attributes)) zh.getEndpoint(e.id).saveClusterAttributeKeyValue(cluster, values);
    const definition = await zhc.findByDevice(zh, true);
    const strip = (e) => {
        delete e.description;
        delete e.homeassistant;
        e.features?.forEach(strip);
        e.presets?.forEach((p) => delete p.description);
        if (e.item_type) strip(e.item_type);
    };
    const shown = exposes(definition, zh);
    shown.forEach(strip);
    for (const e of made.endpoints) {
        e.attributes = Object.fromEntries(Object.entries(e.attributes).map(([k, v]) => {
            const cluster = Zcl.Utils.getCluster(k);
            return [cluster.ID, Object.fromEntries(Object.entries(v).map(([n, value]) => [cluster.attributes[n].ID, value]))];
        }));
    }
    lines.push(JSON.stringify({device: made, exposes: shown}));
}
fs.writeFileSync(process.argv[2], `${lines.join("\n")}\n`);
