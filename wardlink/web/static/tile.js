/** One bed on the ward page: its alarm, its strips, its numbers, the state of its link. What is drawn when is told by ward.js. */
import { glyph, look, shortTitle, title, unseen } from "./alarms.js";
import { h, setText } from "./dom.js";
import { Numbers } from "./numbers.js";
import { LOW_CUT_HZ, Ring } from "./ring.js";
import { Playout, SILENCE_MS, Way } from "./playout.js";
import { isEcg } from "./signals.js";
import { Still } from "./still.js";
import { Strip } from "./strip.js";
import { age, clock, has, hour, running, t } from "./words.js";

/** @typedef {import("./contract").Bed} Bed @typedef {import("./contract").Alarm} Alarm */

/** More leads than this in one tile can no longer be read. */
const MAX_STRIPS = 4;
const STRIP_PX = 130;
const SETTLING_MS = 3000;
/** A value of a lost link is late after this long, or after three of its intervals. */
const LATE_MS = 3000;
/** As in the ledger (hub/devices/domain.py). */
const LOW_BATTERY_PERCENT = 20;
const BATTERY = "MDC_ATTR_VAL_BATT_CHARGE";
/** A sweep longer than this is not shown on any screen that we know (4 rows on a wide wall display). */
const KEPT_S = 90;

export class Tile {
  /** @param {Bed} bed @param {{open: (alarm: Alarm) => void, pick: (bed: string) => void, get: (path: string) => Promise<any>, since: number, address?: string}} on `address`: of the bed's own page */
  constructor(bed, on) {
    this.bed = bed;
    this.on = on;
    this.name = t("bed.name", { label: bed.label });
    this.playout = new Playout();
    /** @type {Map<number, Ring>} */
    this.rings = new Map();
    /** When the newest of each lead came and when it was due, how long behind the one before, and the shorter of the last two pauses, monotonic ms. @type {Map<number, {way: Way, at: number, due: number, last: number, every: number}>} */
    this.heard = new Map();
    /** @type {Strip[]} */
    this.strips = [];
    /** Newest frame that came, until it is painted. */
    this.frame = { number: -1, end: NaN };
    this.numbers = new Numbers();
    this.still = new Still(on.get);
    /** Time between the last values of a code, ms: how old the newest may be before it is late. @type {Map<string, number>} */
    this.intervals = new Map();
    this.alarms = h("div", { class: "panel grow recent" });
    this.signal = h("dl", { class: "signal" });
    this.who = h("span", { class: "who" });
    this.chip = h("button", { class: "chip", type: "button", hidden: true, onclick: () => this.shown && on.open(this.shown) });
    this.battery = h("span", { class: "battery", hidden: true });
    this.ecgLink = h("a", { class: "ecg-link", hidden: true });
    this.stripBox = h("div", { class: "strips" });
    this.root = h(
      "article",
      { class: "bed", tabindex: "-1", "data-bed": bed.id, "data-label": bed.label, "aria-label": this.name, onclick: (/** @type {MouseEvent} */ event) => inert(event.target) && on.pick(bed.id) },
      h("div", { class: "inner" },
        h("header", { class: "head" }, h("h2", { class: "id" }, on.address ? h("a", { href: on.address, "aria-label": t("bed.open", { bed: this.name }) }, bed.label) : bed.label), this.who, this.battery, this.ecgLink, this.chip),
        this.stripBox, this.still.root,
        h("div", { class: "side" }, this.numbers.root, this.still.measured,
          h("div", { class: "more" }, this.alarms, h("section", { class: "panel" }, h("h3", {}, t("link.title")), this.signal)))),
    );
    /** @type {Alarm | null} */
    this.shown = null;
    this.sizes = new ResizeObserver(() => this.layStrips());
    this.sizes.observe(this.stripBox);
    this.describe();
  }

  /** Takes a bed's new description: patient, leads, link. @param {Bed} bed */
  update(bed) {
    const leads = JSON.stringify(bed.leads) !== JSON.stringify(this.bed.leads);
    const old = new Map(this.bed.numerics.map((one) => [one.code, one]));
    this.bed = bed;
    // A snapshot may have been made before a value that has come meanwhile.
    bed.numerics = bed.numerics.map((one) => ((old.get(one.code)?.at_ms ?? 0) > one.at_ms ? /** @type {any} */ (old.get(one.code)) : one));
    this.describe();
    if (leads) this.layStrips();
  }

  /**
   * What the tile is built around: live strips; numbers alone, from devices that send no waveform; a resting ECG, which is a document
   * and never live; or nothing yet.
   */
  get shape() {
    const { leads, numerics, ecg, link } = this.bed;
    if (link.state === "recordings") return ecg ? "ecg" : "empty";
    if (leads.length) return "strips";
    if (numerics.length || ["live", "device_silent"].includes(link.state)) return "numbers";
    return ecg ? "ecg" : "empty";
  }

  describe() {
    const { who, ecg } = this.bed;
    this.root.dataset.shape = this.shape;
    if (ecg) {
      this.still.show(ecg, this.name);
      this.ecgLink.href = `/ecg/${ecg.id}`;
      this.ecgLink.setAttribute("aria-label", t("ecg.open_of", { bed: this.name, time: hour(ecg.at_ms, Date.now()) }));
      setText(this.ecgLink, t("ecg.short"));
    }
    this.ecgLink.hidden = !ecg || this.shape === "ecg";
    const words = who
      ? [h("span", {}, who.masked_name || t("local.who")), who.age !== null && h("span", { class: "age-sex" }, t("bed.years", { n: who.age })),
         who.sex && h("span", { class: "age-sex" }, has(`bed.sex.${who.sex}`) ? t(`bed.sex.${who.sex}`) : who.sex)]
      : [h("span", {}, t("bed.nobody"))];
    this.who.replaceChildren(...words.filter((word) => word instanceof Node));
  }

  /** @param {import("./contract").Numeric} numeric */
  numeric(numeric) {
    const others = this.bed.numerics.filter((one) => one.code !== numeric.code);
    const before = this.bed.numerics.find((one) => one.code === numeric.code);
    if (before && numeric.at_ms > before.at_ms) this.intervals.set(numeric.code, numeric.at_ms - before.at_ms);
    if (!others.length && !before) this.root.dataset.shape = "";
    this.bed.numerics = [...others, numeric];
    if (!this.root.dataset.shape) this.describe();
  }

  /** @param {import("./contract").Frame} frame @param {number} now monotonic ms */
  take(frame, now) {
    const strip = this.strips.find((one) => one.lead === frame.lead);
    if (frame.kind === "gap") {
      const reason = has(`strip.gap.${frame.reason}`) ? t(`strip.gap.${frame.reason}`) : t("strip.gap.unknown");
      const seconds = Number(((frame.end - frame.t0) / 1000).toFixed(1));
      for (const one of this.strips) one.addGap(frame.t0, frame.end, t("strip.gap_from", { reason, time: clock(frame.t0), seconds }));
      return;
    }
    let ring = this.rings.get(frame.lead);
    const lowCutHz = isEcg(this.bed.leads.find((one) => one.index === frame.lead)?.code ?? "") ? LOW_CUT_HZ : 0;
    if (!ring || ring.fs !== frame.fs || ring.lowCutHz !== lowCutHz) {
      ring = new Ring(frame.fs, KEPT_S, lowCutHz);
      this.rings.set(frame.lead, ring);
      if (strip) strip.ring = ring;
    }
    const { end: before, steps } = ring;
    const earliest = ring.write(frame.t0, frame.first, frame.samples, frame.scale, frame.clock);
    const setBack = ring.steps > steps;
    // What came late, or after another lead of the same moment, was drawn as missing.
    if (strip && (earliest * 1000) / ring.fs < strip.drawn) strip.dirty = true;
    this.playout.observe(ring.endMs, now, setBack);
    if (ring.end > before || setBack) {
      const heard = this.heard.get(frame.lead);
      const way = heard?.way ?? new Way(); // its own: one device may be slower than another at all times
      way.take(ring.endMs, now);
      const last = heard ? now - heard.at : 0;
      this.heard.set(frame.lead, { way, at: now, due: way.due(ring.endMs, now), last, every: Math.min(last, heard?.last ?? 0) });
    }
    this.frame = { number: frame.number, end: ring.endMs };
  }

  /** As many strips as there is room for, the first leads first. */
  layStrips() {
    const width = this.stripBox.clientWidth;
    const height = this.stripBox.clientHeight;
    const n = Math.max(1, Math.min(this.bed.leads.length, MAX_STRIPS, Math.floor(height / STRIP_PX) || 1));
    const leads = this.bed.leads.slice(0, n);
    if (this.strips.map((strip) => strip.code).join() !== leads.map((lead) => lead.code).join() || !this.strips.length) {
      this.strips = (leads.length ? leads : [{ index: 0, code: "", short: "ECG" }]).map((lead) => {
        const strip = new Strip(lead, isEcg(lead.code) ? t("strip.label", { bed: this.name, lead: lead.short }) : t("strip.label_other", { bed: this.name, signal: lead.short }));
        strip.ring = this.rings.get(lead.index) ?? null;
        return strip;
      });
      this.stripBox.replaceChildren(...this.strips.map((strip) => strip.root));
    }
    for (const strip of this.strips) strip.resize(width, strip.root.clientHeight);
  }

  /** Draws the new columns. @param {number} now monotonic ms @returns {{number: number, end: number} | null} a frame that is now painted whole */
  draw(now) {
    const time = this.playout.time(now);
    for (const strip of this.strips) strip.draw(time);
    if (this.frame.number < 0 || !(time >= this.frame.end)) return null;
    const done = this.frame;
    this.frame = { number: -1, end: NaN };
    return done;
  }

  /** Whether nothing comes from this bed. @param {number} now monotonic ms */
  silent(now) {
    return this.playout.silent(now);
  }

  /** The strips of a device that has stopped while another of this bed goes on. @param {number} now monotonic ms */
  stopped(now) {
    return this.strips.filter(({ lead }) => {
      const heard = this.heard.get(lead);
      return heard !== undefined && now - heard.due > Math.max(SILENCE_MS, 2 * heard.every);
    });
  }

  /**
   * Writes what is not waveform: alarm, numbers, ages, the words about the link.
   * @param {Alarm[]} active of this bed, the most urgent first @param {Alarm[]} history
   * @param {{now: number, mono: number, hubLost: boolean}} at
   */
  show(active, history, { now, mono, hubLost }) {
    if (this.shape !== this.root.dataset.shape) this.describe();
    const shape = this.shape;
    // Where there are strips their samples tell; else the link of the bed's devices, by whatever they send.
    const still = shape === "ecg" || this.bed.link.state === "recordings";
    const silent = shape === "strips" ? this.silent(mono) : !still && (hubLost || this.bed.link.state !== "live");
    const never = this.bed.link.state === "never" && !Number.isFinite(this.playout.newest) && !this.bed.numerics.length;
    const since = Number.isFinite(this.playout.newest) ? this.playout.newest : this.bed.link.since_ms;
    const alarm = active[0] ?? null;
    this.shown = alarm;
    // A page that was just opened, or a device that was just heard of: its first samples are on their way.
    const begins = mono < SETTLING_MS || (this.bed.link.state === "live" && now - this.bed.link.since_ms < SETTLING_MS);
    const settling = begins && !Number.isFinite(this.playout.newest);
    // Some strips stand still and others go on: it is said on those, and the bed's link is lost when it says so itself.
    const stopped = silent ? [] : this.stopped(mono);
    const partly = stopped.length > 0 && this.bed.link.state !== "live";
    const lostSince = partly ? Math.min(...stopped.map((strip) => strip.ring?.endMs ?? now)) : since;
    this.head(alarm, partly || (silent && !never && !settling) ? now - lostSince : null, now);
    this.numbers.show(this.bed, active, (one) => (silent || hubLost || stopped.length > 0) && now - one.at_ms > Math.max(LATE_MS, 3 * (this.intervals.get(one.code) ?? 0)), now);
    this.still.tick(now);
    this.tellBattery();
    const cause = hubLost ? "hub" : this.bed.link.state === "never" ? "live" : this.bed.link.state;
    const lines = !silent || settling ? null
      : never ? [t("strip.waiting"), t("strip.waiting_how")]
      : [t("strip.no_data", { time: clock(since) }), t(`strip.cause.${cause}`)];
    for (const strip of this.strips) {
      const own = strip.ring?.endMs ?? NaN;
      if (stopped.includes(strip)) strip.say([t("strip.no_data", { time: clock(own) }), t(`strip.cause.${cause}`)], own);
      else strip.say(lines, never ? NaN : this.playout.newest);
    }
    this.root.dataset.link = partly ? this.bed.link.state : silent && !settling ? (hubLost ? "hub_lost" : this.bed.link.state === "live" ? "silent" : this.bed.link.state) : "live";
    this.listAlarms(history, now);
    this.tellSignal(silent, cause);
  }

  /** @param {Alarm | null} alarm @param {number | null} lostFor @param {number} now */
  head(alarm, lostFor, now) {
    const kind = alarm ? look(alarm) : lostFor !== null ? "technical" : null;
    for (const one of ["high", "medium", "low", "technical"]) this.root.classList.toggle(`a-${one}`, one === kind);
    this.root.dataset.state = kind ?? "quiet";
    this.chip.hidden = !kind;
    if (!kind) {
      this.chip.dataset.key = "";
      return;
    }
    const flash = alarm !== null && unseen(alarm);
    const key = `${alarm?.id} ${kind} ${flash}`;
    if (this.chip.dataset.key !== key) {
      this.chip.dataset.key = key;
      // The words of a limit end with a number that must not be cut: with little room the name of the measurement stands alone.
      this.chip.className = `chip p-${kind}${flash ? " flash" : ""}${typeof alarm?.params.measure === "string" ? " of-limit" : ""}`;
      this.chip.disabled = !alarm;
      this.chip.replaceChildren(glyph(kind), h("span", { class: "text" }, h("span", { class: "full" }), h("span", { class: "short" })), h("span", { class: "age" }));
      inStep(this.chip);
    }
    const [full, short] = alarm ? [title(alarm), shortTitle(alarm)] : Array(2).fill(t("link.chip", { age: age(lostFor ?? 0) }));
    setText(/** @type {HTMLElement} */ (this.chip.querySelector(".full")), full ?? "");
    setText(/** @type {HTMLElement} */ (this.chip.querySelector(".short")), short ?? "");
    setText(/** @type {HTMLElement} */ (this.chip.querySelector(".age")), alarm ? running(now - alarm.onset_ms) : "");
    this.chip.title = alarm ? t("bed.open_alarm", { bed: this.name, alarm: full ?? "" }) : "";
  }

  /** The charge is no number of the bedside: it shows when it wants a person. */
  tellBattery() {
    const charge = this.bed.numerics.find((one) => one.code === BATTERY)?.value ?? null;
    const low = charge !== null && charge <= LOW_BATTERY_PERCENT;
    this.battery.hidden = !low;
    if (low) {
      setText(this.battery, t("bed.battery", { n: Math.round(charge) }));
      this.battery.title = t("bed.battery_low", { n: Math.round(charge) });
    }
  }

  /** @param {Alarm[]} history @param {number} now */
  listAlarms(history, now) {
    const key = history.map((one) => `${one.id}${one.presence}${one.acknowledged?.at_ms}`).join() || "none";
    if (this.alarms.dataset.key === key) return;
    this.alarms.dataset.key = key;
    const rows = history.map((one) => {
      const state = one.presence === "ended" ? "alarm.recent_ended" : one.acknowledged ? "alarm.recent_acknowledged" : "alarm.recent_open";
      return h("li", { class: `t-${look(one)}` },
        h("button", { type: "button", onclick: () => this.on.open(one) }, glyph(look(one)), h("b", {}, title(one)), h("small", {}, t(state, { time: hour(one.onset_ms, now) }))));
    });
    this.alarms.replaceChildren(h("h3", {}, t("alarm.recent")), rows.length ? h("ul", {}, ...rows) : h("p", { class: "empty" }, t("alarm.recent_none", { time: hour(this.on.since, now) })));
  }

  /** @param {boolean} silent @param {string} cause of the silence */
  tellSignal(silent, cause) {
    const { gateway, device, state } = this.bed.link;
    const live = state === "live" && !silent;
    const delay = Number((this.playout.delay / 1000).toFixed(1));
    const key = [gateway, device, state, silent, cause, live ? delay : ""].join();
    if (this.signal.dataset.key === key) return;
    this.signal.dataset.key = key;
    const word = silent && state !== "never" ? t(`strip.cause.${cause}`) : t(`link.states.${state}`);
    this.signal.replaceChildren(
      h("dt", {}, t("link.state")), h("dd", { class: live ? "is-live" : "" }, word),
      h("dt", {}, t("link.gateway")), h("dd", {}, gateway), h("dt", {}, t("link.device")), h("dd", {}, device),
      ...(live ? [h("dt", {}, t("link.delay")), h("dd", {}, t("link.delay_value", { seconds: delay }))] : []),
    );
  }
}

/** Whether a click meant the tile itself, and no button or link on it. @param {EventTarget | null} target */
function inert(target) {
  return target instanceof Element && !target.closest("button, a");
}

/** Lets all that flashes flash together. @param {HTMLElement} element */
export function inStep(element) {
  for (const animation of element.getAnimations()) animation.startTime = 0;
}
