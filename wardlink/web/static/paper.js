/** Millimetre paper at true size: the screen's pixels per millimetre, the ruling, the hatching of gaps. */

const KEY = "wardlink.px-per-mm";
export const STANDARD_PX_PER_MM = 96 / 25.4;
/** Width of a bank card, ISO/IEC 7810 ID-1. */
export const CARD_MM = 85.6;
export const MM_PER_S = 25;
export const MM_PER_MV = 10;

/** CSS pixels per millimetre on this screen. */
export function pxPerMm() {
  try {
    const kept = Number(localStorage.getItem(KEY));
    return kept >= 1.5 && kept <= 20 ? kept : STANDARD_PX_PER_MM;
  } catch {
    return STANDARD_PX_PER_MM; // storage is refused in some private windows; the standard then holds
  }
}

/** @param {number | null} value null: back to the standard @returns {boolean} whether it was kept */
export function keepPxPerMm(value) {
  try {
    if (value === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, String(value));
    return true;
  } catch {
    return false;
  }
}

/** A colour token of the present theme. @param {string} name */
export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/**
 * Fits a canvas to its box in device pixels.
 * @param {HTMLCanvasElement} canvas @param {number} width CSS px @param {number} height CSS px
 * @returns {CanvasRenderingContext2D}
 */
export function fit(canvas, width, height, alpha = true) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d", { alpha });
  if (!context) throw new Error("this browser gives no 2d canvas");
  context.scale(ratio, ratio);
  return context;
}

/**
 * Rules the paper: fine lines a millimetre where there is room for them, bold ones every five.
 * @param {CanvasRenderingContext2D} c @param {number} width @param {number} height @param {number} mm
 */
export function rule(c, width, height, mm) {
  for (const [step, colour] of /** @type {const} */ ([[1, "grid-1"], [5, "grid-5"]])) {
    c.beginPath();
    c.strokeStyle = token(colour);
    c.lineWidth = 1;
    for (let i = 0; i * mm * step <= width; i += 1) {
      const x = Math.round(i * mm * step) + 0.5;
      c.moveTo(x, 0);
      c.lineTo(x, height);
    }
    for (let i = 0; i * mm * step <= height; i += 1) {
      const y = Math.round(i * mm * step) + 0.5;
      c.moveTo(0, y);
      c.lineTo(width, y);
    }
    c.stroke();
  }
}

/** Pattern for what is missing. @param {CanvasRenderingContext2D} c */
export function hatch(c) {
  const size = 16;
  const tile = document.createElement("canvas");
  const t = fit(tile, size, size);
  t.fillStyle = token("panel");
  t.fillRect(0, 0, size, size);
  t.strokeStyle = token("hatch");
  t.lineWidth = 5.6;
  t.beginPath();
  for (const shift of [-size, 0, size]) {
    t.moveTo(shift - 2, size + 2);
    t.lineTo(shift + size + 2, -2);
  }
  t.stroke();
  const pattern = c.createPattern(tile, "repeat");
  const ratio = devicePixelRatio || 1;
  pattern?.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern ?? token("hatch");
}
