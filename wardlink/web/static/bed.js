/** The bed page: the ward page's live parts for one bed, larger; beneath them its past: trends, review strip, time-line, alarms, devices. */
import { data, h, meta } from "./dom.js";
import { limitsPanel } from "./limits.js";
import { menuPanel, calibrationPanel } from "./panels.js";
import { printsWith } from "./printing.js";
import { Review } from "./review.js";
import { Story } from "./story.js";
import { Trends } from "./trends.js";
import { WardPage, el } from "./ward.js";
import { t } from "./words.js";

/** @typedef {import("./contract").BedDetail} Detail */

const HOUR_MS = 3600000;
const PAGING = ["PageUp", "PageDown", "Home", "End"];
const STRIP_KEYS = [...PAGING, "ArrowLeft", "ArrowRight"];

class BedPage extends WardPage {
  constructor() {
    super();
    this.own = meta("bed");
    this.detail = /** @type {Detail} */ (data("detail"));
    /** @type {import("./contract").Bed[]} every bed of the ward: digits and the search lead there */
    this.others = [];
    /** @type {import("./contract").Bed | undefined} where the search leads */
    this.wanted = undefined;
    const { key, may } = this.detail;
    this.review = new Review(this.hub, key, this.detail.leads, { moved: (from, to) => this.trends.mark(from, to), closed: () => this.trends.mark(NaN, NaN) });
    this.trends = new Trends(this.hub, key, this.detail.measures, { pick: (ms) => this.review.open(ms), limits: () => this.tiles.get(this.own)?.bed.limits ?? [] });
    this.story = new Story(this.hub, this.detail, { look: (ms, alarm) => this.review.open(ms, alarm), open: (alarm) => this.open(alarm) });
    printsWith({
      title: () => t("review.page_title", { bed: this.tiles.get(this.own)?.bed.label ?? this.own, ward: meta("ward-name") }),
      who: () => this.tiles.get(this.own)?.bed.who ?? null,
      when: () => this.trends.stretch,
      now: () => this.hub.now(),
    }, (printing) => this.trends.print(printing, this.review.print(printing)));
    const acts = [
      may.limits && h("button", { class: "seg", type: "button", id: "open-limits", onclick: () => this.limits() }, t("limits.title")),
      may.admit && h("a", { class: "seg", href: `${location.pathname.replace(/\/$/, "")}/admit` }, t("review.patient_and_devices")),
    ];
    el("course").append(h("header", { class: "course-head" }, this.trends.ranges, h("div", { class: "segs acts-right" }, ...acts.filter((one) => one instanceof Node))), this.review.root, this.trends.body);
    el("story").append(...this.story.root);
  }

  /** @override */
  async start() {
    const started = super.start();
    void this.story.load();
    await this.trends.load();
    return started;
  }

  /** @override @param {import("./contract").Bed[]} beds */
  mine(beds) {
    this.others = beds;
    return beds.filter((bed) => bed.id === this.own);
  }

  /** Everything on this page asks by the bed's number. @override */
  beginAnew() {
    location.reload();
  }

  /** @override */
  addressOf() {
    return "";
  }

  /** The tile fills the room that it has. @override */
  arrange() {
    this.beds.style.gridTemplateColumns = "minmax(0, 1fr)";
    this.beds.style.gridAutoRows = "minmax(0, 1fr)";
  }

  /** @override @param {string} id @param {boolean} focus */
  pick(id, focus) {
    if (focus && id !== this.own) location.assign(super.addressOf(id));
    this.picked = this.own;
  }

  /** @override @param {string} digit */
  digit(digit) {
    const now = performance.now();
    this.digits = now - this.digitsAt < 700 ? this.digits + digit : digit;
    this.digitsAt = now;
    const typed = this.digits;
    // A second digit may follow: bed 1 is not left for while 12 is meant.
    setTimeout(() => {
      const bed = this.others.find(({ id }) => id === typed || id.replace(/^\D+/, "") === typed);
      if (this.digits === typed && bed && bed.id !== this.own) location.assign(super.addressOf(bed.id));
    }, 700);
  }

  /** There is one tile here: the search says to which bed of the ward it leads. @override @param {string} text */
  mark(text) {
    const typed = text.trim();
    this.wanted = this.others.find((bed) => bed.label === typed) ?? this.others.find((bed) => this.matches(bed, text));
    if (!this.finder) return;
    this.finder.none.textContent = this.wanted ? t("search.leads", { bed: t("bed.name", { label: this.wanted.label }) }) : typed ? t("search.none") : "";
  }

  /** @override */
  chosen() {
    const { wanted } = this;
    if (!wanted) return;
    this.closeFind();
    if (wanted.id !== this.own) location.assign(super.addressOf(wanted.id));
  }

  toWard() {
    location.assign(`/ward/${encodeURIComponent(this.ward)}`);
  }

  limits() {
    this.sheet.close();
    this.show(limitsPanel(this.hub, this.detail.key, { close: () => this.closeSide(), changed: () => void this.refresh().then(() => this.trends.draw()) }));
  }

  /** @override */
  menu() {
    const close = () => this.closeSide();
    const relay = () => {
      this.tiles.forEach((tile) => tile.layStrips());
      if (this.review.isOpen) void this.review.load();
    };
    this.sheet.close();
    this.show(menuPanel({ close, calibrate: () => this.show(calibrationPanel(close, relay)) }, [
      ["1 … 64", "digits_go"], ["a", "a"], ["/", "slash"], ...(this.detail.may.limits ? [/** @type {[string, string]} */ (["l", "limits"])] : []),
      ...(this.detail.may.note ? [/** @type {[string, string]} */ (["n", "note"])] : []), ["← →", "scrub"], ["PgUp PgDn", "scrub_hour"], ["Home End", "scrub_ends"], ["g", "go"],
      ["+ −", "zoom"], ["w", "ward"], ["?", "question"], ["Esc", "escape"],
    ]));
  }

  /** @override @param {KeyboardEvent} event */
  key(event) {
    if (event.key === "Escape" && !this.finder && !this.side && this.review.isOpen && !event.ctrlKey && !event.metaKey && !event.altKey) this.review.close();
    else if (!isForSheet(event)) super.key(event);
  }

  /** @override @param {string} key @returns {boolean} */
  ownKey(key) {
    if (key === "l" && this.detail.may.limits) this.limits();
    else if (key === "n" && this.detail.may.note) this.story.note();
    else if (key === "w") this.toWard();
    else if (key === "ArrowLeft" || key === "ArrowRight") {
      if (this.review.isOpen) this.review.scrub(key === "ArrowLeft" ? -0.8 : 0.8);
      else this.review.last();
    } else if (PAGING.includes(key) && this.review.isOpen) this.page(key);
    else if (key === "g") this.goTo();
    else if (key === "+" || key === "=" || key === "-") void this.trends.zoom(key === "-" ? 2 : 0.5);
    else return false;
    return true;
  }

  /** The strip of the past moved far. @param {string} key */
  page(key) {
    if (key === "Home") this.review.go(-Infinity);
    else if (key === "End") this.review.last();
    else this.review.go(this.review.at + (key === "PageUp" ? -HOUR_MS : HOUR_MS));
  }

  /** Into the field that says which moment is looked at. */
  goTo() {
    if (!this.review.isOpen) this.review.last();
    this.review.when.focus();
  }
}

/** Whether a key that moves the strip moves a side sheet or its slider instead, where the focus is. @param {KeyboardEvent} event */
function isForSheet(event) {
  return STRIP_KEYS.includes(event.key) && event.target instanceof Element && !!event.target.closest("aside.sheet");
}

void new BedPage().start();
