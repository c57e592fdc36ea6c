/** An alarm that a pulse spoke against, in words: that it was held back or raised all the same, and what the pulse said. */
import { t, term } from "./words.js";

/** @param {import("./contract").Doubted} entry @returns {[string, string]} */
export function doubted(entry) {
  const rate = entry.pulse_per_min;
  const why = entry.why.replace("pulse-", "").replaceAll("-", "_");
  return [
    t(entry.held ? "review.doubted.held" : "review.doubted.raised", { alarm: term(entry.alarm).name }),
    t("review.doubted.pulse", { why, rate: rate === null ? "" : Math.round(rate), known: rate === null ? "no" : "yes", of: entry.device === null ? "own" : "other", device: entry.device ?? "" }),
  ];
}
