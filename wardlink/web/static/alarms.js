/** What is alarming now, in which order, and how each is called (IEC 60601-1-8: priority, acknowledgement, latching). No DOM but glyphs. */
import { icon } from "./dom.js";
import { has, t, term, unitName } from "./words.js";

/** @typedef {import("./contract").Alarm} Alarm */

const RANK = { high: 0, medium: 1, low: 2, technical: 3 };

/** Triangle for high, its mirror image for medium, a round mark for low, a broken link for technical: told apart without colour. */
const GLYPHS = {
  high: "M12 2L23 21H1zM11 9v6h2V9zM11 16.5v2h2v-2z",
  medium: "M12 22L1 3h22zM11 6v6h2V6zM11 13.5v2h2v-2z",
  low: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18zM12 8v5M12 16v.5",
  technical: "M9 15l-2.5 2.5a3.5 3.5 0 0 1-5-5L5 9M15 9l2.5-2.5a3.5 3.5 0 0 1 5 5L19 15M8 4l1 2.5M4 8l2.5 1M16 20l-1-2.5M20 16l-2.5-1",
};

/** @param {Alarm} alarm @returns {import("./contract").Look} */
export function look(alarm) {
  return alarm.kind === "technical" ? "technical" : alarm.priority;
}

/** @param {import("./contract").Look} kind */
export function glyph(kind) {
  const mark = icon(GLYPHS[kind], "glyph");
  mark.firstElementChild?.setAttribute("fill-rule", "evenodd");
  return mark;
}

/** Whether somebody still has to see it. @param {Alarm} alarm */
export function unseen(alarm) {
  return alarm.presence !== "ended" && !alarm.acknowledged;
}

/** Unseen ones first, then by priority, patients before equipment, the newest first. @param {Alarm} a @param {Alarm} b */
export function byUrgency(a, b) {
  return (
    Number(unseen(b)) - Number(unseen(a)) || RANK[a.priority] - RANK[b.priority] ||
    Number(a.kind === "technical") - Number(b.kind === "technical") || b.onset_ms - a.onset_ms
  );
}

/**
 * The alarm that the key `a` opens: that of the bed somebody is at, unless a more urgent one calls elsewhere.
 * @param {Alarm[]} active the most urgent first @param {string} bed @returns {Alarm | undefined}
 */
export function next(active, bed) {
  const [first] = active;
  const here = active.find((alarm) => alarm.bed === bed);
  if (!first || !here) return first;
  return unseen(here) === unseen(first) && RANK[here.priority] === RANK[first.priority] ? here : first;
}

/** Its name; an alarm of a limit names the measurement, the value and the limit. @param {Alarm} alarm */
export function title(alarm) {
  const { measure, value, limit, unit } = alarm.params;
  const key = alarm.code === "MDC_EVT_HI_GT_LIM" ? "alarm.above_limit" : alarm.code === "MDC_EVT_LO_LT_LIM" ? "alarm.below_limit" : "";
  if (key && typeof measure === "string" && typeof value === "number" && typeof limit === "number") {
    return t(key, { what: measured(measure), value: round(value), limit: round(limit), unit: unitName(String(unit ?? "1")) });
  }
  return term(alarm.code).name;
}

/** The name for little room. @param {Alarm} alarm */
export function shortTitle(alarm) {
  const { measure } = alarm.params;
  if (typeof measure === "string") return measured(measure);
  return term(alarm.code).short || term(alarm.code).name;
}

/** @param {string} code */
export function measured(code) {
  return has(`numeric.${code}`) ? t(`numeric.${code}`) : term(code).short || term(code).name;
}

/**
 * A measurement among others: with its source, or its site, where another is called the same.
 * @typedef {{code: string, source: string, site: string}} Measurement
 * @param {Measurement} one @param {readonly Measurement[]} all
 */
export function toldApart(one, all) {
  const same = all.filter((other) => other.code === one.code);
  const apart = [same.some((other) => other.source !== one.source) && one.source, same.some((other) => other.source === one.source && other.site !== one.site) && one.site];
  return [measured(one.code), ...apart].filter(Boolean).join(" ");
}

/** The measurement whose number carries the alarm's colour. @param {Alarm} alarm */
export function concerns(alarm) {
  if (typeof alarm.params.measure === "string") return alarm.params.measure;
  return alarm.code.startsWith("MDC_EVT_ECG_") ? "MDC_ECG_HEART_RATE" : "";
}

/** What it is about, which its melody says: an alarm of a limit is about the measurement. @param {Alarm} alarm */
export function category(alarm) {
  if (alarm.kind === "technical") return "equipment";
  const { measure } = alarm.params;
  return term(typeof measure === "string" ? measure : alarm.code).category;
}

/**
 * What must be heard: the alarm that the header shows first of those that nobody has seen. An alarm of low priority has no sound.
 * @param {Alarm[]} active the most urgent first @returns {import("./contract").Heard | null}
 */
export function heard(active) {
  const first = active.find((alarm) => unseen(alarm) && alarm.priority !== "low");
  return first ? { priority: first.priority === "high" ? "high" : "medium", category: category(first) } : null;
}

/** @param {number} value */
function round(value) {
  return Number(value.toFixed(1));
}

/** An alarm as hub and gateway tell it: the edge owns presence, the hub whatever people did. @param {Alarm} hub @param {Alarm} own */
function merged(hub, own) {
  const acknowledged = hub.acknowledged ?? own.acknowledged;
  return { ...hub, priority: own.priority, presence: acknowledged && own.presence === "latched" ? /** @type {const} */ ("ended") : own.presence, acknowledged };
}

/** A gateway hears that the hub's people have seen it, not who. @param {Alarm} alarm @returns {Alarm} */
function named(alarm) {
  return alarm.acknowledged?.by === "" ? { ...alarm, acknowledged: { ...alarm.acknowledged, by: t("local.by_hub") } } : alarm;
}

/** All alarms that the page knows. An event is taken once, in the hub's order; what gateways told while the hub was away stands beside. */
export class Alarms {
  constructor() {
    /** @type {Map<string, Alarm>} */
    this.byId = new Map();
    /** As the hub told them. @type {Map<string, Alarm>} */
    this.ofHub = new Map();
    /** As gateways told them. @type {Map<string, Alarm>} */
    this.ofGateways = new Map();
    /** Newest event that is in `byId`. @type {number | null} */
    this.lastEvent = null;
  }

  /**
   * @param {Alarm} alarm @param {number | null} event id of the event
   * @returns {{before: Alarm | undefined, alarm: Alarm} | null} null when the event was known already
   */
  take(alarm, event) {
    if (event !== null && this.lastEvent !== null && event <= this.lastEvent) return null;
    if (event !== null) this.lastEvent = event;
    const before = this.byId.get(alarm.id);
    this.ofHub.set(alarm.id, named(alarm));
    return { before, alarm: this.join(alarm.id) };
  }

  /** Takes what a gateway tells itself. @param {Alarm} alarm */
  takeOwn(alarm) {
    const before = this.byId.get(alarm.id);
    this.ofGateways.set(alarm.id, named(alarm));
    return { before, alarm: this.join(alarm.id) };
  }

  /** Whether the hub knows everything that gateways told of these beds. @param {Set<string>} beds */
  takenOver(beds) {
    return [...this.ofGateways.values()].every((own) => {
      const hub = this.ofHub.get(own.id);
      if (!beds.has(own.bed) || (own.presence === "ended" && own.acknowledged)) return true;
      return hub !== undefined && (hub.acknowledged !== null || own.acknowledged === null) && (hub.presence === own.presence || hub.acknowledged !== null);
    });
  }

  /** Gateways no longer show these beds: the hub's word alone counts. @param {Set<string>} beds */
  forgetOwn(beds) {
    for (const own of [...this.ofGateways.values()].filter((one) => beds.has(one.bed))) {
      this.ofGateways.delete(own.id);
      if (this.ofHub.has(own.id)) this.join(own.id);
      else this.byId.set(own.id, { ...own, presence: "ended" });
    }
  }

  /** @param {string} id @returns {Alarm} */
  join(id) {
    const hub = this.ofHub.get(id);
    const own = this.ofGateways.get(id);
    const alarm = /** @type {Alarm} */ (hub && own ? merged(hub, own) : hub ?? own);
    this.byId.set(id, alarm);
    return alarm;
  }

  /**
   * Takes the whole state, unless events newer than it have been taken.
   * @param {Alarm[]} alarms @param {number | null} event @returns {boolean}
   */
  replace(alarms, event) {
    if (event !== null && this.lastEvent !== null && event < this.lastEvent) return false;
    const now = new Map(alarms.map((alarm) => [alarm.id, named(alarm)]));
    for (const [id, old] of this.ofHub) if (!now.has(id)) now.set(id, { ...old, presence: "ended" });
    this.ofHub = now;
    for (const id of now.keys()) this.join(id);
    this.lastEvent = event ?? this.lastEvent;
    return true;
  }

  /** What is going on or waits to be seen, the most urgent first. */
  get active() {
    return [...this.byId.values()].filter((alarm) => alarm.presence !== "ended").sort(byUrgency);
  }

  /** @param {string} bed */
  of(bed) {
    return this.active.filter((alarm) => alarm.bed === bed);
  }

  /** All of a bed since the page was opened, the newest first; the eldest that have ended are forgotten. @param {string} bed */
  history(bed) {
    return [...this.byId.values()].filter((alarm) => alarm.bed === bed).sort((a, b) => b.onset_ms - a.onset_ms).slice(0, 20);
  }
}
