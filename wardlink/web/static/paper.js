/** Millimetre paper at true size, on the screen and printed: pixels per millimetre, the ruling, the hatching of gaps. */

const KEY = "wardlink.px-per-mm";
export const STANDARD_PX_PER_MM = 96 / 25.4;
/** Width of a bank card, ISO/IEC 7810 ID-1. */
export const CARD_MM = 85.6;
export const MM_PER_S = 25;
export const MM_PER_MV = 10;

/** Dots of a printed picture for a CSS pixel: 384 an inch. Chromium shows a picture made for printing in steps of 1/64, into which a third does not go. */
const PRINT_DOTS = 4;
let printing = false;

/**
 * As long as the page is printed, paper is light whatever the screen is, and pictures are drawn for it: by `draw`, at once, before and after.
 * @param {(printing: boolean) => void} draw
 */
export function onPrint(draw) {
  const root = document.documentElement;
  let theme = root.dataset.theme;
  addEventListener("beforeprint", () => {
    if (printing) return;
    theme = root.dataset.theme;
    root.dataset.theme = "day";
    printing = true;
    draw(true);
  });
  addEventListener("afterprint", () => {
    if (!printing) return;
    root.dataset.theme = theme;
    printing = false;
    draw(false);
  });
}

/** Dots for a CSS pixel. */
export function dots() {
  return printing ? PRINT_DOTS : devicePixelRatio || 1;
}

/** CSS pixels per millimetre on this screen, as somebody measured it; on paper those of the standard, which the printer keeps. */
export function pxPerMm() {
  if (printing) return STANDARD_PX_PER_MM;
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
  const ratio = dots();
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
  const [d, wide] = printing ? [PRINT_DOTS, 0.5] : [1, 1];
  for (const [step, colour] of /** @type {const} */ ([[1, "grid-1"], [5, "grid-5"]])) {
    c.beginPath();
    c.strokeStyle = token(colour);
    c.lineWidth = wide;
    for (let i = 0; i * mm * step <= width; i += 1) {
      const x = (Math.round(i * mm * step * d) + 0.5) / d;
      c.moveTo(x, 0);
      c.lineTo(x, height);
    }
    for (let i = 0; i * mm * step <= height; i += 1) {
      const y = (Math.round(i * mm * step * d) + 0.5) / d;
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
  const ratio = dots();
  pattern?.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern ?? token("hatch");
}
