/** On every engineers' page: which ward pages fell silent or cannot sound, since when; asked every few seconds. Without one it stays out of sight but among the gateways. */
import { glyph } from "./alarms.js";
import { h } from "./dom.js";
import { age, clock, speak, t } from "./words.js";

const EVERY_MS = 3000;

/** @typedef {{id: string, ward: {id: string, name: string}, who: string, sound: "on" | "off" | "none", since_ms: number, seen_ms: number, silent: boolean}} Screen */

/** @param {HTMLElement} box */
async function look(box) {
  let screens;
  try {
    const response = await fetch("/api/v1/screens", { headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(String(response.status));
    screens = /** @type {Screen[]} */ ((await response.json()).screens);
  } catch (error) {
    console.info("ward pages not fetched", error);
    box.classList.add("old"); // what stands there is of before
    if (!box.querySelector(".told")) box.append(h("div", { class: "told" }, h("p", {}, t("screens.unknown"))));
    box.hidden = false;
    return;
  }
  box.classList.remove("old");
  const silent = screens.filter((one) => one.silent);
  const mute = screens.filter((one) => !one.silent && one.sound !== "on");
  box.dataset.mute = String(mute.length);
  box.dataset.silent = String(silent.length);
  box.hidden = !mute.length && !silent.length && box.dataset.always === undefined;
  const rows = silent.map((one) => h("li", {}, glyph("technical"), h("b", {}, t("screens.silent", { ward: one.ward.name })),
    h("span", {}, t("screens.silent_how")), h("small", {}, t("screens.since", { time: clock(one.seen_ms), age: age(Date.now() - one.seen_ms), who: one.who }))));
  rows.push(...mute.map((one) => h("li", {}, glyph("technical"), h("b", {}, t("screens.mute", { ward: one.ward.name })),
    h("span", {}, t(`screens.${one.sound}`)), h("small", {}, t("screens.since", { time: clock(one.since_ms), age: age(Date.now() - one.since_ms), who: one.who })))));
  // Read out when it changes, not at each look.
  const key = [...silent.map((one) => one.id), ...mute.map((one) => one.id + one.sound)].join();
  const list = h("ul", { class: "mute" }, ...rows);
  const head = h("p", { class: "count" }, t("screens.count", { n: screens.length - silent.length, mute: mute.length }));
  const live = box.querySelector("[role]") ?? box.appendChild(h("p", { class: "sr", role: "status" }));
  if (box.dataset.key !== key) live.textContent = [...silent.map((one) => t("screens.silent", { ward: one.ward.name })), ...mute.map((one) => t("screens.mute", { ward: one.ward.name }))].join(" ");
  box.dataset.key = key;
  box.querySelector(".told")?.remove();
  box.append(h("div", { class: "told" }, head, ...(rows.length ? [list] : [])));
}

const box = document.getElementById("screens");
if (box) {
  speak();
  void look(box);
  setInterval(() => void look(box), EVERY_MS);
}
