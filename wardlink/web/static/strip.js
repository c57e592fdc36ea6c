/**
 * One live strip: a sweep with an erase bar on millimetre paper at 25 mm/s; an ECG at 10 mm/mV, any other wave fitted to its row.
 * Where the strip is high the sweep goes on in further rows (a cascade), so that the room is used. Draws only the new columns; what
 * time it is says the bed's playout clock, what the samples are its ring.
 */
import { MM_PER_MV, MM_PER_S, fit, hatch, pxPerMm, rule, token } from "./paper.js";
import { h } from "./dom.js";
import { LOW_CUT_HZ } from "./ring.js";
import { colourOf, extent, fitted, isEcg } from "./signals.js";
import { t } from "./words.js";

/** Height that one row of the cascade should have, CSS px. */
const ROW_PX = 215;
const MAX_ROWS = 3;
const ERASE_MM = 6;
const LINE_PX = 1.7;
/** A stretch that begins by less than this behind a pixel's edge begins at it: milliseconds since 1970 have no finer steps than 0.0002. */
const NEAR_PX = 0.01;
/** Below this height of a row half the gain is used, and said. */
const LOW_ROW_MM = 24;
/** Where the zero line stands in a row: an ECG reaches farther up than down. */
const ZERO = 0.58;
/** What is no ECG is fitted to what it was for so long, looked at so often; a wave that has become smaller than this share of its room is fitted anew. */
const FIT_MS = 6000;
const FIT_EVERY_MS = 1000;
const SMALL = 0.4;

export class Strip {
  /** @param {import("./contract").Lead} lead @param {string} label what a screen reader says */
  constructor(lead, label) {
    this.lead = lead.index;
    this.code = lead.code;
    this.short = lead.short;
    /** The ruled paper, from which erased columns are taken: one opaque canvas in the page is half the work of two on each other. */
    this.paper = document.createElement("canvas");
    this.trace = h("canvas", { class: "trace", role: "img", "aria-label": label });
    this.tag = h("div", { class: "tag" });
    this.note = h("div", { class: "lost-note", hidden: true });
    this.root = h("div", { class: `strip of-${colourOf(lead.code)}` }, this.trace, this.tag, this.note);
    /** @type {import("./ring.js").Ring | null} */
    this.ring = null;
    /** @type {{from: number, to: number, text: string}[]} */
    this.gaps = [];
    this.width = 0;
    this.height = 0;
    this.rows = 1;
    this.gain = MM_PER_MV;
    this.mm = pxPerMm();
    /** Patient's time up to which columns are drawn. */
    this.drawn = NaN;
    /** Patient's time up to which the paper ahead of the trace is bare. */
    this.cleared = NaN;
    this.dirty = true;
    this.lost = false;
    /** From where to where a wave that is no ECG goes. @type {[number, number] | null} */
    this.between = null;
    this.fittedAt = -Infinity;
    /** @type {CanvasRenderingContext2D | null} */
    this.c = null;
    /** @type {CanvasPattern | string} */
    this.pattern = "";
  }

  /** Milliseconds that fit on the strip. */
  get span() {
    return (this.width * this.rows * 1000) / (MM_PER_S * this.mm);
  }

  /** Takes a new size in CSS px; rules the paper afresh. @param {number} width @param {number} height */
  resize(width, height) {
    this.mm = pxPerMm();
    this.width = width;
    this.height = height;
    this.c = null;
    if (width < 8 || height < 8) return;
    this.rows = Math.max(1, Math.min(MAX_ROWS, Math.floor(height / ROW_PX)));
    this.gain = height / this.rows < LOW_ROW_MM * this.mm ? MM_PER_MV / 2 : MM_PER_MV;
    this.name();
    const paper = fit(this.paper, width, height, false);
    paper.fillStyle = token("paper");
    paper.fillRect(0, 0, width, height);
    rule(paper, width, height, this.mm);
    paper.fillStyle = token("line");
    for (let row = 1; row < this.rows; row += 1) paper.fillRect(0, Math.round((row * height) / this.rows), width, 1);
    this.c = fit(this.trace, width, height, false);
    this.clear(this.c, 0, 0, width, height); // an opaque canvas is black until something is painted, and here nothing may come
    this.pattern = hatch(this.c);
    this.ink();
  }

  /** Lead, gain, speed and low cut, as they are now. */
  name() {
    const ecg = isEcg(this.code);
    const extra = ecg ? [t("strip.speed"), t("strip.filter", { hz: LOW_CUT_HZ })] : [t("strip.speed")];
    this.tag.replaceChildren(h("b", {}, this.short), ...(ecg ? [h("span", {}, t("strip.gain", { n: this.gain }))] : []), ...extra.map((text) => h("span", { class: "extra" }, text)));
  }

  /** What is old is grey, never as if live. */
  ink() {
    this.colour = this.lost ? token("stale") : getComputedStyle(this.root).color;
    this.dirty = true;
  }

  /** @param {number} from @param {number} to @param {string} text */
  addGap(from, to, text) {
    this.gaps = this.gaps.filter((gap) => gap.from !== from && gap.to > to - 120000);
    this.gaps.push({ from, to, text });
    if (from < this.drawn) this.dirty = true;
  }

  /** Draws up to the patient's time `now`. @param {number} now ms */
  draw(now) {
    const c = this.c;
    if (!c || Number.isNaN(now)) return;
    if (!isEcg(this.code)) this.fit(now);
    const oldest = now - this.span + (ERASE_MM / MM_PER_S) * 1000;
    if (this.dirty || !(this.drawn >= oldest)) {
      this.clear(c, 0, 0, this.width, this.height);
      this.drawn = oldest;
      this.cleared = NaN;
      this.dirty = false;
    }
    if (now <= this.drawn) return;
    // What lies ahead has mostly been cleared by the frames before.
    const ahead = now + (ERASE_MM / MM_PER_S) * 1000;
    this.erase(c, this.cleared > this.drawn ? this.cleared : this.drawn, ahead);
    this.cleared = ahead;
    this.columns(c, this.drawn, now);
    this.drawn = now;
  }

  /** Fits what is no ECG to its row, by what it was lately. @param {number} now patient's time, ms */
  fit(now) {
    const { ring } = this;
    if (!ring || Math.abs(now - this.fittedAt) < FIT_EVERY_MS) return;
    this.fittedAt = now;
    const found = extent(ring.stretch(now - FIT_MS, now));
    if (!found) return;
    const [least, most] = this.between ?? [NaN, NaN];
    if (found[0] >= least && found[1] <= most && found[1] - found[0] > SMALL * (most - least)) return;
    const beyond = 0.1 * (found[1] - found[0]);
    this.between = [found[0] - beyond, found[1] + beyond];
    this.dirty = true;
  }

  /** Place of a time on the endless line of rows, CSS px. @param {number} t */
  along(t) {
    return (t % this.span) * ((MM_PER_S * this.mm) / 1000);
  }

  /**
   * Calls `paint(x0, x1, top, t0)` for each stretch of [from, to] that lies on one row.
   * @param {number} from @param {number} to
   * @param {(x0: number, x1: number, row: number, t0: number) => void} paint
   */
  pieces(from, to, paint) {
    const speed = (MM_PER_S * this.mm) / 1000;
    let t = from;
    for (let guard = 0; t < to && guard < 3 * MAX_ROWS; guard += 1) {
      const p = this.along(t);
      const row = Math.min(this.rows - 1, Math.floor(p / this.width));
      const x0 = p - row * this.width;
      const until = Math.min(to, t + Math.max((this.width - x0) / speed, 1e-3));
      paint(x0, x0 + (until - t) * speed, row, t);
      t = until;
    }
  }

  /** @param {CanvasRenderingContext2D} c @param {number} from @param {number} to */
  erase(c, from, to) {
    const high = this.height / this.rows;
    this.pieces(from, to, (x0, x1, row) => this.clear(c, x0, row * high, x1 - x0, high));
  }

  /**
   * Bare paper again, in whole pixels of the screen from the first that lies wholly in it: what is left of it has been drawn.
   * @param {CanvasRenderingContext2D} c @param {number} x @param {number} y @param {number} width @param {number} height
   */
  clear(c, x, y, width, height) {
    const ratio = devicePixelRatio || 1;
    const [left, right] = [Math.ceil(x * ratio - NEAR_PX), Math.min(this.paper.width, Math.ceil((x + width) * ratio))];
    const [top, bottom] = [Math.round(y * ratio), Math.min(this.paper.height, Math.round((y + height) * ratio))];
    if (right <= left || bottom <= top) return;
    c.save();
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.drawImage(this.paper, left, top, right - left, bottom - top, left, top, right - left, bottom - top);
    c.restore();
  }

  /** @param {CanvasRenderingContext2D} c @param {number} from @param {number} to */
  columns(c, from, to) {
    const ring = this.ring;
    const high = this.height / this.rows;
    this.pieces(from, to, (x0, x1, row, t0) => {
      const speed = (MM_PER_S * this.mm) / 1000;
      const perMv = this.gain * this.mm;
      const { between } = this;
      const middle = (row + ZERO) * high;
      const x = (/** @type {number} */ t) => x0 + (t - t0) * speed;
      const until = t0 + (x1 - x0) / speed;
      if (!ring) return;
      if (this.rows > 1) {
        c.save();
        c.beginPath();
        c.rect(0, row * high, this.width, high);
        c.clip();
      }
      const slotMs = 1000 / ring.fs;
      // One sample back, so that the pieces of the line join.
      let slot = Math.floor(t0 / slotMs) - 1;
      const last = Math.floor(until / slotMs);
      c.strokeStyle = this.colour ?? token("ecg");
      c.lineWidth = LINE_PX;
      c.lineJoin = "round";
      c.lineCap = "round";
      c.beginPath();
      let pen = false;
      let holeFrom = NaN;
      for (; slot <= last; slot += 1) {
        const uv = ring.at(slot);
        if (Number.isNaN(uv)) {
          pen = false;
          if (slot < ring.begin) continue;
          if (Number.isNaN(holeFrom)) holeFrom = slot;
          continue;
        }
        if (!Number.isNaN(holeFrom)) {
          this.missing(c, Math.max(x0, x(holeFrom * slotMs)), x(slot * slotMs), row * high, high);
          holeFrom = NaN;
        }
        const at = between ? row * high + fitted(uv, between, high) : middle - (uv / 1000) * perMv;
        const y = Math.max(row * high + 2, Math.min((row + 1) * high - 2, at));
        if (pen) c.lineTo(x(slot * slotMs), y);
        else c.moveTo(x(slot * slotMs), y);
        pen = true;
      }
      if (!Number.isNaN(holeFrom)) this.missing(c, Math.max(x0, x(holeFrom * slotMs)), x1, row * high, high);
      c.stroke();
      for (const gap of this.gaps) {
        if (gap.to > t0 && gap.to <= until + slotMs) {
          // A gap may have been filled since it was told: words never stand on samples.
          const bare = (/** @type {number} */ left, /** @type {number} */ right) => ring.bare(Math.ceil((t0 + (left - x0) / speed) / slotMs), (t0 + (right - x0) / speed) / slotMs);
          this.caption(c, x(gap.to), Math.max(0, x(gap.from)), middle, gap.text, bare);
        }
      }
      if (this.rows > 1) c.restore();
    });
  }

  /** @param {CanvasRenderingContext2D} c @param {number} x0 @param {number} x1 @param {number} top @param {number} high */
  missing(c, x0, x1, top, high) {
    if (x1 <= x0) return;
    const path = new Path2D();
    path.rect(x0, top, x1 - x0, high);
    c.fillStyle = this.pattern;
    c.fill(path);
  }

  /**
   * Writes into a gap that has ended why and from when, where it is bare.
   * @param {CanvasRenderingContext2D} c @param {number} right @param {number} left @param {number} y @param {string} text
   * @param {(left: number, right: number) => boolean} bare
   */
  caption(c, right, left, y, text, bare) {
    c.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const width = c.measureText(text).width + 12;
    if (width > right - left) return;
    const x = (left + right - width) / 2;
    if (!bare(x, x + width)) return;
    c.fillStyle = token("panel");
    c.fillRect(x, y - 10, width, 20);
    c.fillStyle = token("ink-2");
    c.textBaseline = "middle";
    c.fillText(text, x + 6, y);
  }

  /**
   * Says on the strip that nothing comes, beside where it stopped.
   * @param {string[] | null} lines null: data come @param {number} since patient's time of the last sample
   */
  say(lines, since) {
    const lost = lines !== null;
    if (lost !== this.lost) {
      this.lost = lost;
      this.root.classList.toggle("lost", lost);
      this.note.hidden = !lost;
      this.ink();
    }
    const started = Number.isFinite(since) && Number.isFinite(this.drawn);
    const gone = started ? ((this.drawn - since) * MM_PER_S * this.mm) / 1000 : Infinity;
    this.root.classList.toggle("gone", lost && gone >= this.width * this.rows);
    if (!lines) return;
    const text = lines.join("\n");
    if (this.note.dataset.text !== text) {
      this.note.dataset.text = text;
      this.note.replaceChildren(...lines.map((line) => h("span", {}, line)));
    }
    const x = started ? this.along(since) % this.width : 0;
    const whole = gone >= this.width || this.rows > 1;
    const left = whole ? (this.width - this.note.offsetWidth) / 2 : x;
    this.note.style.left = `${Math.max(0, Math.min(left, this.width - this.note.offsetWidth))}px`;
  }
}
