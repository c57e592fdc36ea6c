/** The numbers of a bed: one box a measurement, with its limits, its age when it is old, grey when it is no longer live. */
import { h, setText } from "./dom.js";
import { concerns, look } from "./alarms.js";
import { age, has, hour, t, term, unitName } from "./words.js";

/** @typedef {import("./contract").Bed} Bed @typedef {import("./contract").Numeric} Numeric */

const HR = "MDC_ECG_HEART_RATE";
const SYS = "MDC_PRESS_BLD_NONINV_SYS";
const DIA = "MDC_PRESS_BLD_NONINV_DIA";
const MINUTE = 60000;
/** A value of this quality is not shown at all: a rate counted in fibrillation would look like a heart that beats. */
const UNSHOWN = new Set(["lead_off", "flat", "saturated", "noise", "unusable"]);

/** Not numbers of the bedside: the charge is a sign in the head when it is low; one interval between beats says nothing. */
const ELSEWHERE = new Set([DIA, "MDC_ATTR_VAL_BATT_CHARGE", "MDC_ECG_TIME_PD_RR_GL"]);

/** Order, signal colour, and for how long a value may be shown without its age and as live: `old`, `stale` ms. */
const KINDS = new Map([
  [HR, { look: "ecg", old: 10000, stale: 30000, spot: false }],
  ["MDC_PULS_OXIM_SAT_O2", { look: "spo2", old: 10000, stale: 30000, spot: false }],
  ["MDC_PULS_OXIM_PULS_RATE", { look: "spo2", old: 10000, stale: 30000, spot: false }],
  ["MDC_TTHOR_RESP_RATE", { look: "resp", old: 15000, stale: 45000, spot: false }],
  [SYS, { look: "nibp", old: 0, stale: 240 * MINUTE, spot: true }],
  ["MDC_TEMP_BODY", { look: "temp", old: 0, stale: 480 * MINUTE, spot: true }],
]);

export class Numbers {
  constructor() {
    this.root = h("div", { class: "nums" });
    /** @type {Map<string, {root: HTMLElement, name: HTMLElement, val: HTMLElement, limits: HTMLElement, note: HTMLElement, unit: HTMLElement}>} */
    this.boxes = new Map();
  }

  /**
   * @param {Bed} bed @param {import("./contract").Alarm[]} alarms of this bed, the most urgent first
   * @param {(one: Numeric) => boolean} isLost whether no newer value can be hoped for @param {number} now hub's time, ms
   */
  show(bed, alarms, isLost, now) {
    const by = new Map(bed.numerics.map((numeric) => [numeric.code, numeric]));
    if (!by.has(HR) && bed.leads.length) by.set(HR, { code: HR, value: null, unit: "/min", at_ms: now, quality: "good" });
    const codes = [...KINDS.keys()].filter((code) => by.has(code));
    for (const code of by.keys()) if (!KINDS.has(code) && !ELSEWHERE.has(code) && !code.startsWith("WDL_")) codes.push(code);
    if (codes.join() !== [...this.boxes.keys()].join()) this.build(codes);
    for (const code of codes) {
      const alarm = alarms.find((one) => concernsCode(one, code));
      const one = /** @type {Numeric} */ (by.get(code));
      this.fill(code, one, by.get(DIA), bed, alarm, isLost(one), now);
    }
  }

  /** @param {string[]} codes */
  build(codes) {
    this.boxes.clear();
    for (const code of codes) {
      const kind = KINDS.get(code);
      const box = {
        root: h("div", { class: `num s-${kind?.look ?? "other"}${code === HR ? " hr" : ""}${code === SYS ? " pair" : ""}`, "data-code": code }),
        name: h("span", { class: "name" }), unit: h("span", { class: "unit" }), val: h("div", { class: "val" }),
        limits: h("span", { class: "limits" }), note: h("span", { class: "note" }),
      };
      box.root.append(h("div", { class: "box" }, h("div", { class: "cap" }, box.name, box.unit), box.val, h("div", { class: "sub" }, box.limits, box.note)));
      this.boxes.set(code, box);
    }
    this.root.replaceChildren(...[...this.boxes.values()].map((box) => box.root));
  }

  /**
   * @param {string} code @param {Numeric} numeric @param {Numeric | undefined} dia @param {Bed} bed
   * @param {import("./contract").Alarm | undefined} alarm @param {boolean} lost @param {number} now
   */
  fill(code, numeric, dia, bed, alarm, lost, now) {
    const box = this.boxes.get(code);
    if (!box) return;
    const kind = KINDS.get(code) ?? { look: "other", old: 10000, stale: 60000, spot: false };
    const passed = now - numeric.at_ms;
    const nothing = empty(numeric);
    const stale = (lost && !kind.spot) || (!nothing && passed > kind.stale);
    setText(box.name, code === SYS ? t("numeric.MDC_PRESS_BLD_NONINV") : name(code));
    setText(box.unit, unitName(numeric.unit));
    setText(box.val, nothing ? t(kind.spot ? "numeric.none_spot" : "numeric.none") : value(numeric, code === SYS ? dia : undefined));
    const limit = bed.limits.find((one) => one.code === code);
    setText(box.limits, limits(limit));
    box.limits.classList.toggle("own", limit?.bed !== undefined);
    box.limits.classList.toggle("unwatched", limit?.unwatched !== undefined);
    box.limits.title = limit?.unwatched ? unwatched(limit.unwatched) : limit?.bed ? t("limits.bed_has", { limits: limits({ ...limit, ...limit.bed }) || t("numeric.no_limits") }) : "";
    setText(box.note, note(numeric, kind, passed, lost, now) || (limit?.unwatched ? t("numeric.unwatched") : ""));
    const colour = alarm ? look(alarm) : null;
    box.root.classList.toggle("stale", stale && !nothing);
    box.root.classList.toggle("none", nothing);
    box.root.firstElementChild?.classList.toggle("noted", box.note.textContent !== "");
    for (const one of ["high", "medium"]) box.root.classList.toggle(`p-${one}`, colour === one);
    box.root.classList.toggle("flash", colour !== null && !alarm?.acknowledged);
  }
}

/** @param {import("./contract").Alarm} alarm @param {string} code */
function concernsCode(alarm, code) {
  const concerned = concerns(alarm);
  return concerned === code || (concerned === DIA && code === SYS);
}

/** @param {Numeric} numeric */
function empty(numeric) {
  return numeric.value === null || UNSHOWN.has(numeric.quality);
}

/** @param {string} code */
function name(code) {
  return has(`numeric.${code}`) ? t(`numeric.${code}`) : term(code).short || term(code).name;
}

/** @param {Numeric} numeric @param {Numeric | undefined} second */
function value(numeric, second) {
  const digits = numeric.code === "MDC_TEMP_BODY" ? 1 : 0;
  const first = Number(numeric.value).toFixed(digits);
  return second && !empty(second) ? `${first}/${Number(second.value).toFixed(digits)}` : first;
}

/** That the gateway does not watch a limit, and why. @param {string} reason */
export function unwatched(reason) {
  return t("limits.unwatched", { why: t(has(`limits.why.${reason}`) ? `limits.why.${reason}` : "limits.why.other") });
}

/** @param {import("./contract").Limit | undefined} limit */
export function limits(limit) {
  if (!limit) return "";
  if (limit.low !== null && limit.high !== null) return t("numeric.limits", { low: limit.low, high: limit.high });
  if (limit.low !== null) return t("numeric.limit_low", { low: limit.low });
  return limit.high === null ? "" : t("numeric.limit_high", { high: limit.high });
}

/** @param {Numeric} numeric @param {{old: number, spot: boolean}} kind @param {number} passed @param {boolean} lost @param {number} now */
function note(numeric, kind, passed, lost, now) {
  if (empty(numeric)) return has(`numeric.quality.${numeric.quality}`) ? t(`numeric.quality.${numeric.quality}`) : "";
  if (kind.spot) return hour(numeric.at_ms, now);
  if (passed > kind.old || (lost && passed > 3000)) return t("time.ago", { age: age(passed) });
  return has(`numeric.quality.${numeric.quality}`) ? t(`numeric.quality.${numeric.quality}`) : "";
}
