/** The header's alarm: the most urgent one, how many others; and the spoken announcements. */
import { byUrgency, glyph, look, title, unseen } from "./alarms.js";
import { h, setText } from "./dom.js";
import { inStep } from "./tile.js";
import { running, t } from "./words.js";

/** @typedef {import("./contract").Alarm} Alarm */

export class Banner {
  /** @param {HTMLElement} root @param {(alarm: Alarm) => void} open @param {(bed: string) => string} bedName */
  constructor(root, open, bedName) {
    this.root = root;
    this.open = open;
    this.bedName = bedName;
    this.key = "";
  }

  /** @param {Alarm[]} active the most urgent first @param {number} now hub's time, ms */
  show(active, now) {
    const [first, ...rest] = active;
    const second = [...rest].sort(byUrgency)[0];
    const key = first ? `${first.id} ${look(first)} ${unseen(first)} ${first.presence} ${second?.id} ${second && unseen(second)} ${rest.length}` : "quiet";
    if (key !== this.key) {
      this.key = key;
      if (!first) this.root.replaceChildren(h("p", { class: "quiet" }, t("ward.quiet")));
      else this.root.replaceChildren(this.lead(first), ...(second ? [this.others(second, rest.length)] : []));
      this.root.querySelectorAll(".flash").forEach((one) => inStep(/** @type {HTMLElement} */ (one)));
    }
    const when = this.root.querySelector(".age");
    if (first && when instanceof HTMLElement) setText(when, running(now - first.onset_ms));
  }

  /** @param {Alarm} alarm */
  lead(alarm) {
    const state = alarm.acknowledged ? t("alarm.banner_acknowledged", { who: alarm.acknowledged.by })
      : alarm.presence === "latched" ? t("alarm.banner_latched") : t("alarm.banner_open");
    return h("button", { class: `lead p-${look(alarm)}${unseen(alarm) ? " flash" : ""}`, type: "button", "data-alarm": alarm.id, onclick: () => this.open(alarm) },
      glyph(look(alarm)), h("span", { class: "what" }, t("alarm.title", { bed: this.bedName(alarm.bed), alarm: title(alarm) })),
      h("span", { class: "more" }, h("span", { class: "age" }), h("span", { class: "state-word" }, state), h("span", { class: "evidence-word" }, t("alarm.banner_evidence"))));
  }

  /** @param {Alarm} alarm the most urgent of them @param {number} n */
  others(alarm, n) {
    return h("button", { class: `others p-${look(alarm)}${unseen(alarm) ? " flash" : ""}`, type: "button", onclick: () => this.open(alarm) },
      glyph(look(alarm)), h("span", {}, t("alarm.others", { n })));
  }
}

/** Tells screen readers what changed: high alarms at once, the rest when there is a pause. */
export class Announcer {
  /** @param {HTMLElement} loud @param {HTMLElement} calm */
  constructor(loud, calm) {
    this.loud = loud;
    this.calm = calm;
  }

  /** @param {Alarm} alarm @param {Alarm | undefined} before @param {string} bed */
  tell(alarm, before, bed) {
    const words = { bed, alarm: title(alarm) };
    if (alarm.presence === "ended") {
      if (before && before.presence !== "ended") this.calm.textContent = t("alarm.announce_ended", words);
    } else if (alarm.acknowledged) {
      if (!before?.acknowledged) this.calm.textContent = t("alarm.announce_acknowledged", { ...words, who: alarm.acknowledged.by });
    } else if (!before || before.priority !== alarm.priority) {
      const place = look(alarm) === "high" ? this.loud : this.calm;
      place.textContent = t("alarm.announce", { ...words, priority: t(`alarm.priority.${look(alarm)}`) });
    }
  }
}
