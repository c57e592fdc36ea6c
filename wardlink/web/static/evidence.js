/** Draws the strip that decided an alarm on paper: every lead, the beats that were found with their classes, what weighed most, the moment of the decision. */
import { MM_PER_MV, MM_PER_S, fit, pxPerMm, rule, token } from "./paper.js";
import { h } from "./dom.js";
import { listed } from "./finding.js";
import { clock, has, t, term } from "./words.js";

/** @typedef {import("./contract").Evidence} Evidence */

const HEAD_PX = 24;
/** Higher where the beats have classes: a letter stands above each mark. */
const HEAD_OF_CLASSES_PX = 40;
const NOT_KNOWN = "?";
const FOOT_PX = 20;
const LEAST_MM = 20;
/** Height for all leads together: the reasons below must stay in sight. */
const ALL_MM = 76;
const MISSING = -32768;
/** Width of A4 across, less the margins that ward.css gives the alarm's sheet. */
const ACROSS_MM = 277;

/** @param {Evidence & {strip: NonNullable<Evidence["strip"]>}} evidence @param {boolean} [printing] @returns {HTMLElement} */
export function evidenceStrip(evidence, printing = false) {
  const { strip, beats, deciding_sample: deciding } = evidence;
  const classes = evidence.beat_classes ?? [];
  const classified = classes.some((one) => one !== NOT_KNOWN);
  const headPx = classified ? HEAD_OF_CLASSES_PX : HEAD_PX;
  const [weighed] = evidence.spans ?? [];
  const mm = pxPerMm();
  const n = Math.max(...strip.leads.map((lead) => lead.samples.length));
  const perSample = (MM_PER_S * mm) / strip.fs_hz;
  const width = Math.ceil(n * perSample);
  const leads = strip.leads.map((lead) => ({ lead, ...extent(lead) }));
  const need = (/** @type {number} */ gain) => leads.map(({ reach }) => Math.max(LEAST_MM, Math.ceil((2 * reach * gain) / 1000 + 4)));
  // Half the gain, as on a recorder, before anything is cut off.
  const gain = sum(need(MM_PER_MV)) <= ALL_MM ? MM_PER_MV : MM_PER_MV / 2;
  const high = need(gain).map((millimetres) => millimetres * mm);
  const height = headPx + FOOT_PX + sum(high);
  const timeOf = (/** @type {number} */ sample) => strip.t0_ms + ((sample - strip.first_sample) * 1000) / strip.fs_hz;
  const decided = clock(timeOf(deciding ?? strip.first_sample + n));
  const font = getComputedStyle(document.body).fontFamily;
  const x = (/** @type {number} */ sample) => (sample - strip.first_sample) * perSample;
  const tops = leads.map((_, i) => headPx + sum(high.slice(0, i)));
  /** Behind the lines of the paper, on the leads that it is of. @param {CanvasRenderingContext2D} c @param {import("./contract").Span} span */
  const shade = (c, span) => {
    const [left, right] = [Math.max(0, x(span.from_sample)), Math.min(width, x(span.to_sample))];
    if (right <= left) return;
    c.fillStyle = token("accent-2");
    leads.forEach(({ lead }, i) => {
      if (!span.leads.length || span.leads.includes(lead.code)) c.fillRect(left, /** @type {number} */ (tops[i]), right - left, /** @type {number} */ (high[i]));
    });
  };
  /** From one edge of a canvas to the other: px of the whole. @param {CanvasRenderingContext2D} c @param {number} from @param {number} to */
  const paint = (c, from, to) => {
    c.translate(-from, 0);
    if (weighed) shade(c, weighed);
    rule(c, width, height, mm);
    const label = (/** @type {string} */ text, /** @type {number} */ at, /** @type {number} */ y, /** @type {string} */ colour, weight = 400) => {
      c.font = `${weight} 12px ${font}`;
      const wide = c.measureText(text).width;
      const left = Math.max(from + 2, Math.min(at - wide / 2, to - wide - 4));
      c.fillStyle = token("paper");
      c.fillRect(left - 3, y - 8, wide + 6, 16);
      c.fillStyle = colour;
      c.textBaseline = "middle";
      c.fillText(text, left, y);
    };
    leads.forEach(({ lead, median }, i) => {
      const middle = /** @type {number} */ (tops[i]) + /** @type {number} */ (high[i]) / 2;
      c.strokeStyle = token("ecg");
      c.lineWidth = 1.7;
      c.lineJoin = "round";
      c.beginPath();
      let pen = false;
      lead.samples.forEach((raw, k) => {
        const y = middle - (((raw - median) * lead.uv_per_lsb) / 1000) * gain * mm;
        if (raw === MISSING) pen = false;
        else if (pen) c.lineTo(k * perSample, y);
        else {
          c.moveTo(k * perSample, y);
          pen = true;
        }
      });
      c.stroke();
    });
    if (weighed) {
      c.fillStyle = token("accent");
      c.fillRect(x(weighed.from_sample), height - FOOT_PX - 4, x(weighed.to_sample) - x(weighed.from_sample), 4);
    }
    c.textBaseline = "middle";
    beats.forEach((beat, i) => {
      const letter = classes[i] ?? NOT_KNOWN;
      const y = headPx - 18;
      c.fillStyle = token("ink");
      c.beginPath();
      c.moveTo(x(beat) - 5, y);
      c.lineTo(x(beat) + 5, y);
      c.lineTo(x(beat), y + 9);
      c.fill();
      if (letter === NOT_KNOWN) return;
      c.font = `700 13px ${font}`;
      c.fillText(letter, x(beat) - c.measureText(letter).width / 2, y - 10);
    });
    for (let second = Math.ceil(strip.t0_ms / 1000) * 1000; second < timeOf(strip.first_sample + n); second += 1000) {
      const at = ((second - strip.t0_ms) / 1000) * MM_PER_S * mm;
      if (at < from || at > to) continue;
      if (second % 5000 === 0) label(clock(second), at, height - 10, token("ink-2"));
      else {
        c.fillStyle = token("edge");
        c.fillRect(Math.round(at), height - 6, 1, 6);
      }
    }
    if (deciding !== null && x(deciding) >= from && x(deciding) <= to) {
      c.strokeStyle = token("high-line");
      c.lineWidth = 2;
      c.setLineDash([6, 4]);
      c.beginPath();
      c.moveTo(x(deciding), headPx);
      c.lineTo(x(deciding), height - FOOT_PX);
      c.stroke();
      c.setLineDash([]);
      label(t("sheet.decided", { time: decided }), x(deciding), headPx - 12, token("ink"), 700);
    }
  };
  const said = t("sheet.evidence_label", { seconds: Number((n / strip.fs_hz).toFixed(1)), leads: strip.leads.map((lead) => lead.short).join(", "), time: decided });
  const found = foundWords(beats, classified ? classes : []);
  const weight = weighed ? t("sheet.weighed", { from: clock(timeOf(weighed.from_sample)), to: clock(timeOf(weighed.to_sample)), on: weighed.leads.length ? "leads" : "none", leads: listed("finding.lead_list", weighed.leads.map((code) => term(code).short || code)) }) : "";
  const told = t("sheet.evidence_told", { strip: said, beats: found, weighed: weight });
  const picture = (/** @type {number} */ from, /** @type {number} */ to) => {
    const canvas = h("canvas", { role: "img", "aria-label": told });
    canvas.style.width = `${to - from}px`;
    canvas.style.height = `${height}px`;
    paint(fit(canvas, to - from, height), from, to);
    return canvas;
  };
  const names = () => strip.leads.map((lead, i) => {
    const name = h("b", { "aria-hidden": "true" }, lead.short);
    name.style.top = `${/** @type {number} */ (tops[i]) + 4}px`;
    return name;
  });
  const facts = h("div", { class: "below" }, h("span", {}, found), weight && h("span", { class: "weighed" }, weight), h("span", {}, t("strip.gain", { n: gain })), h("span", {}, t("strip.speed")));
  if (printing) {
    // Paper cannot be scrolled: a strip that is longer than the sheet goes on beneath.
    const row = Math.floor(ACROSS_MM / MM_PER_S) * MM_PER_S * mm;
    const rows = Array.from({ length: Math.ceil(width / row) }, (_, i) => h("div", { class: "evidence-row" }, picture(i * row, Math.min(width, (i + 1) * row)), ...names()));
    return h("div", { class: "evidence-box" }, ...rows, facts);
  }
  const box = h("div", { class: "evidence", tabindex: "0", role: "region", "aria-label": t("sheet.evidence") }, picture(0, width));
  requestAnimationFrame(() => {
    box.scrollLeft = (deciding === null ? width : x(deciding)) - 0.7 * box.clientWidth;
  });
  // Names of the leads stay while the paper is scrolled.
  return h("div", { class: "evidence-box" }, box, ...names(), facts);
}

/** How many beats, and of which classes where these are known. @param {number[]} beats @param {string[]} classes */
function foundWords(beats, classes) {
  const all = t("sheet.beats_found", { n: beats.length });
  if (!classes.length) return all;
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const one of classes) counts.set(one, (counts.get(one) ?? 0) + 1);
  const words = [...counts].map(([one, n]) => (has(`beat_class.${one}`) ? t(`beat_class.${one}`, { n }) : t("beat_class.other", { n })));
  return t("sheet.evidence_classes", { beats: all, classes: listed("finding.reason_list", words) });
}

/** @param {number[]} values */
function sum(values) {
  return values.reduce((a, b) => a + b, 0);
}

/** Middle and reach (99th percentile, microvolt) of a lead. @param {import("./contract").EvidenceLead} lead */
function extent(lead) {
  const sorted = lead.samples.filter((raw) => raw !== MISSING).sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  const median = at(0.5);
  return { median, reach: Math.max(at(0.995) - median, median - at(0.005)) * lead.uv_per_lsb };
}
