// Walks through the box as its owner does: node walk.mjs, by the test that serves a house.
//
// BOX and HOME_ASSISTANT are the URLs of a box that nobody has claimed and of a Home Assistant; OUT is
// the folder for the screenshots; CHROMIUM is the browser; PASSWORD is what to claim it with.

import {Walker} from "./walker.mjs";
import {steps} from "./steps.mjs";

const {BOX, HOME_ASSISTANT, OUT, CHROMIUM, PASSWORD} = process.env;
const w = await new Walker(BOX, OUT).open(CHROMIUM);
for (const [name, does] of Object.entries(steps({w, home: HOME_ASSISTANT, password: PASSWORD}))) {
  if (!await w.step(name, does)) break; // what follows rests on it
}
process.exit(await w.end() ? 1 : 0);
