// The map of the Zigbee network: larger and smaller, moved by dragging, and the links of a
// device stand out when it is pointed at. Without this file the map is as large as it is and
// is scrolled.

import {t} from "./text.js";

for (const box of document.querySelectorAll("[data-map]")) {
  const svg = box.querySelector("svg");
  const size = svg.viewBox.baseVal.width;
  let scale = Math.min(1, Math.max(0.4, box.clientWidth / size));

  const zoom = (factor) => {
    const middle = [(box.scrollLeft + box.clientWidth / 2) / scale, (box.scrollTop + box.clientHeight / 2) / scale];
    scale = Math.min(3, Math.max(0.2, scale * factor));
    svg.setAttribute("width", size * scale);
    svg.setAttribute("height", size * scale);
    box.scrollTo(middle[0] * scale - box.clientWidth / 2, middle[1] * scale - box.clientHeight / 2);
  };
  zoom(1);
  box.scrollTo((size * scale - box.clientWidth) / 2, (size * scale - box.clientHeight) / 2);

  const row = document.createElement("p");
  row.className = "row";
  for (const [label, factor] of [[t("Larger"), 1.25], [t("Smaller"), 0.8]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = label;
    button.addEventListener("click", () => zoom(factor));
    row.append(button);
  }
  box.before(row);

  let from;
  box.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button === 0) from = [event.clientX + box.scrollLeft, event.clientY + box.scrollTop];
  });
  addEventListener("pointerup", () => { from = undefined; });
  box.addEventListener("pointermove", (event) => {
    if (from) box.scrollTo(from[0] - event.clientX, from[1] - event.clientY);
  });

  const light = (address) => {
    for (const line of svg.querySelectorAll("line")) {
      line.classList.toggle("lit", address !== undefined && (line.dataset.a === address || line.dataset.b === address));
    }
  };
  for (const node of svg.querySelectorAll("[data-node]")) {
    node.addEventListener("pointerenter", () => light(node.dataset.node));
    node.addEventListener("pointerleave", () => light());
  }
}
