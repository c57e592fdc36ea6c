/** Finding Chinese names as people type them: by characters, pinyin without tones, or initials. The rule is that of hub/core/pinyin.py, which knows the readings. */

const TWO_LETTERS = ["zh", "ch", "sh"];

/** Small letters, narrow forms, ü as v, without spaces and the apostrophes that part syllables. @param {string} text */
function folded(text) {
  return text.normalize("NFKC").toLowerCase().replaceAll("ü", "v").replace(/[\s'’]/gu, "");
}

/** @param {string[]} text @param {string} typed @param {Record<string, string[]>} spelt */
function begins(text, typed, spelt) {
  let reached = new Set([0]);
  for (const char of text) {
    /** @type {Set<number>} */
    const further = new Set();
    const readings = spelt[char] ?? [];
    const ways = [char, ...readings, ...readings.map((one) => one.slice(0, 1)), ...readings.filter((one) => TWO_LETTERS.includes(one.slice(0, 2))).map((one) => one.slice(0, 2))];
    for (const at of reached) {
      const left = typed.slice(at);
      for (const way of ways) {
        if (way.startsWith(left)) return true;
        if (left.startsWith(way)) further.add(at + way.length);
      }
    }
    reached = further;
  }
  return false;
}

/** Whether a text has what was typed, anywhere in it. @param {string} text @param {string} typed @param {Record<string, string[]>} spelt readings of characters */
export function answers(text, typed, spelt) {
  const wanted = folded(typed);
  const chars = [...folded(text)];
  return wanted !== "" && chars.some((_, start) => begins(chars.slice(start), wanted, spelt));
}
