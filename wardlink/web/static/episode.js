/** An episode of rhythm in words: what it was, how long it lasted, how often, long and fast. */
import { age, t, term } from "./words.js";

/** @param {import("./contract").Episode & {at_ms: number}} entry @returns {string[]} */
export function episode(entry) {
  const { times, beats, beats_per_min: rate, pause_s: pause } = entry;
  return [
    term(entry.code).name,
    ...(entry.experimental ? [t("review.rhythm.experimental")] : []),
    ...(entry.until_ms !== null ? [t("review.lasted", { age: age(entry.until_ms - entry.at_ms) })] : [t(entry.goes_on ? "review.goes_on" : "review.rhythm.no_end")]),
    ...(times !== null && times > 1 ? [t("review.rhythm.times", { n: times })] : []),
    ...(beats !== null ? [t("review.rhythm.beats", { n: beats, rate: rate ?? "", known: rate === null ? "no" : "yes" })] : []),
    ...(pause !== null ? [t("review.rhythm.pause", { s: pause.toFixed(1) })] : []),
  ];
}
