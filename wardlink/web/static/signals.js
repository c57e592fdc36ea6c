/** What the wave of a lead is, by its code: how it is drawn and in which colour. */

/** @param {string} code @returns {boolean} an ECG has a true gain and a low cut; anything else is fitted to its row */
export function isEcg(code) {
  return code === "" || code.startsWith("MDC_ECG_");
}

/** The token of its colour. @param {string} code @returns {"ecg" | "spo2" | "resp"} */
export function colourOf(code) {
  return isEcg(code) ? "ecg" : code.includes("PULS_OXIM") ? "spo2" : "resp";
}

/** From where to where a wave goes; NaN for holes. @param {Iterable<number>} values @returns {[number, number] | null} null without any */
export function extent(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return least <= most ? [least, most] : null;
}

/** Share of a row's height that a fitted wave takes. */
const FITTED = 0.84;

/**
 * Where a value of a fitted wave stands in its row, px from the row's top.
 * @param {number} value @param {[number, number]} between its least and most @param {number} high of the row, px
 */
export function fitted(value, [least, most], high) {
  return most > least ? high * (0.5 + FITTED * (0.5 - (value - least) / (most - least))) : high / 2;
}
