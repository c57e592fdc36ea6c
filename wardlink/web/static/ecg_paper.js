/**
 * A resting ECG as SVG on millimetre paper: user units are millimetres, so 1 is 40 ms along and 0.1 mV up, on the screen and on paper.
 * Which stretch of which lead stands where follows the usual 3 x 4 + 1 (IEC 60601-2-25): four columns of 2.5 s, lead II along the whole.
 */

/** @typedef {import("./contract").EcgLead} Lead */

export const MM_PER_S = 25;
export const MM_PER_MV = 10;
export const SECONDS = 10;
const NS = "http://www.w3.org/2000/svg";
const SHORT = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];
const COLUMN_S = 2.5;
/** Room for the calibration pulse before the traces. */
const LEFT_MM = 10;
const RIGHT_MM = 3;
const ROW_MM = 30;
const TOP_MM = 2;
/** An electrode's offset of more than this would carry the line out of its row; then its middle stands at zero. */
const OFFSET_UV = 1000;

/** What stands on the sheet: [lead's short name, from s, to s, row]. @param {string} rhythm lead of the last row @returns {[string, number, number, number][]} */
export function sheet(rhythm = "II") {
  return [...SHORT.map((name, i) => /** @type {[string, number, number, number]} */ ([name, Math.floor(i / 3) * COLUMN_S, Math.floor(i / 3 + 1) * COLUMN_S, i % 3])), [rhythm, 0, SECONDS, 3]];
}

export const SHEET_MM = { width: LEFT_MM + SECONDS * MM_PER_S + RIGHT_MM, height: 2 * TOP_MM + 4 * ROW_MM };

/** Microvolt that stand at the zero line of a lead. @param {Lead} lead */
export function zeroOf(lead) {
  const sorted = [...lead.samples].sort((a, b) => a - b);
  const middle = (sorted[Math.floor(sorted.length / 2)] ?? 0) * lead.uv_per_lsb;
  return Math.abs(middle) > OFFSET_UV ? middle : 0;
}

/**
 * The corners of a line, in mm: sample k of the lead stands at x0 + (k / fs - from) * 25, y0 - mV * 10.
 * @param {Lead} lead @param {number} fs @param {number} from s @param {number} to s @param {number} x0 @param {number} y0
 */
export function corners(lead, fs, from, to, x0, y0) {
  const zero = zeroOf(lead);
  const points = [];
  for (let k = Math.ceil(from * fs); k < Math.min(to * fs, lead.samples.length); k += 1) {
    const uv = /** @type {number} */ (lead.samples[k]) * lead.uv_per_lsb - zero;
    points.push(`${fixed(x0 + (k / fs - from) * MM_PER_S)},${fixed(y0 - (uv / 1000) * MM_PER_MV)}`);
  }
  return points.join(" ");
}

/** @param {string} name @param {Record<string, string | number>} attributes @param {...Node} children */
export function svg(name, attributes, ...children) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** Millimetre paper: fine lines each millimetre, bold ones each five; drawn out, as a pattern is printed coarse. @param {number} width mm @param {number} height mm */
export function paper(width, height) {
  const every = (/** @type {number} */ step, /** @type {number} */ length, /** @type {(at: number) => string} */ line) => Array.from({ length: Math.floor(length / step) + 1 }, (_, i) => line(i * step)).join("");
  const lines = (/** @type {number} */ step) => svg("path", { class: `grid-${step}`, d: every(step, width, (x) => `M${x} 0V${height}`) + every(step, height, (y) => `M0 ${y}H${width}`) });
  return [svg("rect", { class: "sheet-ground", width, height }), lines(1), lines(5)];
}

/** The pulse by which the gain is seen: 1 mV for 0.2 s. @param {number} x @param {number} y */
function calibration(x, y) {
  return svg("path", { class: "ecg-line calibration", d: `M${x} ${y}h1v${-MM_PER_MV}h5v${MM_PER_MV}h1` });
}

/**
 * The whole sheet.
 * @param {{fs_hz: number, leads: Lead[]}} ecg @param {{label: string, missing: string}} words
 */
export function drawSheet(ecg, words) {
  const { width, height } = SHEET_MM;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words.label, class: "ecg-sheet" }, ...paper(width, height));
  const by = new Map(ecg.leads.map((lead) => [lead.short, lead]));
  const rhythm = by.has("II") ? "II" : (ecg.leads[0]?.short ?? "II");
  const names = [];
  for (const [name, from, to, row] of sheet(rhythm)) {
    const x = LEFT_MM + (row === 3 ? 0 : from) * MM_PER_S;
    const y = TOP_MM + (row + 0.55) * ROW_MM;
    const lead = by.get(name);
    if (from === 0) root.append(calibration(1.5, y));
    else root.append(svg("path", { class: "ecg-cut", d: `M${x} ${y - 9}v4M${x} ${y + 5}v4` }));
    if (lead) root.append(svg("polyline", { class: "ecg-line", "data-lead": lead.code, "data-from": from, "data-zero-mm": y, points: corners(lead, ecg.fs_hz, from, to, x, y) }));
    const text = svg("text", { class: `ecg-name${lead ? "" : " missing"}`, x: x + 1.5, y: y - 10 }, document.createTextNode(lead ? name : `${name} · ${words.missing}`));
    names.push(text);
  }
  root.append(...names);
  return root;
}

/** A stretch of one lead that fills a box. @param {{fs_hz: number}} ecg @param {Lead} lead @param {number} width mm @param {number} height mm */
export function drawStill(ecg, lead, width, height) {
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", class: "ecg-sheet" }, ...paper(width, height));
  const rows = Math.max(1, Math.min(Math.floor(height / 24), Math.ceil((SECONDS * MM_PER_S) / width)));
  const perRow = width / MM_PER_S;
  for (let row = 0; row < rows; row += 1) root.append(svg("polyline", { class: "ecg-line", points: corners(lead, ecg.fs_hz, row * perRow, Math.min(SECONDS, (row + 1) * perRow), 0, ((row + 0.58) * height) / rows) }));
  return root;
}

/** @param {number} mm */
function fixed(mm) {
  return Number(mm.toFixed(3));
}
