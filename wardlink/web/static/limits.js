/** The sheet that sets alarm limits for the patient: what the bed has, what the patient has and who set it, buttons for gloves. */
import { measured } from "./alarms.js";
import { h } from "./dom.js";
import { Refused } from "./hub.js";
import { limits as boundsText, unwatched } from "./numbers.js";
import { panel } from "./panels.js";
import { hour, t, unitName } from "./words.js";

const ANSWERED_MS = 2000; // a gateway that is there has answered by then

/** @typedef {import("./contract").LimitRow} Row @typedef {import("./contract").LimitsAnswer} Answer */

/** @param {import("./hub.js").Hub} hub @param {number} key @param {{close: () => void, changed: () => void}} on */
export function limitsPanel(hub, key, on) {
  const body = h("div", { class: "limits-body" }, h("p", {}, t("review.loading")));
  const told = h("p", { class: "told-line", role: "status" });
  const save = h("button", { class: "plain main", type: "button", disabled: true, onclick: () => void keep() }, t("limits.save"));
  /** @type {{row: Row, low: HTMLInputElement, high: HTMLInputElement}[]} */
  let fields = [];
  let since = 0;

  /** @param {Answer} answer */
  function show(answer) {
    if (answer.since_ms === null) {
      body.replaceChildren(h("p", {}, t("limits.nobody")));
      save.hidden = true;
      return;
    }
    since = answer.since_ms;
    fields = answer.limits.map((row) => ({ row, low: input(row, "low"), high: input(row, "high") }));
    body.replaceChildren(...fields.map((field) => line(field)));
    check();
  }

  /** @param {Row} row @param {"low" | "high"} side */
  function input(row, side) {
    const value = (row.own ?? row.bed)[side];
    const label = t(side === "low" ? "limits.low_of" : "limits.high_of", { what: measured(row.code), unit: unitName(row.unit) });
    return h("input", { type: "number", inputmode: "decimal", min: String(row.least ?? ""), max: String(row.most ?? ""), step: "any", value: value === null ? "" : String(value), "aria-label": label, autocomplete: "off", oninput: check });
  }

  /** @param {typeof fields[number]} field */
  function line({ row, low, high }) {
    const own = row.own;
    const bed = boundsText({ code: row.code, unit: row.unit, ...row.bed }) || t("numeric.no_limits");
    const reset = own && h("button", { class: "plain", type: "button", onclick: () => { [low.value, high.value] = [text(row.bed.low), text(row.bed.high)]; check(); } }, t("limits.as_bed"));
    return h("fieldset", { class: own ? "limit-row own" : "limit-row" }, h("legend", {}, measured(row.code), " ", h("small", {}, unitName(row.unit))),
      stepper(row, low), h("span", { "aria-hidden": "true" }, "–"), stepper(row, high), reset,
      row.unwatched && h("p", { class: "unwatched", role: "note" }, unwatched(row.unwatched)),
      h("p", {}, t("limits.bed_has", { limits: bed }), own && h("span", { class: "who-set" }, t("limits.set_by", { who: own.by, time: hour(own.at_ms, hub.now()) }))));
  }

  /** @param {Row} row @param {HTMLInputElement} field */
  function stepper(row, field) {
    const move = (/** @type {number} */ sign) => () => {
      const from = field.value === "" ? ((row.least ?? 0) + (row.most ?? 100)) / 2 : Number(field.value);
      field.value = String(Number(Math.max(row.least ?? -Infinity, Math.min(row.most ?? Infinity, from + sign * row.step)).toFixed(1)));
      check();
    };
    const label = field.getAttribute("aria-label") ?? "";
    return h("span", { class: "stepper" }, h("button", { type: "button", "aria-label": t("limits.less", { what: label }), onclick: move(-1) }, "−"), field,
      h("button", { type: "button", "aria-label": t("limits.more", { what: label }), onclick: move(1) }, "+"));
  }

  function changes() {
    return fields.filter(({ row, low, high }) => low.value !== text((row.own ?? row.bed).low) || high.value !== text((row.own ?? row.bed).high));
  }

  function check() {
    const wrong = fields.filter(({ low, high }) => !low.validity.valid || !high.validity.valid || (low.value !== "" && high.value !== "" && Number(low.value) >= Number(high.value)));
    for (const { low, high } of fields) for (const one of [low, high]) one.toggleAttribute("aria-invalid", wrong.some((field) => field.low === one || field.high === one));
    told.textContent = wrong[0] ? t("limits.wrong", { what: measured(wrong[0].row.code), least: wrong[0].row.least ?? "", most: wrong[0].row.most ?? "" }) : "";
    save.disabled = wrong.length > 0 || !changes().length;
  }

  /** Shows what the gateway has answered meanwhile, unless somebody is changing something already. */
  async function heard() {
    const answer = /** @type {Answer | null} */ (await hub.get(`/api/v1/beds/${key}/limits`).catch(() => null));
    const said = told.textContent;
    if (answer === null || !body.isConnected || changes().length || body.contains(document.activeElement)) return;
    show(answer);
    told.textContent = said;
    on.changed();
  }

  async function keep() {
    save.disabled = true;
    const wanted = changes().map(({ row, low, high }) => {
      const [a, b] = [number(low), number(high)];
      const isBed = a === row.bed.low && b === row.bed.high;
      return isBed ? { code: row.code } : { code: row.code, ...(a === null ? {} : { low: a }), ...(b === null ? {} : { high: b }) };
    });
    try {
      show(/** @type {Answer} */ (await hub.post(`/api/v1/beds/${key}/limits`, { since_ms: since, limits: wanted })));
      told.textContent = t("limits.saved");
      on.changed();
      setTimeout(() => void heard(), ANSWERED_MS);
    } catch (error) {
      told.textContent = error instanceof Refused ? (error.status === 409 ? t("limits.gone") : t("sheet.refused", { reason: error.message })) : t("limits.failed");
      save.disabled = false;
    }
  }

  void hub.get(`/api/v1/beds/${key}/limits`).then(show, () => body.replaceChildren(h("p", {}, t("review.failed"))));
  return panel(t("limits.title"), on.close, h("p", {}, t("limits.what")), body, h("div", { class: "save-bar" }, save, told));
}

/** @param {number | null} value */
function text(value) {
  return value === null ? "" : String(value);
}

/** @param {HTMLInputElement} field */
function number(field) {
  return field.value === "" ? null : Number(field.value);
}
