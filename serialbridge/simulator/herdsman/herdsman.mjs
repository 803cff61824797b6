// Runs zigbee-herdsman for a test: a line of JSON on standard input is something to
// do, each line on standard output an answer or something that happened.

import {createRequire} from "node:module";
import {join} from "node:path";
import {createInterface} from "node:readline";

const config = JSON.parse(process.argv[2]);
const require = createRequire(config.modules);
const {Controller, setLogger} = require("zigbee-herdsman");

const print = (object) => process.stdout.write(JSON.stringify(object) + "\n");
const log = (level) => (message) =>
    print({event: "log", level, text: String(typeof message === "function" ? message() : message)});
setLogger({debug: config.debug ? log("debug") : () => {}, info: log("info"), warning: log("warning"), error: log("error")});

const bytes = (hex) => [...Buffer.from(hex, "hex")];
const controller = new Controller({
    network: {
        panID: config.panID,
        extendedPanID: bytes(config.extendedPanID),
        channelList: [config.channel],
        networkKey: bytes(config.networkKey),
    },
    serialPort: {path: config.path, adapter: config.adapter, baudRate: 115200, rtscts: false},
    databasePath: join(config.folder, "database.db"),
    databaseBackupPath: join(config.folder, "database.db.backup"),
    backupPath: join(config.folder, "coordinator_backup.json"),
    adapter: {disableLED: false},
    acceptJoiningDeviceHandler: async () => true,
});

controller.on("deviceJoined", (p) => print({event: "joined", device: p.device.ieeeAddr}));
controller.on("deviceAnnounce", (p) => print({event: "announced", device: p.device.ieeeAddr}));
controller.on("deviceLeave", (p) => print({event: "left", device: p.ieeeAddr}));
controller.on("deviceNetworkAddressChanged", (p) => print({event: "moved", device: p.device.ieeeAddr}));
controller.on("deviceInterview", (p) => print({event: "interview", device: p.device.ieeeAddr, status: p.status}));
controller.on("adapterDisconnected", () => print({event: "disconnected"}));
controller.on("message", (p) =>
    print({event: "message", device: p.device.ieeeAddr, endpoint: p.endpoint.ID, cluster: p.cluster, type: p.type, data: p.data}));

const endpoint = (c) => controller.getDeviceByIeeeAddr(c.device).getEndpoint(c.endpoint);
const commands = {
    start: () => controller.start(),
    permit: (c) => controller.permitJoin(c.seconds, c.via ? controller.getDeviceByIeeeAddr(c.via) : undefined),
    code: (c) => controller.addInstallCode(c.code),
    bind: (c) => endpoint(c).bind(c.cluster, controller.getDevicesByType("Coordinator")[0].getEndpoint(1)),
    report: (c) =>
        endpoint(c).configureReporting(c.cluster, [
            {attribute: c.attribute, minimumReportInterval: c.least, maximumReportInterval: c.most, reportableChange: c.change},
        ]),
    read: (c) => endpoint(c).read(c.cluster, [c.attribute]),
    command: (c) => endpoint(c).command(c.cluster, c.command, c.payload ?? {}),
    group: (c) => endpoint(c).addToGroup(controller.getGroupByID(c.group) ?? controller.createGroup(c.group)),
    groupcast: (c) => controller.getGroupByID(c.group).command(c.cluster, c.command, c.payload ?? {}),
    lqi: (c) => controller.getDeviceByIeeeAddr(c.device).lqi(),
    leave: (c) => controller.getDeviceByIeeeAddr(c.device).removeFromNetwork(),
    backup: () => controller.backup(),
    version: () => controller.getCoordinatorVersion(),
    parameters: () => controller.getNetworkParameters(),
    missing: async () => (await controller.coordinatorCheck()).missingRouters.map((d) => d.ieeeAddr),
    devices: () =>
        [...controller.getDevicesIterator()].map((d) => ({
            device: d.ieeeAddr,
            type: d.type,
            address: d.networkAddress,
            model: d.modelID,
            maker: d.manufacturerName,
            code: d.manufacturerID,
            power: d.powerSource,
            endpoints: d.endpoints.map((e) => ({id: e.ID, in: e.inputClusters, out: e.outputClusters})),
        })),
    stop: () => controller.stop(),
};

for await (const line of createInterface({input: process.stdin})) {
    const c = JSON.parse(line);
    // What follows is not waited for, so that several things may be done at once.
    Promise.resolve()
        .then(() => commands[c.do](c))
        .then(
            (result) => print({id: c.id, result: result ?? null}),
            (error) => print({id: c.id, error: String(error?.message ?? error)}),
        )
        .then(() => c.do === "stop" && setTimeout(() => process.exit(0), 50));
}
