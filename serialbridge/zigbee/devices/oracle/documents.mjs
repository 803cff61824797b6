// Writes the discovery documents that zigbee2mqtt's own extension publishes for the
// devices of the oracle, those composed by hand first:
//
//	node documents.mjs ../testdata/composed.jsonl ../testdata/oracle.jsonl.gz ../../../../gateway/homeassistant/testdata/zigbee_oracle.jsonl.gz
//
// The extension stands alone: its MQTT is a list, and its entities are the devices
// that offline.mjs makes out of thin air.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import zlib from "node:zlib";
import {createRequire} from "node:module";
import {zhc, device, start} from "./offline.mjs";

const require = createRequire(import.meta.url);
const coordinator = "0x00124b0000000001";
const front = "http://lintel.local:8080";

// The extension reads its settings from a folder.
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "oracle-"));
process.on("exit", () => fs.rmSync(folder, {recursive: true}));
fs.writeFileSync(path.join(folder, "configuration.yaml"), `version: 5
homeassistant: {enabled: true}
mqtt: {base_topic: zigbee2mqtt, server: "mqtt://localhost"}
serial: {port: /dev/null, adapter: zstack}
frontend: {enabled: true, url: "${front}"}
advanced: {log_output: [], last_seen: disable}
`);
process.env.ZIGBEE2MQTT_DATA = folder;
require("zigbee2mqtt/dist/util/logger.js").default.init();
const {default: HomeAssistant} = require("zigbee2mqtt/dist/extension/homeassistant.js");
const {default: Device} = require("zigbee2mqtt/dist/model/device.js");

async function documents(d, zh, availability) {
    const docs = [];
    const extension = Object.create(HomeAssistant.prototype);
    Object.assign(extension, {
        discovered: {}, groupMemberLookup: new Map(), discoveryTopic: "homeassistant",
        discoveryOrigin: {name: "Zigbee2MQTT"}, bridgeIdentifier: `zigbee2mqtt_bridge_${coordinator}`,
        mqtt: {publish: async (topic, payload, {baseTopic}) => docs.push({topic: `${baseTopic}/${topic}`, payload: JSON.parse(payload)})},
    });
    const options = {ID: zh.ieeeAddr, availability};
    const entity = Object.create(Device.prototype, {
        zh: {value: zh}, definition: {value: d}, options: {value: options}, name: {value: zh.ieeeAddr},
        ieeeAddr: {value: zh.ieeeAddr}, ID: {value: zh.ieeeAddr}, interviewed: {value: true},
    });
    await extension.discover(entity);
    return docs;
}

const [composed, drawn, out] = process.argv.slice(2);
const lines = [];
let n = 0;
for (const line of (fs.readFileSync(composed, "utf8") + zlib.gunzipSync(fs.readFileSync(drawn))).split("\n")) {
    if (!line) continue;
    const c = JSON.parse(line);
    const zh = device(c.device);
    const d = await zhc.findByDevice(zh, true);
    await start(d, zh);
    const availability = c.kind !== "composed"; // with it and without it
    const docs = await documents(d, zh, availability);
    n += docs.length;
    lines.push(JSON.stringify({kind: c.kind, device: c.device, availability, docs}));
}
const text = lines.join("\n") + "\n";
fs.writeFileSync(out, zlib.gzipSync(text, {level: 9}));
console.error(`${lines.length} devices, ${n} documents, ${text.length} bytes`);
process.exit(0);
