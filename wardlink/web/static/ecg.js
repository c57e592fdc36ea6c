/** The 12-lead view: draws the sheet, zooms it, leads to the earlier and later ECGs of the stay. The page's words are the server's. */
import { data, setText } from "./dom.js";
import { SHEET_MM, drawSheet } from "./ecg_paper.js";
import { pxPerMm } from "./paper.js";
import { printsWith } from "./printing.js";
import { date, speak, t } from "./words.js";

/** @typedef {import("./contract").Ecg} Ecg */

const ZOOMS = [0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4];

/** @param {string} id */
function el(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found;
}

class EcgPage {
  constructor() {
    speak();
    this.ecg = /** @type {Ecg} */ (data("ecg"));
    this.box = el("paper");
    this.svg = drawSheet(this.ecg, { label: t("ecg.sheet_label", { n: this.ecg.leads.length }), missing: t("ecg.lead_missing") });
    this.box.replaceChildren(this.svg);
    this.zoom = 1;
    /** Whether the reader has chosen a size. */
    this.chosen = false;
    this.fill();
    addEventListener("resize", () => !this.chosen && this.fill());
    el("zoom-in").addEventListener("click", () => this.step(1));
    el("zoom-out").addEventListener("click", () => this.step(-1));
    el("zoom-true").addEventListener("click", () => this.to(1));
    el("print").addEventListener("click", () => print());
    addEventListener("keydown", (event) => this.key(event));
    printsWith({
      title: () => `${t("ecg.title")} · ${t("bed.name", { label: this.ecg.bed })}`,
      who: () => this.ecg.who,
      when: () => t("print.recorded", { ward: this.ecg.ward.name, time: date(this.ecg.at_ms) }),
      now: () => Date.now(),
    }, () => undefined);
    document.documentElement.dataset.ready = "true";
  }

  /** True size first; larger where there is room, smaller never by itself: a square is 5 mm on the screen too. */
  fill() {
    const room = (this.box.parentElement?.clientWidth ?? 0) / (SHEET_MM.width * pxPerMm());
    this.zoom = ZOOMS.filter((one) => one >= 1 && one <= Math.min(room, 1.5)).at(-1) ?? 1;
    this.size();
  }

  size() {
    const mm = pxPerMm() * this.zoom;
    this.svg.setAttribute("width", String(SHEET_MM.width * mm));
    this.svg.setAttribute("height", String(SHEET_MM.height * mm));
    setText(el("zoom"), t("ecg.zoom_value", { percent: Math.round(this.zoom * 100) }));
  }

  /** @param {number} zoom */
  to(zoom) {
    this.chosen = true;
    const { scrollLeft, scrollWidth, clientWidth } = this.box;
    const middle = (scrollLeft + clientWidth / 2) / scrollWidth;
    this.zoom = zoom;
    this.size();
    this.box.scrollLeft = middle * this.box.scrollWidth - this.box.clientWidth / 2;
  }

  /** @param {1 | -1} by */
  step(by) {
    const at = ZOOMS.indexOf(this.zoom) + by;
    const next = ZOOMS[at];
    if (next !== undefined) this.to(next);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.ecg.others.findIndex((one) => one.id === this.ecg.id);
    const go = (/** @type {number} */ by) => {
      const other = this.ecg.others[at + by];
      if (other && at >= 0) location.assign(`/ecg/${other.id}`);
    };
    if (event.key === "+" || event.key === "=") this.step(1);
    else if (event.key === "-") this.step(-1);
    else if (event.key === "0") this.to(1);
    else if (event.key === "p") print();
    else if (event.key === "Escape" || event.key === "w") location.assign(`/ward/${encodeURIComponent(this.ecg.ward.id)}`);
    else if (event.key === ",") go(1);
    else if (event.key === ".") go(-1);
    else return;
    event.preventDefault();
  }
}

new EcgPage();
