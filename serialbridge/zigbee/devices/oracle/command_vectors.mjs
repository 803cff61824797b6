// Writes what zigbee-herdsman makes of one payload of every command of its
// clusters, as facts for the tests of package zcl:
//
//	node command_vectors.mjs > ../../zcl/testdata/commands.jsonl
import {createRequire} from "node:module";

const require = createRequire(import.meta.url);
const {Zcl} = require("zigbee-herdsman");

// Bytes that look like lengths and statuses at their beginning and like values later.
const body = Buffer.from("00010203000506070809000102002206070810111213141516171819202122232425262728293031323334353637383940", "hex");
const plain = (v) => {
    if (typeof v === "bigint") return v.toString();
    if (Buffer.isBuffer(v)) return {hex: v.toString("hex")};
    if (Array.isArray(v)) return v.map(plain);
    if (v && typeof v === "object") return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, plain(x)]));
    return Number.isNaN(v) ? null : v;
};
for (const c of Object.values(Zcl.Clusters)) {
    for (const [response, commands] of [[false, c.commands], [true, c.commandsResponse]]) {
        for (const m of Object.values(commands)) {
            if (m.parameters.some((p) => p.type === 1009)) continue; // Green Power frames are bytes to package zcl
            const frame = Buffer.concat([Buffer.from([response ? 9 : 1, 7, m.ID]), body]);
            try {
                const f = Zcl.Frame.fromBuffer(c.ID, Zcl.Header.fromBuffer(frame), frame, {});
                if (f.command !== m) continue; // another one with the same number
                console.log(JSON.stringify({cluster: c.ID, response, command: m.name, id: m.ID, payload: body.toString("hex"), parsed: plain(f.payload)}));
            } catch (error) {
                console.log(JSON.stringify({cluster: c.ID, response, command: m.name, id: m.ID, payload: body.toString("hex"), refused: true}));
            }
        }
    }
}
