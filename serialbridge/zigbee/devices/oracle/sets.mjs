// Writes what zigbee2mqtt sends and assumes when a user sets or gets something:
//
//	node sets.mjs ../testdata/sets.jsonl
//
// A line is a device with what is known of it, and either a frame that came from it
// and the state that was published, or a message, the frames that went to
// the air (sequence number 0) and the state that was published. Frames with
// "after" came when a wait was over. "failed" are keys that failed.
import fs from "node:fs";
import {createRequire} from "node:module";
import {Zcl, zhc, device, start, message} from "./offline.mjs";

const require = createRequire(import.meta.url);
const {Entity} = require("zigbee-herdsman/dist/controller/model/entity.js");
const {Group} = require("zigbee-herdsman/dist/controller/model/group.js");

// Nobody waits here; frames behind a wait are marked.
let waited = false;
globalThis.setTimeout = (f) => {
    waited = true;
    setImmediate(f);
    return {unref() { return this; }};
};

let sent = [];
function record(entry, frame) {
    const data = frame.toBuffer();
    data[frame.header.manufacturerCode == null ? 1 : 3] = 0;
    sent.push({...entry, cluster: frame.cluster.ID, hex: data.toString("hex"), ...(waited ? {after: true} : {})});
}

// answer is what a device says to a request: what is known of its attributes, and yes.
function answer(zh, id, frame) {
    const endpoint = zh.getEndpoint(id);
    let reply;
    const make = (type, name, payload) => Zcl.Frame.create(type, 1, true, undefined, 1, name, frame.cluster, payload, {});
    if (frame.header.isGlobal && frame.command.name === "read") {
        reply = make(0, "readRsp", frame.payload.map(({attrId}) => {
            const a = Zcl.Utils.getClusterAttribute(frame.cluster, attrId, undefined);
            return {attrId, status: 0, dataType: a?.type ?? 0x20, attrData: endpoint.getClusterAttributeValue(frame.cluster.name, a?.name ?? attrId) ?? (a?.type === 0x42 || a?.type === 0x41 ? "" : 0)};
        }));
    } else if (frame.header.isGlobal) {
        reply = make(0, "writeRsp", [{status: 0}]);
    } else if (frame.command.response !== undefined) {
        const command = Object.values(frame.cluster.commandsResponse).find((c) => c.ID === frame.command.response);
        const payload = {};
        for (const p of command.parameters) payload[p.name] = p.type >= 1000 ? [] : p.type === 0x41 ? Buffer.alloc(0) : p.type === 0x42 ? "" : 0;
        reply = make(1, command.name, payload);
    } else return undefined;
    const data = reply.toBuffer();
    return {clusterID: frame.cluster.ID, header: Zcl.Header.fromBuffer(data), data};
}

let current;
Entity.injectAdapter({
    sendZclFrameToEndpoint: async (ieee, nwk, endpoint, frame) => {
        record({endpoint}, frame);
        return answer(current, endpoint, frame);
    },
    sendZclFrameToGroup: async (group, frame) => record({group}, frame),
});

const attributeID = (cluster, name) => cluster.attributes[name].ID;

// devices are real models and one that nobody has described.
const lamp = (attributes = {}) => ({id: 1, device: 0x10d, in: [0, 3, 4, 5, 6, 8, 0x300], out: [0x19], attributes: {lightingColorCtrl: {colorTempPhysicalMin: 153, colorTempPhysicalMax: 500, ...attributes}}});
const devices = {
    ikeaColor: {modelID: "TRADFRI bulb E27 CWS opal 600lm", manufacturerName: "IKEA of Sweden", manufacturerID: 0x117c, endpoints: [lamp()]},
    ikeaWhite: {modelID: "TRADFRI bulb E27 WS opal 980lm", manufacturerName: "IKEA of Sweden", manufacturerID: 0x117c, endpoints: [lamp({colorTempPhysicalMin: 250, colorTempPhysicalMax: 454})]},
    ledvance: {modelID: "A60S RGBW", manufacturerName: "LEDVANCE", manufacturerID: 0x1189, endpoints: [lamp()]},
    innr: {modelID: "RB 285 C", manufacturerName: "innr", manufacturerID: 0x1166, endpoints: [lamp({colorTempPhysicalMin: 153, colorTempPhysicalMax: 555})]},
    sunricher: {modelID: "ZG9101SAC-HP", manufacturerName: "Sunricher", endpoints: [{id: 1, device: 0x101, in: [0, 3, 4, 5, 6, 8], out: []}]},
    plug: {modelID: "TRADFRI control outlet", manufacturerName: "IKEA of Sweden", manufacturerID: 0x117c, endpoints: [{id: 1, device: 0x51, in: [0, 3, 4, 5, 6], out: []}]},
    sonoff: {modelID: "01MINIZB", manufacturerName: "SONOFF", endpoints: [{id: 1, device: 0x100, in: [0, 3, 4, 5, 6], out: []}]},
    wall: {modelID: "ZB-SW02", manufacturerName: "eWeLink", endpoints: [{id: 1, device: 0x100, in: [0, 3, 4, 5, 6], out: []}, {id: 2, device: 0x100, in: [0, 4, 5, 6], out: []}]},
    fyrtur: {modelID: "FYRTUR block-out roller blind", manufacturerName: "IKEA of Sweden", manufacturerID: 0x117c, endpoints: [{id: 1, device: 0x202, in: [0, 1, 3, 4, 5, 0x102], out: []}]},
    cover: {modelID: "Nobody's cover", manufacturerName: "Nobody", endpoints: [{id: 1, device: 0x202, in: [0, 3, 4, 5, 0x102], out: []}]},
    lock: {modelID: "YRD256 TSDB", manufacturerName: "Yale", endpoints: [{id: 1, device: 0xa, in: [0, 1, 3, 0x101], out: []}]},
    trv: {modelID: "SPZB0001", manufacturerName: "Eurotronic", endpoints: [{id: 1, device: 0x301, in: [0, 1, 3, 4, 0x201], out: []}]},
    thermostat: {modelID: "Nobody's thermostat", manufacturerName: "Nobody", endpoints: [{id: 1, device: 0x301, in: [0, 3, 0x201, 0x202, 0x204], out: [], attributes: {hvacThermostat: {ctrlSeqeOfOper: 4}}}]},
    sinope: {modelID: "TH1123ZB", manufacturerName: "Sinope Technologies", manufacturerID: 0x119c, endpoints: [{id: 1, device: 0x301, in: [0, 3, 4, 5, 0x201, 0x204, 0x402], out: []}]},
    siren: {modelID: "Nobody's siren", manufacturerName: "Nobody", endpoints: [{id: 1, device: 0x403, in: [0, 3, 0x502], out: []}]},
    fan: {modelID: "Nobody's fan", manufacturerName: "Nobody", endpoints: [{id: 1, device: 0xe, in: [0, 3, 0x202], out: []}]},
    bulb: {modelID: "Nobody's bulb", manufacturerName: "Nobody", endpoints: [lamp({colorCapabilities: 31})]},
    bulbs: {modelID: "Nobody's bulbs", manufacturerName: "Nobody", endpoints: [
        {id: 1, device: 0x101, in: [0, 4, 5, 6, 8], out: []}, {id: 2, device: 0x101, in: [0, 4, 5, 6, 8], out: []}]},
    lamps: {group: 7, members: ["ledvance", "ledvance"]},
};

devices.remote = {modelID: "Nobody's remote", manufacturerName: "Nobody", endpoints: [{id: 1, device: 0x820, in: [0, 1, 3], out: [3, 5, 6, 8, 0x102, 0x300]}]};
devices.buttons = {modelID: "Nobody's buttons", manufacturerName: "Nobody", endpoints: [
    {id: 1, device: 0x820, in: [0], out: [6, 8]}, {id: 2, device: 0x820, in: [0], out: [6, 8]}]};

const cases = [];
const set = (of, message, more = {}) => cases.push({of, message, ...more});
const get = (of, message, more = {}) => cases.push({of, message, type: "get", ...more});
const on = {state: "ON", brightness: 120};
const colored = {...on, color_mode: "xy", color: {x: 0.4, y: 0.4}, color_temp: 300};
const hued = {...on, color_mode: "hs", color: {hue: 120, saturation: 80, x: 0.2, y: 0.6}, color_temp: 200};

for (const of of ["ledvance", "ikeaWhite", "sunricher"]) {
    for (const state of ["ON", "off", "TOGGLE"]) set(of, {state}, {state: on});
    set(of, {state: "toggle"}, {state: {state: "OFF"}});
    set(of, {state: "ON"}, {state: {state: "OFF", brightness: 0}});
    set(of, {state: "bad"});
    set(of, {brightness: 100});
    set(of, {brightness: 0}, {state: on});
    set(of, {brightness: 255, transition: 2});
    set(of, {brightness: 300});
    set(of, {brightness: "77"});
    set(of, {brightness_percent: 50});
    set(of, {brightness_percent: 100, transition: 0.5});
    set(of, {state: "ON", brightness: 30});
    set(of, {state: "ON", brightness: 0});
    set(of, {state: "OFF", transition: 3}, {state: on});
    set(of, {state: "ON", transition: 3}, {state: {...on, level_config: {on_level: "previous"}}});
    set(of, {state: "ON", transition: 3}, {state: {...on, level_config: {on_level: 40}}});
    set(of, {state: null, brightness: 40}, {state: {state: "OFF"}});
    set(of, {state: "ON", on_time: 5.25, off_wait_time: 2});
    set(of, {state: "ON", brightness: 12}, {options: {transition: 1.5}});
    set(of, {state: "OFF"}, {options: {transition: "2"}, state: on});
    for (const n of [30, -30, 200, "-15"]) set(of, {brightness_step: n}, {state: on});
    set(of, {brightness_step: 30, transition: 1}, {state: {state: "OFF", brightness: 50}});
    for (const n of [30, -130]) set(of, {brightness_step_onoff: n}, {state: on});
    for (const n of [40, -40, "stop", 0]) set(of, {brightness_move: n}, {state: on});
    set(of, {brightness_move_onoff: -40});
    set(of, {power_on_behavior: "previous"});
    set(of, {effect: "blink"});
    set(of, {effect: "nonsense"});
    get(of, {state: "", brightness: ""});
    get(of, {power_on_behavior: ""});
}
for (const of of ["ledvance", "innr", "bulb"]) {
    for (const color of [{x: 0.3, y: 0.31}, {r: 46, g: 102, b: 150}, {rgb: "46,102,150"}, {hex: "#547CFF"}, "#ff8000", {hue: 360, saturation: 100},
        {hue: 200, saturation: 55}, {h: 100, s: 50, b: 60}, {hsb: "100,50,60"}, {hsv: "10,20,30"}, {h: 10, s: 20, v: 30}, {h: 10, s: 20, l: 30}, {hsl: "110,70,30"},
        {hue: 12}, {saturation: 40}, {h: 90}, {s: 15}, {hue: 50, saturation: 60, value: 70}, {}, {hue: 33, direction: 1}]) {
        set(of, {color}, {state: colored});
    }
    set(of, {color: {x: 0.6, y: 0.3}, transition: 2}, {state: hued});
    set(of, {color: {x: 0.701, y: 0.299}}, {state: hued});
    set(of, {color: {x: 0.6, y: 0.3}}, {state: hued, options: {color_sync: false}});
    set(of, {color: {hue: 20, saturation: 90}}, {state: hued, options: {hue_correction: [{in: 0, out: 10}, {in: 40, out: 80}]}});
    for (const t of [153, 100, 370, 999, "coolest", "warm", "warmest", "neutral", "250"]) set(of, {color_temp: t}, {state: colored});
    set(of, {color_temp: 300, transition: 1, brightness: 50}, {state: hued});
    for (const p of [0, 50, 100]) set(of, {color_temp_percent: p}, {state: colored});
    for (const t of [200, "previous", "cool"]) set(of, {color_temp_startup: t});
    for (const v of [60, -60, "stop", "up", "down", 0, {rate: 20, minimum: 200, maximum: 300}, "sideways"]) set(of, {color_temp_move: v});
    set(of, {color_temp_move: "up", rate: 12});
    for (const v of [50, -99]) set(of, {color_temp_step: v, transition: 0.1});
    for (const v of [20, -20, "stop", 0]) set(of, {hue_move: v}), set(of, {saturation_move: v});
    for (const v of [20, -20]) set(of, {hue_step: v, transition: 1}), set(of, {saturation_step: v});
    set(of, {effect: "colorloop"});
    set(of, {effect: "colorloop", transition: 5});
    set(of, {effect: "stop_colorloop"});
    set(of, {color_options: {execute_if_off: true}});
    set(of, {state: "OFF", color: {x: 0.2, y: 0.2}}, {state: on});
    get(of, {color: ""});
    get(of, {color: {x: "", y: ""}});
    get(of, {color_temp: ""});
    get(of, {color_mode: ""});
    get(of, {color_temp_startup: ""});
}
set("ikeaColor", {color: {hue: 10, saturation: 90}, brightness: 20, transition: 1}, {state: colored});
set("ikeaWhite", {color_temp: 600});
set("ikeaWhite", {color_temp: 300, brightness: 90, transition: 2});
for (const of of ["ledvance"]) {
    set(of, {level_config: {on_level: 100}});
    set(of, {level_config: {on_level: "previous", on_off_transition_time: 2.5, on_transition_time: "disabled", off_transition_time: 1, current_level_startup: "minimum", execute_if_off: true}});
    get(of, {level_config: ""});
    set(of, {alert: "select"}); set(of, {alert: "lselect"}); set(of, {flash: 2}); set(of, {flash: 10});
    set(of, {scene_store: 3}, {state: colored}); set(of, {scene_store: {ID: 3, name: "Evening"}}, {state: colored}); set(of, {scene_store: 0});
    set(of, {scene_recall: 3}); set(of, {scene_remove: 3}); set(of, {scene_remove_all: ""}); set(of, {scene_recall: "x"});
    set(of, {scene_add: {ID: 3, name: "Evening", state: "ON", brightness: 99, transition: 3}});
    set(of, {scene_add: {ID: 3, group_id: 5, state: "ON", color_temp: 310, transition: 0.5}});
    set(of, {scene_add: {ID: 4, state: "OFF", color: {x: 0.3, y: 0.4}}});
    set(of, {scene_add: {ID: 5, color: {hue: 100, saturation: 30}}});
    set(of, {scene_add: {ID: 5, color_temp: 100, color: {x: 1, y: 0}}});
    set(of, {reset: ""});
    set(of, {nonsense: 1});
}
set("ledvance", {read: {cluster: "genBasic", attributes: ["modelId", 4]}});
set("ledvance", {read: {cluster: "genBasic", attributes: [0xfffe], options: {manufacturerCode: 4476}}});
set("ledvance", {read: {cluster: "nonsense", attributes: [1]}});
set("ledvance", {write: {cluster: "genOnOff", payload: {startUpOnOff: 1}}});
set("ledvance", {write: {cluster: "genBasic", payload: {0x61: {value: 2, type: 0x21}}, options: {manufacturerCode: 4476}}});
set("ledvance", {write: {cluster: "genOnOff", payload: {nonsense: 1}}});
set("ledvance", {command: {cluster: "genLevelCtrl", command: "moveToLevel", payload: {level: 10, transtime: 3}}});
set("ledvance", {command: {cluster: 6, command: 2}});
set("ledvance", {command: {cluster: "genScenes", command: "store", payload: {groupid: 0, sceneid: 4}}});
set("ledvance", {command: {cluster: "genScenes", command: "store", payload: {groupid: 0}}});
set("ledvance", {command: {cluster: "genOnOff", command: "explode", payload: {}}});
for (const of of ["plug", "sonoff"]) {
    for (const state of ["ON", "OFF", "toggle"]) set(of, {state}, {state: {state: "ON"}});
    set(of, {state: "on", on_time: 300});
    set(of, {power_on_behavior: "off"});
    get(of, {state: ""});
}
set("wall", {state: "ON"}); set("wall", {state_left: "ON"}); set("wall", {state_right: "TOGGLE"}, {state: {state_right: "ON"}});
set("wall", {state_left: "ON", state_right: "OFF"}); set("wall", {state: "OFF"}, {endpoint: "right"}); set("wall", {state: "ON", on_time: 3}, {endpoint: 2});
set("wall", {state_nowhere: "ON"}); get("wall", {state_right: ""}); get("wall", {state: ""}, {endpoint: "left"});
set("bulbs", {state_2: "ON", brightness_2: 20}); set("bulbs", {brightness: 44}, {endpoint: "2"}); set("bulbs", {brightness_1: 5, brightness_2: 6});
for (const of of ["fyrtur", "cover"]) {
    for (const options of [{}, {invert_cover: true}]) {
        for (const state of ["OPEN", "close", "STOP", "on", "off", "left"]) set(of, {state}, {options});
        for (const position of [0, 30, 100, "x"]) set(of, {position}, {options});
    }
    get(of, {position: ""});
}
set("cover", {tilt: 25}); get("cover", {tilt: ""}); set("cover", {identify: "identify"}, {options: {identify_timeout: 9}}); set("cover", {identify: ""});
set("cover", {scene_add: {ID: 2, position: 40}});
for (const state of ["LOCK", "unlock", {state: "UNLOCK", code: "1234"}, "OPEN"]) set("lock", {state});
set("lock", {pin_code: {user: 3, pin_code: 1234}}); set("lock", {pin_code: {user: 3, pin_code: null}}); set("lock", {pin_code: {user: 1, user_type: "master", user_enabled: false, pin_code: "0042"}});
set("lock", {pin_code: {user: 9999, pin_code: 1}}); get("lock", {pin_code: {user: 2}}); get("lock", {state: ""}); set("lock", {auto_relock_time: 30}); set("lock", {sound_volume: "low_volume"}); get("lock", {auto_relock_time: ""});
for (const of of ["thermostat", "sinope"]) {
    for (const t of [20, 20.5, 20.3, 21.74, 7]) set(of, {occupied_heating_setpoint: t});
    set(of, {occupied_heating_setpoint: 21.3}, {options: {thermostat_unit: "fahrenheit"}});
    set(of, {system_mode: "heat"}); set(of, {system_mode: "off"});
    get(of, {local_temperature: ""}); get(of, {system_mode: ""}); get(of, {occupied_heating_setpoint: ""}); if (of === "thermostat") get(of, {running_state: ""});
    set(of, {keypad_lockout: "lock1"}); set(of, {temperature_display_mode: "fahrenheit"});
}
for (const t of [22, 18.5]) set("thermostat", {occupied_cooling_setpoint: t});
for (const m of ["auto", "low", "off"]) set("thermostat", {fan_mode: m}), set("fan", {fan_mode: m});
set("fan", {fan_state: "ON"}); set("fan", {fan_mode: "fast"}); get("fan", {fan_mode: ""}); get("thermostat", {keypad_lockout: ""});
set("siren", {warning: {mode: "burglar", level: "high", strobe: true, duration: 10, strobe_duty_cycle: 5, strobe_level: "low"}});
set("siren", {warning: {}}); set("siren", {warning: {mode: "stop", strobe: false}}); set("siren", {warning: {mode: "party"}});
for (const m of [{state: "ON"}, {state: "OFF"}, {state: "ON", brightness: 20, transition: 1}, {color_temp: 250}, {color: {x: 0.3, y: 0.3}}, {color: {hue: 30, saturation: 40}},
    {brightness_move: 30}, {brightness_step: -20}, {scene_recall: 2}, {scene_store: 2}, {scene_add: {ID: 2, state: "ON"}}, {scene_remove: 2}, {scene_remove_all: ""},
    {effect: "okay"}, {power_on_behavior: "on"}, {color_temp: "coolest"}]) set("lamps", m, {state: {...colored}});

// What devices tell.
let sequence = 0;
function frame(cluster, name, payload, {type = 1, direction = 0} = {}) {
    const c = Zcl.Utils.getCluster(cluster);
    return {cluster: c.ID, hex: Zcl.Frame.create(type, direction, true, undefined, (sequence = (sequence % 250) + 1), name, c, payload, {}).toBuffer().toString("hex")};
}
const tell = (of, frame, more = {}) => cases.push({of, type: "decode", frame: {ep: 1, ...frame, ...(more.ep ? {ep: more.ep} : {}), ...(more.group ? {group: more.group} : {})}, ...more});
function report(of, cluster, values, more = {}) {
    const c = Zcl.Utils.getCluster(cluster);
    const payload = Object.entries(values).map(([name, v]) => ({attrId: c.attributes[name].ID, dataType: c.attributes[name].type, attrData: v}));
    tell(of, frame(cluster, "report", payload, {type: 0, direction: 1}), more);
}
for (const of of ["ledvance", "bulb"]) {
    for (const v of [0, 1]) report(of, "genOnOff", {onOff: v}), report(of, "genOnOff", {onOff: v}, {options: {state_action: true}});
    for (const v of [0, 1, 128, 254]) report(of, "genLevelCtrl", {currentLevel: v});
    for (const v of [0, 1, 2, 255]) report(of, "genOnOff", {startUpOnOff: v});
    for (const state of [{}, colored, hued]) {
        report(of, "lightingColorCtrl", {colorMode: 1, currentX: 20000, currentY: 21000}, {state});
        report(of, "lightingColorCtrl", {currentX: 45000}, {state});
        report(of, "lightingColorCtrl", {colorMode: 0, currentHue: 100, currentSaturation: 200}, {state});
        report(of, "lightingColorCtrl", {colorMode: 2, colorTemperature: 250}, {state});
        report(of, "lightingColorCtrl", {colorTemperature: 333}, {state});
        report(of, "lightingColorCtrl", {colorTemperature: 333}, {state, options: {color_sync: false}});
        report(of, "lightingColorCtrl", {enhancedCurrentHue: 30000, currentSaturation: 254, colorMode: 0}, {state});
    }
    report(of, "lightingColorCtrl", {startUpColorTemperature: 65535});
    report(of, "lightingColorCtrl", {options: 1});
    report(of, "genLevelCtrl", {onLevel: 255, onOffTransitionTime: 15, onTransitionTime: 65535, offTransitionTime: 20});
    report(of, "genLevelCtrl", {startUpCurrentLevel: 0, options: 3});
}
report("wall", "genOnOff", {onOff: 1}, {ep: 2});
for (const options of [{}, {invert_cover: true}]) {
    for (const v of [0, 30, 100, 255]) report("cover", "closuresWindowCovering", {currentPositionLiftPercentage: v, currentPositionTiltPercentage: v}, {options});
    report("fyrtur", "closuresWindowCovering", {currentPositionLiftPercentage: 70}, {options});
}
report("cover", "closuresWindowCovering", {windowCoveringMode: 5});
for (const v of [0, 1, 2]) report("lock", "closuresDoorLock", {lockState: v});
report("lock", "closuresDoorLock", {autoRelockTime: 30, soundVolume: 2});
for (const code of [1, 2, 3, 10, 13]) {
    tell("lock", frame("closuresDoorLock", "operationEventNotification", {opereventsrc: code % 4, opereventcode: code, userid: 4, pin: Buffer.alloc(0), zigbeelocaltime: 0, data: ""}, {direction: 1}));
    tell("lock", frame("closuresDoorLock", "programmingEventNotification", {programeventsrc: 1, programeventcode: code, userid: 2, pin: Buffer.alloc(0), usertype: 0, userstatus: 1, zigbeelocaltime: 0, data: ""}, {direction: 1}));
}
for (const options of [{}, {expose_pin: true}]) tell("lock", frame("closuresDoorLock", "getPinCodeRsp", {userid: 3, userstatus: 1, usertype: 0, pincodevalue: Buffer.from("1234")}, {direction: 1}), {options});
tell("lock", frame("closuresDoorLock", "getUserStatusRsp", {userid: 3, userstatus: 3}, {direction: 1}));
for (const of of ["thermostat"]) {
    report(of, "hvacThermostat", {localTemp: 2150, occupiedHeatingSetpoint: 2000, systemMode: 4});
    report(of, "hvacThermostat", {localTemp: -32768}); report(of, "hvacThermostat", {runningState: 1, runningMode: 3}); report(of, "hvacThermostat", {pIHeatingDemand: 64}); report(of, "hvacThermostat", {pIHeatingDemand: 128});
    report(of, "hvacThermostat", {minHeatSetpointLimit: 500, maxHeatSetpointLimit: 3000, absMaxHeatSetpointLimit: 3500, ctrlSeqeOfOper: 2});
    report(of, "hvacThermostat", {localTemperatureCalibration: -15, outdoorTemp: 1234, occupancy: 1}); report(of, "hvacThermostat", {remoteSensing: 5, tempSetpointHold: 1});
    report(of, "hvacUserInterfaceCfg", {keypadLockout: 1, tempDisplayMode: 1});
}
for (const v of [0, 1, 4, 5, 6]) report("fan", "hvacFanCtrl", {fanMode: v});
const tail = {optionsMask: 0, optionsOverride: 0};
for (const more of [{}, {group: 901}]) {
    for (const c of ["on", "off", "toggle"]) tell("remote", frame("genOnOff", c, {}), more);
    tell("remote", frame("genOnOff", "offWithEffect", {effectid: 0, effectvariant: 0}), more);
    for (const c of ["moveToLevel", "moveToLevelWithOnOff"]) tell("remote", frame("genLevelCtrl", c, {level: 80, transtime: 15, ...tail}), more);
    for (const movemode of [0, 1]) tell("remote", frame("genLevelCtrl", "move", {movemode, rate: 83, ...tail}), more), tell("remote", frame("genLevelCtrl", "moveWithOnOff", {movemode, rate: 83, ...tail}), more);
    for (const stepmode of [0, 1]) tell("remote", frame("genLevelCtrl", "step", {stepmode, stepsize: 43, transtime: 5, ...tail}), more), tell("remote", frame("lightingColorCtrl", "stepColorTemp", {stepmode: stepmode ? 3 : 1, stepsize: 69, transtime: 10, minimum: 153, maximum: 500, ...tail}), more);
    tell("remote", frame("genLevelCtrl", "stop", tail), more);
    for (const movemode of [0, 1, 3]) {
        tell("remote", frame("lightingColorCtrl", "moveColorTemp", {movemode, rate: 55, minimum: 153, maximum: 370, ...tail}), more);
        tell("remote", frame("lightingColorCtrl", "moveHue", {movemode, rate: 12, ...tail}), more);
    }
    tell("remote", frame("lightingColorCtrl", "moveToColorTemp", {colortemp: 300, transtime: 10, ...tail}), more);
    tell("remote", frame("lightingColorCtrl", "moveToColor", {colorx: 20000, colory: 30000, transtime: 10, ...tail}), more);
    tell("remote", frame("lightingColorCtrl", "moveToHueAndSaturation", {hue: 20, saturation: 30, transtime: 10, ...tail}), more);
    tell("remote", frame("lightingColorCtrl", "enhancedMoveToHueAndSaturation", {enhancehue: 20000, saturation: 30, transtime: 10, ...tail}), more);
    tell("remote", frame("lightingColorCtrl", "moveToHue", {hue: 20, direction: 1, transtime: 10, ...tail}), more);
    tell("remote", frame("lightingColorCtrl", "moveToSaturation", {saturation: 20, transtime: 10, ...tail}), more);
    for (const c of ["stepHue", "stepSaturation"]) tell("remote", frame("lightingColorCtrl", c, {stepmode: 1, stepsize: 20, transtime: 10, ...tail}), more);
    tell("remote", frame("lightingColorCtrl", "colorLoopSet", {updateflags: 15, action: 2, direction: 1, time: 20, starthue: 4000, ...tail}), more);
    tell("remote", frame("lightingColorCtrl", "stopMoveStep", tail), more);
    for (const c of ["upOpen", "downClose", "stop"]) tell("remote", frame("closuresWindowCovering", c, {}), more);
}
for (const ep of [1, 2]) tell("buttons", frame("genOnOff", "toggle", {}), {ep}), tell("buttons", frame("genLevelCtrl", "stop", tail), {ep});

const results = [];
let address = 0x00c0000000000000n;
for (const c of cases) {
    Group.groups?.clear?.();
    const spec = devices[c.of];
    const make = (s) => {
        const zh = device({ieee: `0x${(++address).toString(16).padStart(16, "0")}`, type: "Router", powerSource: "Mains (single phase)", ...s});
        for (const e of s.endpoints) {
            for (const [cluster, values] of Object.entries(e.attributes ?? {})) zh.getEndpoint(e.id).saveClusterAttributeKeyValue(cluster, values);
            zh.getEndpoint(e.id).meta.onLevelSupported = false;
        }
        return zh;
    };
    const plain = (s) => ({...s, endpoints: s.endpoints.map((e) => ({...e, attributes: Object.fromEntries(Object.entries(e.attributes ?? {}).map(([k, v]) => {
        const cluster = Zcl.Utils.getCluster(k);
        return [cluster.ID, Object.fromEntries(Object.entries(v).map(([name, value]) => [attributeID(cluster, name), value]))];
    }))}))});
    let definition, target, zh, group, mapped, names = [];
    if (spec.group) {
        group = Group.create(spec.group);
        mapped = [];
        for (const m of spec.members) {
            const member = make(devices[m]);
            group.addMember(member.endpoints[0]);
            mapped.push(await zhc.findByDevice(member, true));
        }
        target = group;
    } else {
        zh = current = make(spec);
        definition = mapped = await zhc.findByDevice(zh, true);
        await start(definition, zh);
        const endpoints = definition.endpoint?.(zh) ?? {};
        names = Object.keys(endpoints).filter((n) => n !== "default");
        const find = (key) => key === undefined ? zh.getEndpoint(endpoints.default) ?? zh.endpoints[0] : !Number.isNaN(Number(key)) ? zh.getEndpoint(Number(key)) : zh.getEndpoint(endpoints[key]);
        target = find;
    }
    if (c.type === "decode") {
        const m = message(zh, c.frame);
        let told = {};
        for (const x of definition.fromZigbee) {
            if (x.cluster !== m.cluster || ![x.type].flat().includes(m.type)) continue;
            const got = await x.convert(definition, {...m}, () => {}, c.options ?? {}, {device: zh, state: c.state ?? {}, deviceExposesChanged() {}});
            told = {...told, ...got};
        }
        const {of, group: _, ep: __, ...rest} = c;
        results.push(JSON.stringify({device: plain(spec), ...rest, published: told}));
        continue;
    }
    // What follows is how zigbee2mqtt goes through the keys of a message.
    const converters = group ? [...new Set(mapped.flatMap((d) => d.toZigbee))] : definition.toZigbee;
    const entries = Object.entries(c.message);
    const sorter = typeof c.message.state === "string" && c.message.state.toLowerCase() === "off" ? 1 : -1;
    entries.sort((a) => (["state", "brightness", "brightness_percent"].includes(a[0]) ? sorter : -sorter));
    zhc.clearGlobalStore();
    sent = [];
    waited = false;
    let state = {};
    const failed = [];
    const used = [];
    const type = c.type ?? "set";
    for (let [key, value] of entries) {
        const original = key;
        let endpointName = c.endpoint === undefined ? undefined : String(c.endpoint);
        const match = names.length && key.match(new RegExp(`^(.*?)_(${names.join("|")})$`));
        if (match) [key, endpointName] = [match[1], match[2]];
        const entity = group ?? target(endpointName);
        const id = group ? group.groupID : entity.ID;
        const converter = converters.find((x) => (!x.key || x.key.includes(key)) && (group || !x.endpoints || (endpointName && x.endpoints.includes(endpointName))));
        if (type === "set" && converter && used.some((u) => u[0] === id && u[1] === converter)) continue;
        if (!converter) { failed.push(original); continue; }
        if (endpointName !== undefined && !Number.isNaN(Number(endpointName))) endpointName = names.find((n) => definition.endpoint(zh)[n] === id) ?? endpointName;
        const meta = {endpoint_name: endpointName, options: c.options ?? {}, message: {...c.message}, device: zh, state: c.state ?? {}, membersState: group ? Object.fromEntries(group.members.map((x) => [x.deviceIeeeAddress, {}])) : undefined, mapped, deviceExposesChanged() {}, publish() {}};
        if (endpointName) for (const [k, v] of Object.entries(meta.message)) if (k.endsWith(endpointName)) { delete meta.message[k]; meta.message[k.slice(0, -endpointName.length - 1)] = v; }
        try {
            if (type === "set" && converter.convertSet) {
                const r = await converter.convertSet(entity, key, value, meta);
                for (const [k, v] of Object.entries(r?.state ?? {})) state[endpointName ? `${k}_${endpointName}` : k] = v;
            } else if (type === "get" && converter.convertGet) await converter.convertGet(entity, key, meta);
            else failed.push(original);
        } catch (e) {
            if (process.env.WHY) console.error(c.of, JSON.stringify(c.message), e.message);
            failed.push(original);
        }
        used.push([id, converter]);
    }
    const {of, ...rest} = c;
    results.push(JSON.stringify({...(group ? {group: spec.group, members: spec.members.map((m) => plain(devices[m]))} : {device: plain(spec)}), ...rest, sent, published: state, failed}));
}
fs.writeFileSync(process.argv[2], `${results.join("\n")}\n`);
console.error(`${results.length} cases, ${results.filter((r) => JSON.parse(r).failed?.length).length} fail`);
