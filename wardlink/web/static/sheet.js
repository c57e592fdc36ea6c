/** The alarm's sheet: who, what, since when, the button, the strip that decided it, why, and what happened since. Pushes, never covers. */
import { glyph, look, measured, title } from "./alarms.js";
import { PATHS, h, icon, setText } from "./dom.js";
import { evidenceStrip } from "./evidence.js";
import { Refused } from "./hub.js";
import { advice, percent, reasonText, ruleName, sentence } from "./finding.js";
import { age, clock, has, hour, t, term, unitName } from "./words.js";

/** @typedef {import("./contract").Alarm} Alarm @typedef {import("./contract").AlarmDetail} AlarmDetail */

const RETRY_MS = 3000;
/** Unit of a parameter, by the last word of its name. */
const UNITS = [["_s", "s"], ["_uv", "uV"], ["_ms", "ms"], ["_hz", "Hz"], ["_per_min", "/min"]];

export class AlarmSheet {
  /**
   * @param {Pick<import("./hub.js").Hub, "get" | "post" | "now">} hub
   * @param {{bedName: (bed: string) => string, changed: (alarm: Alarm) => void, close: (() => void) | null}} on
   */
  constructor(hub, on) {
    this.hub = hub;
    this.on = on;
    this.root = h("aside", { class: "sheet", "aria-label": t("sheet.label"), tabindex: "-1" });
    /** @type {AlarmDetail | null} */
    this.detail = null;
    this.sending = false;
    /** Whether the strip is drawn for paper. */
    this.printing = false;
    /** What went wrong with the last press of the button. */
    this.trouble = "";
    this.timer = 0;
  }

  /** @param {Alarm} alarm @param {AlarmDetail | null} [detail] when it is at hand already */
  open(alarm, detail = null) {
    const other = this.alarm?.id !== alarm.id;
    this.alarm = alarm;
    this.detail = detail ?? (other ? null : this.detail);
    if (other) this.trouble = "";
    this.build();
    if (!detail) void this.fetch();
  }

  /** The alarm has changed. @param {Alarm} alarm */
  update(alarm) {
    if (alarm.id !== this.alarm?.id) return;
    this.alarm = alarm;
    this.head();
    void this.fetch();
  }

  close() {
    clearTimeout(this.timer);
    this.alarm = undefined;
  }

  async fetch() {
    clearTimeout(this.timer);
    const id = this.alarm?.id;
    if (!id) return;
    try {
      const detail = /** @type {AlarmDetail} */ (await this.hub.get(`/api/v1/alarms/${encodeURIComponent(id)}`));
      if (this.alarm?.id !== id) return;
      const had = this.detail?.evidence?.strip;
      this.detail = detail;
      this.evidence(had !== undefined && had !== null);
      this.rest();
    } catch (error) {
      if (this.alarm?.id !== id) return;
      console.info("alarm details not fetched", error);
      if (!this.detail) this.strip?.replaceChildren(h("p", {}, t("sheet.evidence_failed")));
      this.timer = setTimeout(() => void this.fetch(), RETRY_MS);
    }
  }

  build() {
    this.top = h("header", { class: "sheet-head" });
    this.act = h("div", { class: "act", "aria-live": "polite" });
    this.strip = h("div", {}, h("p", {}, t("sheet.evidence_loading")));
    this.below = h("div", {});
    this.said = h("p", { class: "finding" });
    this.advice = h("p", { class: "advice" });
    this.root.replaceChildren(this.top, this.act, h("div", { class: "sheet-body" },
      h("section", {}, h("h3", {}, t("finding.title")), this.said, this.advice),
      h("section", {}, h("h3", {}, t("sheet.evidence")), this.strip), this.below));
    this.head();
    if (this.detail) this.evidence(false);
    this.rest();
  }

  head() {
    const alarm = this.alarm;
    if (!alarm || !this.top || !this.act) return;
    const kind = look(alarm);
    this.when = h("p", { class: "when" });
    this.top.replaceChildren(
      h("span", { class: `mark p-${kind}` }, glyph(kind), t(`alarm.priority.${kind}`)),
      this.on.close ? h("button", { class: "icon", type: "button", "aria-label": t("sheet.close"), onclick: this.on.close }, icon(PATHS.close)) : "",
      h("h2", {}, t("alarm.title", { bed: this.on.bedName(alarm.bed), alarm: title(alarm) })),
      this.when,
    );
    this.tick();
    if (alarm.acknowledged) {
      const { by, at_ms: at } = alarm.acknowledged;
      this.act.replaceChildren(h("p", { class: "done" }, icon(PATHS.check), t("sheet.acknowledged", { who: by, time: clock(at) })));
    } else {
      const button = h("button", { type: "button", class: "acknowledge", onclick: () => void this.acknowledge() }, t(this.sending ? "sheet.acknowledging" : "sheet.acknowledge"), !this.sending && h("kbd", { "aria-hidden": "true" }, "a"));
      button.disabled = this.sending;
      this.act.replaceChildren(button, h("p", { class: this.trouble ? "bad" : "" }, this.trouble || (alarm.presence === "ended" ? t("sheet.acknowledge_ended") : t("sheet.acknowledge_what"))));
    }
  }

  /** Writes the running time. */
  tick() {
    const alarm = this.alarm;
    if (!alarm || !this.when) return;
    const now = this.hub.now();
    const state = t(`sheet.state.${alarm.presence}`, { age: age(now - alarm.onset_ms) });
    const since = t("alarm.since", { time: clock(alarm.onset_ms) });
    if (this.when.childElementCount !== 2) this.when.replaceChildren(h("b", {}), " · ", h("span", {}));
    setText(/** @type {HTMLElement} */ (this.when.firstElementChild), since);
    setText(/** @type {HTMLElement} */ (this.when.lastElementChild), state);
    if (this.said) setText(this.said, sentence({ ...alarm, ...(this.detail ? { events: this.detail.events } : {}) }, this.detail?.evidence ?? null, now));
  }

  async acknowledge() {
    const alarm = this.alarm;
    if (!alarm || this.sending || alarm.acknowledged) return;
    this.sending = true;
    this.trouble = "";
    this.head();
    try {
      this.on.changed(/** @type {Alarm} */ (await this.hub.post(`/api/v1/alarms/${encodeURIComponent(alarm.id)}/acknowledge`)));
    } catch (error) {
      this.trouble = error instanceof Refused ? (error.status === 409 ? t("sheet.ended_already") : t("sheet.refused", { reason: error.message })) : t("sheet.failed");
    } finally {
      this.sending = false;
      this.head();
    }
  }

  /** @param {boolean} drawn the strip of an alarm never changes */
  evidence(drawn) {
    const evidence = this.detail?.evidence;
    if (drawn || !this.strip) return;
    const strip = evidence?.strip;
    this.strip.replaceChildren(evidence && strip ? evidenceStrip({ ...evidence, strip }, this.printing) : h("p", {}, t("sheet.evidence_none")));
  }

  /** The strip anew, for paper or for the screen. @param {boolean} printing */
  print(printing) {
    this.printing = printing;
    this.evidence(false);
  }

  rest() {
    const alarm = this.detail ?? this.alarm;
    if (!alarm || !this.below) return;
    const evidence = this.detail?.evidence;
    const now = this.hub.now();
    if (evidence && this.advice) setText(this.advice, advice(alarm, evidence));
    this.tick();
    const took = Number(((alarm.detected_ms - alarm.onset_ms) / 1000).toFixed(1));
    /** @type {[string, string][]} */
    const facts = [];
    for (const [name, value] of Object.entries(alarm.params)) {
      if (value !== null && name !== "unit") facts.push([has(`param.${name}`) ? t(`param.${name}`) : name, parameter(name, value, alarm.params.unit)]);
    }
    if (evidence) {
      facts.push([t("sheet.rule"), t("sheet.rule_value", { rule: ruleName(evidence.rule), version: evidence.rule_version })]);
      for (const model of evidence.models ?? []) facts.push([t("sheet.model"), t("sheet.model_value", { ...model })]);
      facts.push([t("sheet.confidence"), evidence.confidence === null ? t("sheet.confidence_none") : t(evidence.rule === "lethal" && evidence.models?.length ? "sheet.confidence_lethal" : "sheet.confidence_value", { percent: percent(evidence.confidence) })]);
    }
    facts.push([t("sheet.onset"), clock(alarm.onset_ms)], [t("sheet.detected"), t("sheet.detected_value", { time: clock(alarm.detected_ms), seconds: took })], [t("sheet.source"), alarm.source]);
    const why = has(`why.${alarm.code}`) ? `why.${alarm.code}` : "why.unknown";
    const weighed = (evidence?.reasons ?? []).filter((reason) => reason.code !== "base");
    this.below.replaceChildren(
      h("section", {}, h("h3", {}, t("sheet.meaning")), h("p", { class: "why" }, t(why)), weighed.length > 0 && h("h3", {}, t("sheet.reasons")), weighed.length > 0 && reasonList(weighed)),
      h("section", {}, h("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))),
      this.detail ? h("section", {}, h("h3", {}, t("sheet.history")), h("ol", { class: "story" }, ...story(this.detail.events).map((event) => this.happened(event, now)))) : "",
    );
  }

  /** @param {import("./contract").AlarmEvent & {times: number}} event @param {number} now */
  happened(event, now) {
    const words = has(`event.${event.kind}`) ? t(`event.${event.kind}`) : t("event.other", { kind: event.kind });
    const today = new Date(event.at_ms).toDateString() === new Date(now).toDateString();
    return h("li", {}, h("span", {}, event.times > 1 ? `${words} × ${event.times}` : words), h("time", {}, today ? clock(event.at_ms) : hour(event.at_ms, now)), event.who && h("small", {}, event.who));
  }
}

/** What was seen, and how much of the score each made: what spoke against the finding too. @param {import("./contract").Reason[]} reasons */
function reasonList(reasons) {
  const most = Math.max(...reasons.map((reason) => Math.abs(reason.weight)), Number.EPSILON);
  return h("ul", { class: "reasons" }, ...reasons.map((reason) => {
    const bar = h("i", { class: reason.weight < 0 ? "against" : "", "aria-hidden": "true" });
    bar.style.width = `${Math.round((100 * Math.abs(reason.weight)) / most)}%`;
    const sign = reason.weight < 0 ? "−" : "+";
    return h("li", {}, h("span", {}, reasonText(reason)), h("span", { class: "bar" }, bar), h("b", {}, `${sign}${Math.abs(reason.weight).toFixed(2)}`));
  }));
}

/** What happens again and again (a hop of each change, a paint of each screen) is told once, at its first time. @param {import("./contract").AlarmEvent[]} events */
function story(events) {
  /** @type {(import("./contract").AlarmEvent & {times: number})[]} */
  const told = [];
  for (const event of [...events].sort((a, b) => a.at_ms - b.at_ms)) {
    const same = ["changed", "sent", "stored", "shown", "heard"].includes(event.kind) ? told.find((one) => one.kind === event.kind) : undefined;
    if (same) same.times += 1;
    else told.push({ ...event, times: 1 });
  }
  return told;
}

/** @param {string} name @param {string | number | boolean} value @param {unknown} unit */
function parameter(name, value, unit) {
  if (name === "level") return t(`level.${value}`);
  if (name === "item") {
    const [examination, code, group] = String(value).split("/");
    return [t(`examination.${examination}`), measured(code), t(`age_group.${group}`)].join(" · ");
  }
  if (typeof value === "string") return value.split(" ").map((code) => term(code).short || term(code).name).join(", ");
  if (typeof value === "boolean") return value ? "✓" : "–";
  const text = String(Number(value.toFixed(2)));
  const own = UNITS.find(([end]) => name.endsWith(/** @type {string} */ (end)))?.[1] ?? (["value", "limit"].includes(name) ? String(unit ?? "") : name === "heart_rate" ? "/min" : "");
  return own ? `${text} ${unitName(own)}` : text;
}
