// Writes the table of clusters of zigbee-herdsman (MIT) in the form that package
// zcl reads:
//
//	node clusters.mjs > ../../zcl/clusters.txt
import {createRequire} from "node:module";

const require = createRequire(import.meta.url);
const {Clusters} = require("zigbee-herdsman/dist/zspec/zcl/definition/cluster.js");

const types = {
    0x10: "bool", 0x30: "enum8", 0x31: "enum16", 0x38: "semi", 0x39: "single", 0x3a: "double",
    0x41: "octstr", 0x42: "string", 0x43: "octstr16", 0x44: "string16", 0x48: "array", 0x4c: "struct", 0x50: "set", 0x51: "bag",
    0xe0: "ToD", 0xe1: "date", 0xe2: "UTC", 0xe8: "clusterId", 0xe9: "attribId", 0xea: "bacOID", 0xf0: "EUI64", 0xf1: "key128", 0xff: "unk",
    1001: "list-uint8", 1002: "list-uint16", 1003: "list-uint24", 1004: "list-uint32", 1005: "list-zone",
    1006: "extension-fields", 1007: "list-transition", 1008: "bytes", 1009: "green-power-frame", 1011: "list-datapoint",
};
for (let bytes = 1; bytes <= 8; bytes++) {
    for (const [first, name] of [[0x08, "data"], [0x18, "map"], [0x20, "uint"], [0x28, "int"]]) types[first + bytes - 1] = name + 8 * bytes;
}
const hex = (n, digits) => `0x${n.toString(16).padStart(digits, "0")}`;
const type = (n) => {
    if (!(n in types)) throw new Error(`type ${n} has no name`);
    return types[n];
};

function condition(c) {
    switch (c.type) {
        case "minimumRemainingBufferBytes": return `left>=${c.value}`;
        case "fieldEquals": return `${c.field}==${c.value}`;
        case "fieldGT": return `${c.field}>${c.value}`;
        case "bitMaskSet": return `${c.reversed ? "!" : ""}${c.param}&${c.mask}`;
        case "bitFieldEnum": return `${c.param}[${c.offset}:${c.size}]==${c.value}`;
    }
    throw new Error(`condition ${c.type}`);
}

// facts are what stands behind name and type: a word, or key=value.
function facts(o) {
    const out = [];
    for (const [k, v] of Object.entries(o)) {
        if (["name", "ID", "type", "parameters"].includes(k)) continue;
        if (k === "conditions") out.push(...v.map((c) => `if=${condition(c)}`));
        else if (k === "special") out.push(`special=${Object.entries(v).map(([a, b]) => `${a}:${b}`).join(",")}`);
        else if (typeof v === "string") out.push(`${k}=${JSON.stringify(v)}`);
        else if (v === true) out.push(k);
        else out.push(`${k}=${v}`);
    }
    return out.map((f) => ` ${f}`).join("");
}

const lines = [];
for (const [key, c] of Object.entries(Clusters)) {
    if (key !== c.name) throw new Error(key);
    lines.push("", `cluster ${hex(c.ID, 4)} ${c.name}${c.manufacturerCode ? ` manufacturer=${c.manufacturerCode}` : ""}`);
    for (const a of Object.values(c.attributes)) lines.push(`attribute ${hex(a.ID, 4)} ${a.name} ${type(a.type)}${facts(a)}`);
    for (const [word, commands] of [["command", c.commands], ["response", c.commandsResponse]]) {
        for (const m of Object.values(commands)) {
            lines.push(`${word} ${hex(m.ID, 2)} ${m.name}${facts(m)}`);
            for (const p of m.parameters) lines.push(`with ${p.name} ${type(p.type)}${facts(p)}`);
        }
    }
}
console.log(`# The clusters of the Zigbee Cluster Library in the names of zigbee-herdsman
# ${require("zigbee-herdsman/package.json").version}, from which this table is derived (MIT, see LICENSE-zigbee-herdsman).
#
#   cluster    its number and name
#   attribute  number, name, type (section 2.6.2) and facts: read and write as
#              told (an attribute can be read unless it says otherwise), min, max,
#              default; special values that may lie outside
#   command    what a client sends: number, name, number of its response
#   response   what a server sends
#   with       a parameter of the command or response before it; "if" says when
#              it is there: left>=2 if so many bytes are left, a==1, a>1,
#              a&mask if all bits of the mask are set, !a&mask if they are not,
#              a[offset:size]==1 for some bits of a
${lines.join("\n")}`);
