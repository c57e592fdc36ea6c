/** What an alarm says in one sentence: what, from when to when, how sure, on what grounds; who says so. Codes come in, words go out. */
import { measured, title } from "./alarms.js";
import { age, clock, has, t, term, unitName } from "./words.js";

/** @typedef {import("./contract").Alarm} Alarm @typedef {import("./contract").Evidence} Evidence @typedef {import("./contract").Reason} Reason */

/** No table that was learned from a few patients is surer than this. */
const SUREST_PERCENT = 99;
/** How many of the reasons a sentence holds. */
const TOLD = 2;
const LETHAL = ["MDC_EVT_ECG_V_FIB", "MDC_EVT_ECG_V_TACHY"];

/** @param {Alarm & {events?: import("./contract").AlarmEvent[]}} alarm @param {Evidence | null} evidence null: none, or not here yet @param {number} now */
export function sentence(alarm, evidence, now) {
  const passed = (alarm.events ?? []).find((event) => event.kind === "latched" || event.kind === "ended");
  const over = alarm.presence !== "present" && passed;
  const why = [grounds(alarm, evidence), pulse(alarm.params)].filter(Boolean).reduce((all, one) => (all ? t("finding.reason_list", { all, one }) : one), "");
  return t("finding.sentence", {
    what: title(alarm),
    when: over ? "over" : alarm.presence === "present" ? "still" : "once",
    from: clock(alarm.onset_ms),
    to: over ? clock(passed.at_ms) : "",
    age: age((over ? passed.at_ms : now) - alarm.onset_ms),
    sure: evidence === null || alarm.kind === "technical" ? "none" : evidence.confidence === null ? "rule" : "chance",
    percent: evidence?.confidence ? percent(evidence.confidence) : "",
    grounds: why ? "some" : "none",
    why,
  });
}

/** That it is advice, and of which program. @param {Alarm} alarm @param {Evidence} evidence */
export function advice(alarm, evidence) {
  const by = program(evidence);
  return alarm.kind === "technical" ? t("finding.advice_technical", { by }) : t("finding.advice", { by });
}

/** The model that judged, or else the rule, with its version. @param {Evidence} evidence */
export function program(evidence) {
  const [model] = evidence.models ?? [];
  if (model) return t("finding.model", { name: model.name, version: model.version });
  return t("sheet.rule_value", { rule: ruleName(evidence.rule), version: evidence.rule_version });
}

/** @param {string} rule */
export function ruleName(rule) {
  return has(`rule.${rule}`) ? t(`rule.${rule}`) : rule;
}

/** @param {number} confidence of 0 to 1 */
export function percent(confidence) {
  return Math.min(SUREST_PERCENT, Math.round(100 * confidence));
}

/** What makes leads noisy, by the reason that the gateway names. @param {unknown} reason @param {string} leads */
function noise(reason, leads) {
  switch (reason) {
    case "mains": return t("finding.why.mains", { leads });
    case "motion": return t("finding.why.motion", { leads });
    case "baseline": return t("finding.why.baseline", { leads });
    default: return t("finding.why.noise", { leads });
  }
}

/** What the pulse of the same device says against the alarm, where it does. @param {Alarm["params"]} params @returns {string} */
function pulse(params) {
  const rate = typeof params.pulse_rate === "number" ? params.pulse_rate : null;
  if (rate === null || typeof params.pulse !== "string") return "";
  const held = typeof params.held_s === "number" ? params.held_s : 0;
  return t("finding.against", { rate, waited: held > 0 ? "some" : "none", held });
}

/** Why: the whole of it where its parts are known, else nothing. @param {Alarm} alarm @param {Evidence | null} evidence @returns {string} */
export function grounds(alarm, evidence) {
  const { params, code } = alarm;
  if (typeof params.beats === "number" && typeof params.beats_per_min === "number") return t("finding.why.run", { beats: params.beats, rate: params.beats_per_min });
  if (LETHAL.includes(code)) return evidence ? seen(evidence) : "";
  const known = Object.fromEntries(Object.entries(params).filter(([, value]) => typeof value === "number").map(([name, value]) => [name, String(Number(Number(value).toFixed(1)))]));
  const leads = typeof params.leads === "string" ? listed("finding.lead_list", params.leads.split(" ").map((lead) => term(lead).short || term(lead).name)) : "";
  switch (code) {
    case "MDC_EVT_ECG_ASYSTOLE": return known.pause_s && known.limit_s ? t("finding.why.asystole", { pause: known.pause_s, limit: known.limit_s }) : "";
    case "MDC_EVT_ECG_BRADY_EXTREME": return known.heart_rate && known.limit_per_min ? t("finding.why.slow", { rate: known.heart_rate, limit: known.limit_per_min }) : "";
    case "MDC_EVT_ECG_TACHY_EXTREME": return known.heart_rate && known.limit_per_min ? t("finding.why.fast", { rate: known.heart_rate, limit: known.limit_per_min }) : "";
    case "MDC_EVT_HI_GT_LIM": case "MDC_EVT_LO_LT_LIM":
      return known.value && known.limit && typeof params.measure === "string" ? t("finding.why.limit", { what: measured(params.measure), limit: known.limit, unit: unitName(String(params.unit ?? "1")) }) : "";
    case "MDC_EVT_LEADS_OFF": return leads && t("finding.why.off", { leads });
    case "MDC_EVT_SIG_LO": return leads && t("finding.why.flat", { leads });
    case "WDL_EVT_ECG_NOISE": return leads && noise(params.reason, leads);
    case "WDL_EVT_SATURATED": return leads && t("finding.why.saturated", { leads });
    case "WDL_EVT_LINK_LOST": return t("finding.why.silent");
    case "WDL_EVT_FLOOD": return t("finding.why.flood");
    default: return "";
  }
}

/** What was seen on which leads, by what spoke most for the finding. @param {Evidence} evidence @returns {string} */
function seen(evidence) {
  const reasons = (evidence.reasons ?? []).filter((reason) => reason.weight > 0 && has(`reason.${reason.code}`)).slice(0, TOLD).map(reasonText);
  if (!reasons.length) return "";
  const judged = (evidence.spans ?? []).find((span) => span.kind === "judged");
  const leads = listed("finding.lead_list", (judged?.leads ?? []).map((lead) => term(lead).short || lead));
  return t("finding.seen", { reasons: listed("finding.reason_list", reasons), on: leads ? "leads" : "none", leads });
}

/** @param {Reason} reason */
export function reasonText(reason) {
  const value = reason.value === null ? "–" : reason.unit === "Hz" ? Math.round(reason.value) : reason.unit === "1" ? Math.round(100 * reason.value) : Number(reason.value.toFixed(1));
  return has(`reason.${reason.code}`) ? t(`reason.${reason.code}`, { value }) : reason.code;
}

/** One behind the other, as the language joins them. @param {string} key @param {string[]} parts */
export function listed(key, parts) {
  return parts.reduce((all, one) => (all ? t(key, { all, one }) : one), "");
}
