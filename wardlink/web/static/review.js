/** A stretch of the past on millimetre paper: fetched from the hub, every lead of it, holes drawn as holes with their reason. */
import { title } from "./alarms.js";
import { PATHS, h, icon } from "./dom.js";
import { readFrames } from "./frame.js";
import { MM_PER_MV, MM_PER_S, fit, hatch, pxPerMm, rule, token } from "./paper.js";
import { LOW_CUT_HZ, Ring } from "./ring.js";
import { colourOf, extent, fitted, isEcg } from "./signals.js";
import { clock, date, has, t } from "./words.js";

/** @typedef {import("./contract").Lead} Lead */

const ROW_MM = 27;
const LOW_ROW_MM = 20;
/** On a screen lower than this the trends beneath the strip would have no room. */
const LOW_SCREEN_PX = 900;
const FOOT_PX = 20;
/** Width on paper: A4 upright less the margins of bed.css. */
const PRINT_MM = 186;
const HEAD_PX = 40;
/** Fetched before the window, so that the low cut has settled where the picture begins. */
const LEAD_IN_MS = 2000;
const LONGEST_MS = 55000;
const KEPT_MS = 72 * 3600000;

export class Review {
  /** @param {import("./hub.js").Hub} hub @param {number} key @param {Lead[]} leads @param {{moved: (from: number, to: number) => void, closed: () => void}} on */
  constructor(hub, key, leads, on) {
    this.hub = hub;
    this.key = key;
    this.leads = leads;
    this.on = on;
    this.at = NaN;
    this.asked = 0;
    /** Of the paper, px. */
    this.width = 0;
    /** What was fetched last: frames, from, to. @type {[import("./contract").Frame[], number, number] | null} */
    this.fetched = null;
    /** The alarm whose onset is looked at. @type {import("./contract").Alarm | null} */
    this.alarm = null;
    /** What the strip was opened for: a moment, and whose onset it is. @type {[number, import("./contract").Alarm | null]} */
    this.opened = [NaN, null];
    this.name = h("h3", {});
    this.told = h("p", { class: "review-told", role: "status" });
    this.canvas = h("canvas", { role: "img" });
    this.box = h("div", { class: "review-paper", tabindex: "0", role: "region", "aria-label": t("review.strip") }, this.canvas);
    const step = (/** @type {number} */ share, /** @type {string} */ path, /** @type {string} */ words) =>
      h("button", { class: "icon", type: "button", "aria-label": words, title: words, onclick: () => this.scrub(share) }, icon(path));
    this.when = h("input", { type: "datetime-local", step: "1", required: true, "aria-keyshortcuts": "g", onchange: () => this.typed(), onblur: () => !this.isKept && void this.load() });
    this.root = h("section", { class: "review", hidden: true },
      h("header", {}, this.name, h("label", { class: "review-when" }, h("span", {}, t("review.when")), this.when), step(-0.8, "M14 5l-7 7 7 7", t("review.earlier")), step(0.8, "M10 5l7 7-7 7", t("review.later")),
        h("button", { class: "icon", type: "button", "aria-label": t("review.close"), title: t("review.close"), onclick: () => this.close() }, icon(PATHS.close))),
      this.box, this.told);
    /** Whether the strip is drawn for paper. */
    this.printing = false;
    /** Whether what was typed is being taken from the field. */
    this.taking = false;
    new ResizeObserver(() => this.isOpen && !this.printing && this.box.clientWidth !== this.width && void this.load()).observe(this.box);
  }

  get isOpen() {
    return !this.root.hidden;
  }

  /** Milliseconds that fit on the paper at 25 mm/s. */
  get span() {
    return Math.min(LONGEST_MS, ((this.printing ? this.width : this.box.clientWidth) * 1000) / (MM_PER_S * pxPerMm()));
  }

  /** @param {number} ms the moment to look at @param {import("./contract").Alarm | null} [alarm] whose onset it is */
  open(ms, alarm = null) {
    this.at = ms;
    this.alarm = alarm;
    this.opened = [ms, alarm];
    this.root.hidden = false;
    void this.load();
  }

  close() {
    this.root.hidden = true;
    this.on.closed();
  }

  /** @param {number} share of the window */
  scrub(share) {
    this.go(this.at + share * this.span);
  }

  /** To a moment, or to the one nearest to it that is kept. @param {number} ms */
  go(ms) {
    const [first, now] = this.kept;
    this.at = Math.max(first, Math.min(now, ms));
    const [onset, alarm] = this.opened;
    this.alarm = Math.abs(this.at - onset) < 1 ? alarm : null;
    void this.load();
  }

  /** To the strip that ends now, also from a closed one, whose paper has no width. */
  last() {
    this.root.hidden = false;
    this.go(this.hub.now() - (2 / 3) * this.span);
  }

  /** The first and the last moment that can be looked at. @returns {[number, number]} */
  get kept() {
    const now = this.hub.now();
    return [now - KEPT_MS + this.span, now];
  }

  /** A moment was typed or picked, or a part of one: what is not of the last 72 h is left to be finished. */
  typed() {
    this.taking = true;
    const { isKept } = this;
    if (isKept) this.go(Date.parse(this.when.value));
    else this.tell(t("review.not_kept"));
    this.when.setAttribute("aria-invalid", String(!isKept));
    this.taking = false;
  }

  /** Whether the field holds a moment that is kept. Its own bounds are those of when it was written: time goes on while somebody types. */
  get isKept() {
    const [first, now] = this.kept;
    const ms = Date.parse(this.when.value);
    return ms > first - 1000 && ms <= now; // the field knows whole seconds
  }

  /**
   * Writes into the field where the strip is, unless somebody is writing there: from one part of the field to the next a browser
   * tells of a change while nothing has the focus, and whoever then writes the value or the bounds takes it from the field.
   */
  tellWhen() {
    if (this.taking || document.activeElement === this.when) return;
    [this.when.min, this.when.max] = /** @type {[string, string]} */ (this.kept.map(localTime));
    this.when.value = localTime(this.at);
    this.when.setAttribute("aria-invalid", "false");
  }

  /** @param {string} words instead of a strip; none when there is one */
  tell(words) {
    this.told.textContent = words;
    this.told.hidden = !words;
  }

  /** A third of the paper before the moment: what led to it matters. */
  get from() {
    return Math.round(this.at - this.span / 3);
  }

  /** The strip anew, for paper or for the screen: on paper so much of what is seen, a third before the moment, as fits. @param {boolean} printing @returns {number} its height, px */
  print(printing) {
    this.printing = printing;
    if (!this.isOpen || !this.fetched) return 0;
    const [frames, from, to] = this.fetched;
    this.width = printing ? Math.floor(PRINT_MM * pxPerMm()) : this.box.clientWidth;
    const begin = printing ? Math.round(Math.max(from, this.at - this.span / 3)) : from;
    const end = printing ? Math.round(Math.min(to, begin + this.span)) : to;
    if (printing) this.width = Math.floor(((end - begin) / 1000) * MM_PER_S * pxPerMm());
    this.draw(frames, begin, end);
    return HEAD_PX + Number.parseFloat(this.canvas.style.height);
  }

  async load() {
    this.width = this.box.clientWidth;
    if (this.width < 50) return;
    const asked = (this.asked += 1);
    const from = this.from;
    const to = Math.round(from + this.span);
    this.name.textContent = t("review.of", { time: new Date(this.at).toDateString() === new Date(this.hub.now()).toDateString() ? clock(this.at) : date(this.at) });
    this.tellWhen();
    this.on.moved(from, to);
    try {
      const body = await this.hub.bytes(`/api/v1/beds/${this.key}/waveforms?from_ms=${from - LEAD_IN_MS}&to_ms=${to}`);
      if (asked !== this.asked) return;
      this.fetched = [readFrames(body), from, to];
      this.draw(...this.fetched);
    } catch (error) {
      if (asked !== this.asked) return;
      console.info("strip not fetched", error);
      this.tell(t("review.failed"));
    }
  }

  /** @param {import("./contract").Frame[]} frames @param {number} from @param {number} to */
  draw(frames, from, to) {
    /** @type {Map<number, Ring>} */
    const rings = new Map();
    const gaps = frames.flatMap((frame) => (frame.kind === "gap" ? [frame] : []));
    for (const frame of frames.filter((one) => one.kind === "samples").sort((a, b) => a.t0 - b.t0)) {
      if (frame.kind !== "samples") continue;
      const lead = this.leads.find((one) => one.index === frame.lead);
      const ring = rings.get(frame.lead) ?? new Ring(frame.fs, (to - from + 30000) / 1000, isEcg(lead?.code ?? "") ? LOW_CUT_HZ : 0);
      rings.set(frame.lead, ring);
      ring.write(frame.t0, frame.first, frame.samples, frame.scale);
    }
    const leads = this.leads.filter((lead) => rings.has(lead.index) || gaps.some((gap) => gap.lead === lead.index));
    const shown = leads.length ? leads : this.leads.slice(0, 1);
    this.told.hidden = rings.size > 0;
    this.told.textContent = rings.size ? "" : t("review.nothing");
    const mm = pxPerMm();
    const { width } = this;
    const high = (shown.length > 2 || (shown.length > 1 && innerHeight < LOW_SCREEN_PX) ? LOW_ROW_MM : ROW_MM) * mm;
    const height = Math.ceil(high * Math.max(1, shown.length) + FOOT_PX);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.canvas.setAttribute("aria-label", t("review.strip_label", { time: clock(from), leads: shown.map((lead) => lead.short).join(", ") }));
    const c = fit(this.canvas, width, height);
    rule(c, width, height, mm);
    const x = (/** @type {number} */ ms) => ((ms - from) * MM_PER_S * mm) / 1000;
    // Half the gain of all, and said, before a wave of any is cut off.
    const most = Math.max(0, ...shown.filter((lead) => isEcg(lead.code)).map((lead) => reachOf(stretch(rings.get(lead.index), from, to).values)));
    const gain = (most / 1000) * MM_PER_MV * mm > 0.6 * high ? MM_PER_MV / 2 : MM_PER_MV;
    shown.forEach((lead, row) => this.row(c, { lead, ring: rings.get(lead.index), top: row * high, high, from, to, width, mm, gain, x }, gaps.filter((gap) => gap.lead === lead.index)));
    this.foot(c, from, to, height, x);
  }

  /**
   * @param {CanvasRenderingContext2D} c
   * @param {{lead: Lead, ring: Ring | undefined, top: number, high: number, from: number, to: number, width: number, mm: number, gain: number, x: (ms: number) => number}} on
   * @param {{t0: number, end: number, reason: string}[]} gaps
   */
  row(c, { lead, ring, top, high, from, to, width, mm, gain, x }, gaps) {
    const ecg = isEcg(lead.code);
    const middle = top + high * 0.58;
    const { values, first, slotMs } = stretch(ring, from, to);
    const between = ecg ? null : extent(values);
    const scale = (gain * mm) / 1000;
    c.save();
    c.beginPath();
    c.rect(0, top, width, high);
    c.clip();
    this.holes(c, values, { first, slotMs, top, high, x }, gaps);
    c.strokeStyle = token(colourOf(lead.code));
    c.lineWidth = 1.6;
    c.lineJoin = "round";
    c.beginPath();
    let pen = false;
    values.forEach((value, i) => {
      if (Number.isNaN(value)) {
        pen = false;
        return;
      }
      const [at, y] = [x((first + i) * slotMs), between ? top + fitted(value, between, high) : middle - value * scale];
      if (pen) c.lineTo(at, y);
      else c.moveTo(at, y);
      pen = true;
    });
    c.stroke();
    const words = ecg ? [lead.short, t("strip.gain", { n: gain }), t("strip.speed")] : [lead.short, t("strip.speed")];
    this.label(c, words.join(" · "), 6, top + 12, token("ink-2"));
    c.restore();
  }

  /**
   * @param {CanvasRenderingContext2D} c @param {Float32Array} values
   * @param {{first: number, slotMs: number, top: number, high: number, x: (ms: number) => number}} on
   * @param {{t0: number, end: number, reason: string}[]} gaps
   */
  holes(c, values, { first, slotMs, top, high, x }, gaps) {
    const pattern = hatch(c);
    let begun = -1;
    for (let i = 0; i <= values.length; i += 1) {
      const missing = i < values.length && Number.isNaN(/** @type {number} */ (values[i]));
      if (missing && begun < 0) begun = i;
      if (missing || begun < 0) continue;
      const [start, end] = [(first + begun) * slotMs, (first + i) * slotMs];
      begun = -1;
      // A single slot is a rounding of the clock, no hole.
      if (end - start < 2 * slotMs) continue;
      const path = new Path2D();
      path.rect(x(start), top, x(end) - x(start), high);
      c.fillStyle = pattern;
      c.fill(path);
      const gap = gaps.find((one) => one.t0 < end && one.end > start);
      const ahead = start > this.hub.now() - 5000;
      const reason = gap && has(`strip.gap.${gap.reason}`) ? t(`strip.gap.${gap.reason}`) : t(ahead ? "review.not_yet" : "strip.gap.unknown");
      const text = gap ? t("strip.gap_from", { reason, time: clock(gap.t0), seconds: Number(((gap.end - gap.t0) / 1000).toFixed(1)) }) : reason;
      c.font = "12px sans-serif";
      if (c.measureText(text).width + 16 < x(end) - x(start)) this.label(c, text, (x(start) + x(end)) / 2 - c.measureText(text).width / 2, top + high / 2, token("ink"));
    }
  }

  /** @param {CanvasRenderingContext2D} c @param {number} from @param {number} to @param {number} height @param {(ms: number) => number} x */
  foot(c, from, to, height, x) {
    for (let second = Math.ceil(from / 1000) * 1000; second < to; second += 1000) {
      if (second % 5000 === 0) this.label(c, clock(second), x(second) - 24, height - 10, token("ink-2"));
      else {
        c.fillStyle = token("edge");
        c.fillRect(Math.round(x(second)), height - 6, 1, 6);
      }
    }
    if (!(this.at >= from && this.at <= to)) return;
    c.strokeStyle = this.alarm ? token("high-line") : token("accent");
    c.lineWidth = 2;
    c.setLineDash([6, 4]);
    c.beginPath();
    c.moveTo(x(this.at), 0);
    c.lineTo(x(this.at), height - FOOT_PX);
    c.stroke();
    c.setLineDash([]);
    if (this.alarm) this.label(c, title(this.alarm), x(this.at) + 8, 12, token("ink"), 700);
  }

  /** @param {CanvasRenderingContext2D} c @param {string} text @param {number} left @param {number} y @param {string} colour @param {number} [weight] */
  label(c, text, left, y, colour, weight = 400) {
    c.font = `${weight} 12px ${getComputedStyle(document.body).fontFamily}`;
    const wide = c.measureText(text).width;
    c.fillStyle = token("paper");
    c.fillRect(left - 3, y - 8, wide + 6, 16);
    c.fillStyle = colour;
    c.textBaseline = "middle";
    c.fillText(text, left, y);
  }
}

/** As a field of date and time has it: the time of this place, to the second. @param {number} ms */
export function localTime(ms) {
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

/** The slots of a stretch of time, and which the first one is; NaN where nothing is stored. @param {Ring | undefined} ring @param {number} from @param {number} to */
function stretch(ring, from, to) {
  const slotMs = ring ? 1000 / ring.fs : 4;
  const first = Math.floor(from / slotMs);
  return { values: Float32Array.from({ length: Math.ceil((to - from) / slotMs) }, (_, i) => (ring ? ring.at(first + i) : NaN)), first, slotMs };
}

/** How far the wave goes from its middle. @param {Float32Array} values */
function reachOf(values) {
  return values.reduce((most, one) => (Number.isNaN(one) ? most : Math.max(most, Math.abs(one))), 1e-9);
}
