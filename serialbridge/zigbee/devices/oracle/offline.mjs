// zigbee-herdsman and its converters without a radio: devices out of thin air,
// frames in hex, and what the converters make of them.
import {createRequire} from "node:module";
import fs from "node:fs";
import path from "node:path";

const require = createRequire(import.meta.url);
export const {Zcl} = require("zigbee-herdsman");
export const zhc = require("zigbee-herdsman-converters");
const {Device} = require("zigbee-herdsman/dist/controller/model/device.js");
const {Endpoint} = require("zigbee-herdsman/dist/controller/model/endpoint.js");
const {Entity} = require("zigbee-herdsman/dist/controller/model/entity.js");
const {ZclFrameConverter} = require("zigbee-herdsman/dist/controller/helpers/index.js");

console.log = console.warn = () => {}; // some converters speak to those who debug them
const silent = {debug() {}, info() {}, warning() {}, error() {}};
zhc.setLogger(silent);
require("zigbee-herdsman").setLogger(silent);

let ids = 0;
Entity.injectDatabase({newID: () => ++ids, insert() {}, update() {}, remove() {}, has: () => false, getEntriesIterator: function* () {}, write() {}});
Entity.injectAdapter(new Proxy({}, {get: (_, name) => (name === "then" ? undefined : () => Promise.reject(new Error("offline")))}));

// definitions yields every definition of the converters with the file that it
// stands in and its place there.
export function* definitions() {
    const folder = path.join(path.dirname(require.resolve("zigbee-herdsman-converters")), "devices");
    for (const file of fs.readdirSync(folder).filter((f) => f.endsWith(".js")).sort()) {
        let index = 0;
        for (const raw of require(path.join(folder, file)).definitions ?? []) yield {file, index: index++, raw};
    }
}

// device makes one that has just been interviewed.
export function device(d) {
    Device.devices?.delete(d.ieee);
    const made = Device.create(
        d.type ?? "EndDevice", d.ieee, d.networkAddress ?? 0x1234, d.manufacturerID, d.manufacturerName,
        d.powerSource ?? "Battery", d.modelID, "SUCCESSFUL", undefined,
    );
    for (const key of ["applicationVersion", "stackVersion", "zclVersion", "hardwareVersion", "dateCode", "softwareBuildID"]) {
        if (d[key] !== undefined) made[key] = d[key];
    }
    for (const e of d.endpoints) {
        made.endpoints.push(Endpoint.create(e.id, e.profile ?? 0x0104, e.device ?? 0, e.in ?? [], e.out ?? [], made.networkAddress, made.ieeeAddr));
    }
    return made;
}

// start tells the definition that the device is there: custom clusters appear.
export async function start(definition, zh) {
    try {
        await definition.onEvent?.({type: "start", data: {device: zh, options: {}, state: {}, deviceExposesChanged() {}}});
    } catch {
        // it wanted to ask the device something
    }
}

// message is what herdsman's controller makes of a frame.
export function message(zh, {cluster, ep, hex, group}) {
    const data = Buffer.from(hex, "hex");
    const endpoint = zh.getEndpoint(ep) ?? zh.createEndpoint(ep);
    const common = {device: zh, endpoint, linkquality: 100, groupID: group ?? 0};
    let frame;
    const header = Zcl.Header.fromBuffer(data);
    try {
        frame = Zcl.Frame.fromBuffer(cluster, header, data, zh.customClusters);
    } catch {
        const name = Zcl.Utils.getCluster(cluster, zh.manufacturerID, zh.customClusters).name;
        return {...common, type: "raw", data, cluster: Number.isNaN(Number(name)) ? name : Number(name), meta: {rawData: data}};
    }
    const meta = {
        rawData: data, zclTransactionSequenceNumber: frame.header.transactionSequenceNumber,
        manufacturerCode: frame.header.manufacturerCode, frameControl: frame.header.frameControl,
    };
    if (!frame.header.isGlobal) {
        const name = frame.command.name;
        return {...common, type: `command${name[0].toUpperCase()}${name.slice(1)}`, data: frame.payload, cluster: frame.cluster.name, meta};
    }
    const type = {report: "attributeReport", readRsp: "readResponse", write: "write", read: "read"}[frame.command.name];
    if (!type) return undefined;
    const values = type === "read"
        ? ZclFrameConverter.attributeList(frame, zh.manufacturerID, zh.customClusters)
        : ZclFrameConverter.attributeKeyValue(frame, zh.manufacturerID, zh.customClusters);
    if (type === "attributeReport" || type === "readResponse") endpoint.saveClusterAttributeKeyValue(frame.cluster.ID, values);
    return {...common, type, data: values, cluster: frame.cluster.name, meta};
}

// publish runs a message through the converters of a definition and returns the
// objects that zigbee2mqtt would publish, the state merged after each.
export async function publish(definition, zh, m, state = {}) {
    const out = [];
    if (!m) return out;
    const emit = (payload) => {
        zhc.postProcessConvertedFromZigbeeMessage(definition, payload, {}, zh);
        out.push(payload);
    };
    let merged = {};
    for (const c of definition.fromZigbee) {
        const types = Array.isArray(c.type) ? c.type : [c.type];
        if (c.cluster !== m.cluster || !types.includes(m.type)) continue;
        try {
            const converted = await c.convert(definition, {...m}, emit, {}, {device: zh, logger: silent, state, deviceExposesChanged() {}});
            if (converted) merged = {...merged, ...converted};
        } catch {
            // as zigbee2mqtt: the others go on
        }
    }
    if (Object.keys(merged).length) emit(merged);
    return out;
}

// exposes are those that zigbee2mqtt tells, as plain objects.
export function exposes(definition, zh) {
    const list = typeof definition.exposes === "function" ? definition.exposes(zh, {}) : definition.exposes;
    return JSON.parse(JSON.stringify(list));
}
