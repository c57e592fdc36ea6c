/** The course of a patient's numbers over hours (uPlot): least to most as a band, the mean as a line, alarms, gaps and notes drawn in. */
import { look, title, toldApart } from "./alarms.js";
import { PATHS, h, icon, setText } from "./dom.js";
import { dots, hatch, pxPerMm, token } from "./paper.js";
import { date, hour, t, unitName } from "./words.js";

/** @typedef {import("./contract").TrendsAnswer} Answer @typedef {import("./contract").Series} Series */
/** @typedef {import("uplot")} Plot */

const HOUR = 3600000;
const RANGES_H = [1, 8, 24, 72];
const EVERY_MS = 30000;
/** The shortest stretch that is shown, ms. */
const SHORTEST = 60000;
const LONGEST = 72 * HOUR;
const LEAST_PX = 104;
const AXIS_PX = 26;
/** On paper: A4 upright less the margins of bed.css, and what of its height the charts share. */
const PRINT_MM = { width: 186, height: 215, most: 62 };
/** From this width on two charts may stand abreast. */
const TWO_PX = 640;
/**
 * What one picture shows together, with the signal's colour; `spot`: taken now and then, so points stand for it and no line;
 * `least`: what its axis spans at least, so that a steady value does not look like a storm, nor one reading like a fever of zero.
 */
const CHARTS = [
  { codes: ["MDC_ECG_HEART_RATE", "MDC_PULS_OXIM_PULS_RATE"], looks: ["ecg", "spo2"], spot: false, least: 20 },
  { codes: ["MDC_PULS_OXIM_SAT_O2"], looks: ["spo2"], spot: false, least: 6 },
  { codes: ["MDC_TTHOR_RESP_RATE"], looks: ["resp"], spot: false, least: 8 },
  { codes: ["MDC_PRESS_BLD_NONINV_SYS", "MDC_PRESS_BLD_NONINV_MEAN", "MDC_PRESS_BLD_NONINV_DIA"], looks: ["nibp", "nibp", "nibp"], spot: true, least: 40 },
  { codes: ["MDC_TEMP_BODY", "MDC_TEMP_SKIN"], looks: ["temp", "temp"], spot: true, least: 2 },
];
/** A second source of the same measurement has its colour, and another line. */
const DASH = [6, 3];
const MARKS = { high: "high-line", medium: "medium-line", low: "low-line", technical: "tech-line" };

export class Trends {
  /**
   * @param {import("./hub.js").Hub} hub @param {number} key @param {string[]} measures
   * @param {{pick: (ms: number) => void, limits: () => import("./contract").Limit[]}} on
   */
  constructor(hub, key, measures, on) {
    this.hub = hub;
    this.key = key;
    this.on = on;
    this.charts = CHARTS.filter((chart) => chart.codes.some((code) => measures.includes(code)));
    this.hours = 8;
    this.asked = 0;
    /** Whether the charts are drawn for paper. */
    this.printing = false;
    this.taken = 0;
    /** @type {[number, number] | null} a stretch that was chosen by dragging */
    this.zoomed = null;
    /** @type {[number, number] | null} what stands on the review strip */
    this.reviewed = null;
    /** @type {Answer | null} */
    this.answer = null;
    /** @type {Plot[]} */
    this.plots = [];
    this.buttons = RANGES_H.map((n) => h("button", { class: "seg", type: "button", onclick: () => this.choose(n) }, t("review.hours", { n })));
    this.back = h("button", { class: "seg", type: "button", hidden: true, onclick: () => this.choose(this.hours) }, t("review.zoom_out"));
    const zoom = (/** @type {number} */ by, /** @type {string} */ path, /** @type {string} */ words) =>
      h("button", { class: "icon", type: "button", "aria-label": words, title: words, onclick: () => void this.zoom(by) }, icon(path));
    this.closer = zoom(0.5, PATHS.plus, t("review.closer"));
    this.wider = zoom(2, PATHS.minus, t("review.wider"));
    /** The stretch in words, for those who do not see the axis. */
    this.told = h("span", { class: "sr", role: "status" });
    this.ranges = h("div", { class: "segs", role: "group", "aria-label": t("review.range") }, ...this.buttons, h("span", { class: "zoom" }, this.closer, this.wider), this.back, this.told);
    this.body = h("div", { class: "charts", tabindex: "0", role: "region", "aria-label": t("review.course") });
    new ResizeObserver(() => !this.printing && this.draw()).observe(this.body);
    setInterval(() => !this.zoomed && document.visibilityState === "visible" && void this.load(), EVERY_MS);
  }

  /** @param {number} hours */
  choose(hours) {
    this.hours = hours;
    this.zoomed = null;
    void this.load();
  }

  /** Show half or twice the stretch, around what stands on the review strip, else around its middle. @param {number} by */
  async zoom(by) {
    const [from, to] = this.seen;
    const length = Math.max(SHORTEST, by * (to - from));
    if (length >= LONGEST - SHORTEST) [this.hours, this.zoomed] = [LONGEST / HOUR, null];
    else {
      const [a, b] = this.reviewed ?? [from, to];
      this.around((a + b) / 2, length);
    }
    await this.load();
    setText(this.told, this.stretch);
  }

  /** Choose a stretch around a moment, moved into the last 72 h. @param {number} ms @param {number} length */
  around(ms, length) {
    const now = this.hub.now();
    const from = Math.round(Math.max(now - LONGEST + SHORTEST, Math.min(now - length, ms - length / 2)));
    this.zoomed = [from, from + Math.round(length)];
  }

  /** From and to of what is to be seen, ms. @returns {[number, number]} */
  get seen() {
    const now = Math.round(this.hub.now());
    return this.zoomed ?? [now - this.hours * HOUR + (this.hours === 72 ? SHORTEST : 0), now];
  }

  async load() {
    const asked = (this.asked += 1);
    const [from, to] = this.seen;
    this.closer.setAttribute("aria-disabled", String(to - from <= SHORTEST));
    this.wider.setAttribute("aria-disabled", String(to - from >= LONGEST - SHORTEST));
    this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(!this.zoomed && RANGES_H[i] === this.hours)));
    this.back.hidden = !this.zoomed;
    const codes = this.charts.flatMap((chart) => chart.codes);
    if (!codes.length) {
      this.body.replaceChildren(h("p", { class: "void" }, t("review.no_trends")));
      return;
    }
    const query = new URLSearchParams([...codes.map((code) => ["code", code]), ["from_ms", String(from)], ["to_ms", String(to)], ["points", "360"]]);
    try {
      const answer = /** @type {Answer} */ (await this.hub.get(`/api/v1/beds/${this.key}/trends?${query}`));
      if (asked !== this.asked) return; // another stretch was chosen meanwhile
      this.answer = answer;
      this.draw();
    } catch (error) {
      if (asked !== this.asked) return;
      console.info("trends not fetched", error);
      if (!this.answer) this.body.replaceChildren(h("p", { class: "void" }, t("review.failed")));
    }
  }

  /** What stands on the review strip, to be marked; a chosen stretch goes with it. @param {number} from @param {number} to */
  mark(from, to) {
    this.reviewed = Number.isNaN(from) ? null : [from, to];
    if (this.zoomed && this.reviewed && (from > this.zoomed[1] || to < this.zoomed[0])) {
      this.around((from + to) / 2, this.zoomed[1] - this.zoomed[0]);
      void this.load();
    }
    for (const plot of this.plots) plot.redraw(false);
  }

  /** The charts anew, for paper or for the screen. @param {boolean} printing @param {number} taken of the sheet's height already, px */
  print(printing, taken) {
    this.printing = printing;
    this.taken = taken;
    this.draw();
  }

  /** The stretch of time that is seen, in words. */
  get stretch() {
    return this.answer ? t("print.range", { from: date(this.answer.from_ms), to: date(this.answer.to_ms) }) : "";
  }

  draw() {
    const answer = this.answer;
    const width = this.printing ? Math.floor(PRINT_MM.width * pxPerMm()) : this.body.clientWidth;
    if (!answer || width < 100) return;
    for (const plot of this.plots) plot.destroy();
    const charts = this.charts.filter((chart) => answer.series.some((series) => chart.codes.includes(series.code)));
    if (!charts.length) {
      this.plots = [];
      this.body.replaceChildren(h("p", { class: "void" }, t("review.no_readings")));
      return;
    }
    const two = !this.printing && width >= TWO_PX && charts.length > 1 && charts.length * LEAST_PX > this.body.clientHeight;
    const columns = two ? 2 : 1;
    const rowPx = this.printing ? Math.min(PRINT_MM.most * pxPerMm(), (PRINT_MM.height * pxPerMm() - this.taken) / charts.length) : this.body.clientHeight / Math.ceil(charts.length / columns);
    const high = Math.max(LEAST_PX, Math.floor(rowPx) - 2);
    this.body.classList.toggle("two", two);
    const boxes = charts.map((chart, i) => this.chart(answer, chart, Math.floor(width / columns) - (two ? 1 : 0), high, { isFirst: i === 0, last: i >= charts.length - columns }));
    this.plots = boxes.map((box) => box.plot);
    this.body.replaceChildren(...boxes.map((box) => box.root));
    if (this.printing) this.body.append(this.marks(answer));
  }

  /** What the marks in the pictures stand for, which no pointer can ask of paper. @param {Answer} answer */
  marks(answer) {
    const inside = (/** @type {number} */ from, /** @type {number} */ to) => to >= answer.from_ms && from <= answer.to_ms;
    const marks = [
      ...answer.alarms.filter((alarm) => inside(alarm.onset_ms, alarm.condition_ended_ms ?? answer.to_ms)).map((alarm) => ({ at: alarm.onset_ms, what: title(alarm), words: t(`alarm.priority.${look(alarm)}`) })),
      ...answer.notes.filter(({ at_ms: at }) => inside(at, at)).map((note) => ({ at: note.at_ms, what: note.text, words: note.by })),
    ].sort((a, b) => a.at - b.at);
    return h("ul", { class: "printed-marks" }, ...marks.map(({ at, what, words }) => h("li", {}, h("time", {}, date(at)), h("b", {}, what), h("span", {}, words))));
  }

  /** @param {Answer} answer @param {typeof CHARTS[number]} chart @param {number} width @param {number} high @param {{isFirst: boolean, last: boolean}} place */
  chart(answer, chart, width, high, { isFirst, last }) {
    const step = answer.bucket_ms;
    const begin = Math.floor(answer.from_ms / step) * step;
    const xs = Array.from({ length: Math.floor((answer.to_ms - begin) / step) + 1 }, (_, i) => (begin + i * step) / 1000);
    const series = answer.series.filter((one) => chart.codes.includes(one.code)).sort((a, b) => chart.codes.indexOf(a.code) - chart.codes.indexOf(b.code));
    const columns = series.flatMap((one) => ["max", "min", "mean"].map((name) => spread(one, /** @type {"max"} */ (name), xs.length, begin, step)));
    const first = /** @type {Series} */ (series[0]);
    const value = h("span", { class: "chart-value" });
    const names = series.map((one) => h("b", { class: `k-${this.look(chart, one)}${isAnother(one, series) ? " another" : ""}` }, toldApart(one, series)));
    const plotBox = h("div", { class: "chart-plot" });
    const root = h("figure", { class: "chart", "aria-label": t("review.chart_label", { what: series.map((one) => toldApart(one, series)).join(", ") }) },
      h("figcaption", {}, ...names, h("span", {}, unitName(first.unit)), value), plotBox);
    // uPlot counts the screen's dots: for the finer ones of paper it draws larger, and is shown so much smaller.
    const k = this.printing ? dots() / (devicePixelRatio || 1) : 1;
    plotBox.style.zoom = String(1 / k);
    const axis = { stroke: token("ink-2"), grid: { stroke: token("line"), width: k }, ticks: { show: false }, gap: 5 * k, font: `${12 * k}px ${getComputedStyle(document.body).fontFamily}` };
    const now = this.hub.now();
    const Uplot = /** @type {{uPlot: typeof import("uplot")}} */ (/** @type {unknown} */ (globalThis)).uPlot;
    const plot = new Uplot({
      width: width * k, height: (high - 22) * k, legend: { show: false }, padding: [4 * k, 22 * k, last ? 0 : 4 * k, 0],
      cursor: { sync: { key: "bed" }, drag: { x: true, y: false, setScale: false }, y: false, points: { show: false } },
      scales: { x: { time: true, range: () => [answer.from_ms / 1000, answer.to_ms / 1000] }, y: { range: (_plot, low, high) => spanned(low, high, chart.least, first.unit === "%") } },
      axes: [
        { ...axis, size: last ? AXIS_PX * k : 0, space: 96 * k, values: (_plot, splits) => (last ? splits.map((s) => hour(s * 1000, now)) : splits.map(() => "")) },
        { ...axis, size: 44 * k, space: 26 * k },
      ],
      series: [{}, ...series.flatMap((one) => {
        const colour = token(this.look(chart, one));
        return [...["max", "min"].map(() => ({ stroke: "transparent", width: 0, points: { show: false } })),
          { stroke: colour, width: 1.6 * k, ...(isAnother(one, series) ? { dash: DASH.map((px) => px * k) } : {}), ...(chart.spot ? { paths: () => null } : {}), points: { show: true, size: (chart.spot ? 6 : 3) * k, fill: colour, filter: chart.spot ? all : alone } }];
      })],
      bands: series.map((one, i) => ({ series: /** @type {[number, number]} */ ([3 * i + 1, 3 * i + 2]), fill: `${token(this.look(chart, one))}33` })),
      hooks: {
        drawClear: [(u) => this.under(u, answer, first.code, k)],
        draw: [(u) => this.over(u, answer, k)],
        ready: [(u) => isFirst && !this.printing && this.pin(u, answer, now)],
        setCursor: [(u) => setText(value, reading(u, series, now))],
        setSelect: [(u) => {
          if (u.select.width < 8) return;
          const [a, b] = [u.posToVal(u.select.left, "x") * 1000, u.posToVal(u.select.left + u.select.width, "x") * 1000];
          this.zoomed = [Math.round(a), Math.round(Math.max(b, a + SHORTEST))];
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          void this.load();
        }],
      },
    }, /** @type {import("uplot").AlignedData} */ ([xs, ...columns]), plotBox);
    plot.over.addEventListener("click", () => {
      const left = plot.cursor.left ?? -1;
      if (left >= 0) this.on.pick(plot.posToVal(left, "x") * 1000);
    });
    return { root, plot };
  }

  /** @param {typeof CHARTS[number]} chart @param {Series} series */
  look(chart, series) {
    return chart.looks[chart.codes.indexOf(series.code)] ?? "ink";
  }

  /** Alarms as spans, gaps as hatching, limits as lines: beneath the curves. @param {Plot} u @param {Answer} answer @param {string} code @param {number} k */
  under(u, answer, code, k) {
    const { ctx: c, bbox } = u;
    const x = (/** @type {number} */ ms) => Math.max(bbox.left, Math.min(bbox.left + bbox.width, u.valToPos(ms / 1000, "x", true)));
    c.save();
    c.fillStyle = hatch(c);
    for (const gap of answer.gaps) {
      if (gap.to_ms < answer.from_ms || gap.from_ms > answer.to_ms) continue;
      const path = new Path2D();
      path.rect(x(gap.from_ms), bbox.top, Math.max(1, x(gap.to_ms) - x(gap.from_ms)), bbox.height);
      c.fill(path);
    }
    for (const alarm of answer.alarms) {
      const end = alarm.condition_ended_ms ?? answer.to_ms;
      if (end < answer.from_ms || alarm.onset_ms > answer.to_ms) continue;
      const [left, wide] = [x(alarm.onset_ms), Math.max(2, x(end) - x(alarm.onset_ms))];
      c.fillStyle = `${token(MARKS[look(alarm)])}38`;
      c.fillRect(left, bbox.top, wide, bbox.height);
      c.fillStyle = token(MARKS[look(alarm)]);
      c.fillRect(left, bbox.top, wide, 3 * devicePixelRatio * k);
    }
    c.strokeStyle = token("ink-3");
    c.lineWidth = k;
    c.setLineDash([2 * k, 5 * k]);
    const limit = this.on.limits().find((one) => one.code === code);
    for (const bound of [limit?.low ?? null, limit?.high ?? null]) {
      const y = bound === null ? NaN : u.valToPos(bound, "y", true);
      if (!(y >= bbox.top && y <= bbox.top + bbox.height)) continue;
      c.beginPath();
      c.moveTo(bbox.left, y);
      c.lineTo(bbox.left + bbox.width, y);
      c.stroke();
    }
    c.restore();
  }

  /** The notes of the stretch as marks at the top of the picture, which say on hover and focus what was written. @param {Plot} u @param {Answer} answer @param {number} now */
  pin(u, answer, now) {
    for (const note of answer.notes.filter(({ at_ms: at }) => at >= answer.from_ms && at <= answer.to_ms)) {
      const left = u.valToPos(note.at_ms / 1000, "x");
      const words = h("span", { class: `note-words${left > u.over.clientWidth / 2 ? " to-left" : ""}` }, h("b", {}, `${hour(note.at_ms, now)} · ${note.by}`), note.text);
      const mark = h("span", { class: "note-mark", role: "note", tabindex: "0", "aria-label": `${hour(note.at_ms, now)}, ${note.by}: ${note.text}` }, words);
      mark.style.left = `${left}px`;
      u.over.append(mark);
    }
  }

  /** @param {Plot} u @param {Answer} answer @param {number} k */
  over(u, answer, k) {
    const { ctx: c, bbox } = u;
    c.save();
    c.strokeStyle = token("accent");
    c.lineWidth = k;
    c.setLineDash([k, 3 * k]);
    for (const note of answer.notes) {
      const x = Math.round(u.valToPos(note.at_ms / 1000, "x", true)) + 0.5;
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      c.beginPath();
      c.moveTo(x, bbox.top);
      c.lineTo(x, bbox.top + bbox.height);
      c.stroke();
    }
    c.restore();
    if (!this.reviewed) return;
    const [from, to] = this.reviewed.map((ms) => u.valToPos(ms / 1000, "x", true));
    if (from === undefined || to === undefined || to < bbox.left || from > bbox.left + bbox.width) return;
    c.save();
    c.strokeStyle = token("accent");
    c.lineWidth = 2 * devicePixelRatio * k;
    c.strokeRect(from - 2 * k, bbox.top + k, Math.max(6 * k, to - from), bbox.height - 2 * k);
    c.restore();
  }
}

/**
 * The ends of an axis around the readings; of a share, no higher than the whole.
 * @param {number | null} low @param {number | null} high @param {number} least @param {boolean} share @returns {[number | null, number | null]}
 */
export function spanned(low, high, least, share) {
  if (low === null || high === null) return [null, null];
  const beyond = Math.max(0.05 * (high - low), (least - (high - low)) / 2);
  const top = share ? Math.min(high + beyond, Math.max(100, high)) : high + beyond;
  return [Math.min(low - beyond, top - least), top];
}

/** Whether an earlier one measures the same. @param {Series} one @param {Series[]} series */
function isAnother(one, series) {
  return series.findIndex((other) => other.code === one.code) < series.indexOf(one);
}

/** A column of a series on the grid of the picture; null where nothing was read. @param {Series} series @param {"min" | "max" | "mean"} name @param {number} n @param {number} begin @param {number} step */
function spread(series, name, n, begin, step) {
  /** @type {(number | null)[]} */
  const out = new Array(n).fill(null);
  series.at_ms.forEach((at, i) => {
    const slot = Math.round((at - begin) / step);
    if (slot >= 0 && slot < n) out[slot] = series[name][i] ?? null;
  });
  return out;
}

/** @param {Plot} u @param {number} index @returns {(number | null)[]} */
function column(u, index) {
  return Array.from(u.data[index] ?? [], (value) => value ?? null);
}

/** Every reading is a point. @param {Plot} u @param {number} index */
function all(u, index) {
  return column(u, index).flatMap((value, i) => (value === null ? [] : [i]));
}

/** A reading with nothing on either side has no line: it is a point. @param {Plot} u @param {number} index */
function alone(u, index) {
  const values = column(u, index);
  return values.flatMap((value, i) => (value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null ? [i] : []));
}

/** @param {Plot} u @param {Series[]} series @param {number} now */
function reading(u, series, now) {
  const at = u.cursor.idx;
  if (at === null || at === undefined) return "";
  const parts = series.flatMap((_, i) => {
    const [most, least, mean] = [1, 2, 3].map((k) => u.data[3 * i + k]?.[at] ?? null);
    if (mean === null || mean === undefined) return [];
    const digits = Math.abs(mean) < 45 && mean % 1 !== 0 ? 1 : 0;
    return most === least ? [mean.toFixed(digits)] : [t("review.value_range", { mean: mean.toFixed(digits), low: Number(least).toFixed(digits), high: Number(most).toFixed(digits) })];
  });
  const time = hour((u.data[0][at] ?? 0) * 1000, now);
  return parts.length ? `${parts.join(" · ")} · ${time}` : time;
}
