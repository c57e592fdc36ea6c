/** The words of the page's language; the grammar of messages is that of wardlink/web/catalogue.py. */
import { data } from "./dom.js";

/** @typedef {import("./contract").Value} Value */
/** @typedef {{lang: string, tag: string, words: Record<string, string>, terms: Record<string, {name: string, short: string, category: import("./contract").Category}>}} Page */

/** @type {Page} */
let page = { lang: "en", tag: "en", words: {}, terms: {} };
let clockFormat = timeFormat("en-GB", true);
let shortFormat = timeFormat("en-GB", false);
let dateFormat = dateAndTime("en-GB");
let dayFormat = new Intl.DateTimeFormat("en-GB");

/** @param {string} tag @param {boolean} seconds */
function timeFormat(tag, seconds) {
  return new Intl.DateTimeFormat(tag, { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}), hourCycle: "h23" });
}

/** @param {string} tag */
function dateAndTime(tag) {
  return new Intl.DateTimeFormat(tag, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

/** Reads the catalogue that the server put into the page. @param {Page} [words] */
export function speak(words = data("words")) {
  page = words;
  clockFormat = timeFormat(page.tag, true);
  shortFormat = timeFormat(page.tag, false);
  dateFormat = dateAndTime(page.tag);
  dayFormat = new Intl.DateTimeFormat(page.tag, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

/** @param {string} key */
export function has(key) {
  return key in page.words;
}

/** @param {string} key @param {Record<string, Value>} [params] */
export function t(key, params = {}) {
  const message = page.words[key];
  if (message === undefined) throw new Error(`no text for ${key} in ${page.lang}`);
  return render(message, params, page.lang);
}

/** Name of a measurement, lead or alarm, and what an alarm about it is about. @param {string} code */
export function term(code) {
  return page.terms[code] ?? { name: code, short: "", category: /** @type {const} */ ("general") };
}

/** Time of day with seconds, as on the wall. @param {number} ms */
export function clock(ms) {
  return clockFormat.format(ms);
}

/** Time of day; with the date when it is not of today. @param {number} ms @param {number} now */
export function hour(ms, now) {
  return new Date(ms).toDateString() === new Date(now).toDateString() ? shortFormat.format(ms) : dayFormat.format(ms);
}

/** Date and time with seconds, for what is read on another day. @param {number} ms */
export function date(ms) {
  return dateFormat.format(ms);
}

/** Running time of an alarm: 0:07, 12:40, then in words. @param {number} ms */
export function running(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  return s < 3600 ? `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}` : age(ms);
}

/** A length of time in words. @param {number} ms */
export function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return t("time.seconds", { n: s });
  if (s < 3600) return t("time.minutes", { n: Math.floor(s / 60) });
  if (s < 86400) return t("time.hours", { h: Math.floor(s / 3600), m: Math.floor((s % 3600) / 60) });
  return t("time.days", { n: Math.floor(s / 86400) });
}

/** @param {string} unit UCUM */
export function unitName(unit) {
  return has(`unit.${unit}`) ? t(`unit.${unit}`) : unit;
}

/**
 * @param {string} message @param {Record<string, Value>} params @param {string} lang
 * @returns {string}
 */
export function render(message, params, lang) {
  let at = 0;
  /** @param {Value | null} number @returns {string} */
  function text(number) {
    let out = "";
    while (at < message.length && message[at] !== "}") {
      if (message[at] === "{") {
        at += 1;
        out += argument();
      } else {
        out += message[at] === "#" && number !== null ? String(number) : message[at];
        at += 1;
      }
    }
    return out;
  }
  /** @returns {string} */
  function argument() {
    const stop = message.slice(at).search(/[,}]/) + at;
    const name = message.slice(at, stop).trim();
    const value = params[name];
    if (value === undefined) throw new Error(`message "${message}": parameter ${name} is missing`);
    at = stop + 1;
    if (message[stop] === "}") return String(value);
    const comma = message.indexOf(",", at);
    const kind = message.slice(at, comma).trim();
    at = comma + 1;
    /** @type {Record<string, string>} */
    const branches = {};
    while (message[at] !== "}") {
      if (/\s/.test(message[at] ?? "}")) {
        at += 1;
        continue;
      }
      const brace = message.indexOf("{", at);
      if (brace < 0) throw new Error(`message "${message}": a branch of ${name} has no text`);
      const label = message.slice(at, brace).trim();
      at = brace + 1;
      branches[label] = text(kind === "plural" ? value : null);
      at += 1;
    }
    at += 1;
    const wanted = kind === "select" ? [String(value)] : [`=${value}`, lang === "en" && value === 1 ? "one" : "other"];
    for (const label of [...wanted, "other"]) {
      const branch = branches[label];
      if (branch !== undefined) return branch;
    }
    throw new Error(`message "${message}": ${name} has no branch other`);
  }
  return text(null);
}
