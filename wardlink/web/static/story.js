/** What happened to the patient, at the side of the bed page: time-line of everything, alarms alone, devices; and writing a note. */
import { glyph, look, title, toldApart } from "./alarms.js";
import { PATHS, h, icon } from "./dom.js";
import { doubted } from "./doubted.js";
import { episode } from "./episode.js";
import { Refused } from "./hub.js";
import { age, clock, hour, t, unitName } from "./words.js";

/** @typedef {import("./contract").Past} Past @typedef {import("./contract").Entry} Entry @typedef {import("./contract").BedDetail} Detail */

const TABS = /** @type {const} */ (["timeline", "alarms", "devices"]);
const EVERY_MS = 30000;
const AGAIN_MS = 3000;
/** An alarm that reached the hub this long after it was recognised was late: both times are told. */
const LATE_MS = 3000;
const ORDER = ["MDC_ECG_HEART_RATE", "MDC_PULS_OXIM_SAT_O2", "MDC_PULS_OXIM_PULS_RATE", "MDC_TTHOR_RESP_RATE", "MDC_PRESS_BLD_NONINV_SYS", "MDC_PRESS_BLD_NONINV_DIA", "MDC_PRESS_BLD_NONINV_MEAN", "MDC_TEMP_BODY"];
const KINDS = {
  vital_signs: "M3 13h4l2-6 4 12 3-8 1.5 2H21",
  posture: "M4 17h16M6 17v-5a3 3 0 0 1 3-3h9v8M5 8a2 2 0 1 0 .1 0",
  doubted: "M3 12h4l2-5 3 10 2-5h7M5 20h14",
  rhythm: "M2 13h3l2-8 3 14 2-9 2 3h8",
  note: "M5 19l1-4L16 5l3 3L9 18z",
};

export class Story {
  /**
   * @param {import("./hub.js").Hub} hub @param {Detail} detail
   * @param {{look: (ms: number, alarm: Past | null) => void, open: (alarm: Past) => void}} on
   */
  constructor(hub, detail, on) {
    this.hub = hub;
    this.detail = detail;
    this.on = on;
    /** @type {number | undefined} */
    this.again = undefined;
    /** @type {typeof TABS[number]} */
    this.tab = detail.may.timeline ? "timeline" : "alarms";
    const tabs = TABS.filter((name) => name !== "timeline" || detail.may.timeline);
    this.tabs = tabs.map((name) => h("button", { class: "seg", type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "story-list", onclick: () => this.choose(name) }, t(`review.tab.${name}`)));
    this.text = h("textarea", { id: "note", rows: "1", maxlength: "2000", placeholder: t("review.note_placeholder"), "aria-label": t("review.note"), oninput: () => this.tellNote() });
    this.send = h("button", { class: "plain main", type: "submit" }, t("review.note_save"));
    this.trouble = h("p", { class: "bad", role: "status" });
    this.form = h("form", { class: "note-form", hidden: !detail.may.note, onsubmit: (/** @type {Event} */ event) => void this.write(event) }, this.text, this.send, this.trouble);
    this.list = h("ol", { class: "happened" });
    this.panel = h("div", { class: "story-list", id: "story-list", role: "tabpanel", tabindex: "0" }, this.list);
    this.root = [h("div", { class: "segs", role: "tablist", "aria-label": t("review.story") }, ...this.tabs), this.form, this.panel];
    this.tellNote();
    setInterval(() => document.visibilityState === "visible" && void this.load(), EVERY_MS);
  }

  /** @param {typeof TABS[number]} tab */
  choose(tab) {
    this.tab = tab;
    this.list.replaceChildren(h("li", { class: "empty" }, t("review.loading")));
    void this.load();
  }

  note() {
    if (!this.detail.may.note) return;
    if (this.tab !== "timeline") this.choose("timeline");
    this.text.focus();
  }

  tellNote() {
    this.send.hidden = this.text.value.trim() === "";
    this.text.rows = this.send.hidden ? 1 : 3;
  }

  async load() {
    const tab = this.tab;
    for (const button of this.tabs) button.setAttribute("aria-selected", String(button.id === `tab-${tab}`));
    this.panel.setAttribute("aria-labelledby", `tab-${tab}`);
    this.form.hidden = tab !== "timeline" || !this.detail.may.note;
    try {
      const rows = await this.rows(tab);
      if (tab !== this.tab) return;
      const scrolled = this.panel.scrollTop;
      this.list.replaceChildren(...rows);
      this.panel.scrollTop = scrolled;
    } catch (error) {
      console.info("story not fetched", error);
      if (tab !== this.tab) return;
      clearTimeout(this.again);
      this.again = setTimeout(() => void this.load(), AGAIN_MS);
      if (!this.list.querySelector("li:not(.empty)")) this.list.replaceChildren(h("li", { class: "empty" }, t("review.failed")));
    }
  }

  /** @param {typeof TABS[number]} tab */
  async rows(tab) {
    const base = `/api/v1/beds/${this.detail.key}`;
    if (tab === "devices") {
      const { devices } = /** @type {Detail} */ (await this.hub.get(base));
      return devices.length ? devices.map((device) => this.device(device)) : [h("li", { class: "empty" }, t("review.no_devices"))];
    }
    if (tab === "alarms") {
      const { alarms } = /** @type {{alarms: Past[]}} */ (await this.hub.get(`${base}/alarms`));
      return alarms.length ? alarms.map((alarm) => this.alarm(alarm)) : [h("li", { class: "empty" }, t("review.no_alarms"))];
    }
    const { entries } = /** @type {{entries: Entry[]}} */ (await this.hub.get(`${base}/timeline`));
    return entries.length ? entries.map((entry) => this.entry(entry)) : [h("li", { class: "empty" }, t("review.no_entries"))];
  }

  /** @param {Entry} entry */
  entry(entry) {
    if (entry.kind === "alarm") return this.alarm(entry.alarm);
    const time = h("time", {}, hour(entry.at_ms, this.hub.now()));
    const mark = icon(KINDS[entry.kind], "kind");
    if (entry.kind === "note") return h("li", { class: "is-note" }, mark, h("div", {}, h("p", { class: "words" }, entry.note.text), h("small", {}, entry.note.by)), time);
    if (entry.kind === "doubted") {
      const [what, why] = doubted(entry);
      return h("li", {}, mark, h("div", {}, h("b", {}, what), h("small", {}, why)), time);
    }
    if (entry.kind === "rhythm") {
      const [what, ...more] = episode(entry);
      return h("li", {}, mark, h("div", {}, h("b", {}, what), h("small", {}, more.join(" · "))), time);
    }
    if (entry.kind === "posture") return h("li", {}, mark, h("div", {}, ...lying(entry)), time);
    const values = ordered(entry.values).map((one) => h("span", {}, h("b", {}, toldApart(one, entry.values)), ` ${decimals(one.mean)}`, one.min !== one.max && h("small", {}, ` ${t("numeric.limits", { low: decimals(one.min), high: decimals(one.max) })}`), ` ${unitName(one.unit)}`));
    return h("li", { class: "is-vital" }, mark, h("div", { class: "vitals" }, ...values), time);
  }

  /** @param {Past} alarm */
  alarm(alarm) {
    const now = this.hub.now();
    const ended = alarm.condition_ended_ms;
    const lasted = ended === null ? t("review.goes_on") : t("review.lasted", { age: age(ended - alarm.onset_ms) });
    const seen = alarm.acknowledged ? t("sheet.acknowledged", { who: alarm.acknowledged.by, time: clock(alarm.acknowledged.at_ms) }) : t("review.not_acknowledged");
    const late = alarm.stored_ms - alarm.detected_ms > LATE_MS;
    const came = new Date(alarm.stored_ms).toDateString() === new Date(now).toDateString() ? clock(alarm.stored_ms) : hour(alarm.stored_ms, now);
    return h("li", { class: `is-alarm t-${look(alarm)}` },
      h("button", { type: "button", class: "row-button", title: t("review.show_strip"), onclick: () => this.on.look(alarm.onset_ms, alarm) },
        glyph(look(alarm)), h("span", { class: "text" }, h("b", {}, title(alarm)), h("small", {}, lasted), h("small", {}, seen),
          late && h("small", { class: "late" }, t("review.late", { began: clock(alarm.onset_ms), came, age: age(alarm.stored_ms - alarm.detected_ms) }))),
        h("time", {}, hour(alarm.onset_ms, now))),
      h("button", { type: "button", class: "icon", "aria-label": t("review.evidence_of", { alarm: title(alarm) }), title: t("review.evidence"), onclick: () => this.on.open(alarm) }, icon(PATHS.search)));
  }

  /** @param {import("./contract").BedDevice} device */
  device(device) {
    const name = this.detail.may.ledger ? h("a", { href: `/devices/${device.id}` }, device.title) : h("b", {}, device.title);
    const seen = device.last_seen_ms === null ? t("review.never_seen") : t("review.seen", { age: age(this.hub.now() - device.last_seen_ms) });
    const battery = device.battery_percent === null ? null : h("small", { class: device.battery_low ? "low" : "" }, t("review.battery", { percent: Math.round(device.battery_percent) }));
    return h("li", { class: "is-device" }, h("span", { class: `lamp d-${device.state}` }), h("div", {}, name, h("small", {}, [device.name, device.gateway].filter(Boolean).join(" · ")), battery),
      h("span", { class: "device-state" }, h("b", {}, t(`review.device.${device.state}`)), h("small", {}, seen)));
  }

  /** @param {Event} event */
  async write(event) {
    event.preventDefault();
    const text = this.text.value.trim();
    if (!text || this.send.disabled) return;
    this.send.disabled = true;
    this.trouble.textContent = "";
    try {
      await this.hub.post(`/api/v1/beds/${this.detail.key}/notes`, { text });
      this.text.value = "";
      this.tellNote();
      await this.load();
    } catch (error) {
      this.trouble.textContent = error instanceof Refused ? t("sheet.refused", { reason: error.message }) : t("review.note_failed");
    } finally {
      this.send.disabled = false;
    }
  }
}

/** How the patient lies, by name where the sensor's axes on the body are known. @param {import("./contract").Posture} entry */
function lying(entry) {
  if (entry.posture === null || entry.before === null) return [h("b", {}, t("review.turned", { degrees: entry.degrees }))];
  return [h("b", {}, t(`review.posture.${entry.posture}`)), h("small", {}, t("review.posture_before", { before: t(`review.posture.${entry.before}`) }))];
}

/** In the order of the monitor's numbers, whatever their codes. @param {import("./contract").VitalSign[]} values */
function ordered(values) {
  const rank = (/** @type {string} */ code) => {
    const at = ORDER.indexOf(code);
    return at < 0 ? ORDER.length : at;
  };
  return [...values].sort((a, b) => rank(a.code) - rank(b.code));
}

/** @param {number} value */
function decimals(value) {
  return String(Number(value.toFixed(Math.abs(value) < 45 && value % 1 ? 1 : 0)));
}
