/** On every engineers' page: which gateways fell silent or run short of processor time, memory or disk, and the hub itself; asked every few seconds. */
import { glyph } from "./alarms.js";
import { h } from "./dom.js";
import { age, clock, speak, t } from "./words.js";

const EVERY_MS = 3000;

/**
 * @typedef {{cpu_percent?: number, memory_percent?: number, disk_percent?: number}} Machine
 * @typedef {{name: string, state: string, last_stored_ms: number | null, warnings: string[], status: Machine}} Gateway
 * @typedef {Machine & {warnings: string[]}} OwnMachine
 */

/** @param {string} what @param {Machine} machine */
function percent(what, machine) {
  return Math.round({ cpu: machine.cpu_percent, memory: machine.memory_percent, disk: machine.disk_percent }[what] ?? 0);
}

/** @param {Gateway[]} gateways @param {OwnMachine} hub @returns {{key: string, title: string, how: string, since: string}[]} */
function troubles(gateways, hub) {
  const silent = gateways.filter((one) => one.state === "away").map((one) => ({
    key: `${one.name} silent`, title: t("gateways.alarm.silent", { name: one.name }), how: t("gateways.alarm.silent_how"),
    since: one.last_stored_ms === null ? "" : t("gateways.alarm.since", { time: clock(one.last_stored_ms), age: age(Date.now() - one.last_stored_ms) }),
  }));
  const short = gateways.flatMap((one) => one.warnings.map((what) => ({
    key: `${one.name} ${what}`, title: t(`gateways.short.${what}`, { name: one.name, percent: percent(what, one.status) }), how: t(what === "spool_key_in_file" ? "gateways.key_in_file_how" : "gateways.alarm.short_how"), since: "",
  })));
  const own = hub.warnings.map((what) => ({
    key: `hub ${what}`, title: t(`gateways.hub_short.${what}`, { percent: percent(what, hub) }), how: t("gateways.alarm.hub_how"), since: "",
  }));
  return [...silent, ...own, ...short];
}

/** @param {HTMLElement} box */
async function look(box) {
  let found;
  try {
    const response = await fetch("/api/v1/gateways", { headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(String(response.status));
    const told = await response.json();
    found = troubles(told.gateways, told.hub);
  } catch (error) {
    console.info("gateways not fetched", error); // that the hub does not answer stands in the box of the ward pages
    return;
  }
  const live = box.querySelector("[role]") ?? box.appendChild(h("p", { class: "sr", role: "status" }));
  const key = found.map((one) => one.key).join();
  // Read out when it changes, not at each look.
  if (box.dataset.key !== key) live.textContent = found.map((one) => one.title).join(" ");
  box.dataset.key = key;
  box.dataset.mute = String(found.length); // the frame of a technical alarm
  box.hidden = !found.length;
  box.querySelector(".mute")?.remove();
  box.append(h("ul", { class: "mute" }, ...found.map((one) => h("li", {}, glyph("technical"), h("b", {}, one.title), h("span", {}, one.how), h("small", {}, one.since)))));
}

const box = document.getElementById("gateway-alarms");
if (box) {
  speak();
  void look(box);
  setInterval(() => void look(box), EVERY_MS);
}
