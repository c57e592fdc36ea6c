/** The newest resting ECG in a bed's tile: a still picture with its time and what the cart measured. It leads to the 12-lead view. */
import { h, setText } from "./dom.js";
import { drawStill } from "./ecg_paper.js";
import { pxPerMm } from "./paper.js";
import { hour, t, term, unitName } from "./words.js";

/** @typedef {import("./contract").EcgRef} EcgRef */

const LEAD = "MDC_ECG_ELEC_POTL_II";
/** What a nurse reads off a resting ECG, in the order of paper. */
export const SHOWN = ["MDC_ECG_HEART_RATE", "MDC_ECG_TIME_PD_PR", "MDC_ECG_TIME_PD_QRS", "MDC_ECG_TIME_PD_QT", "MDC_ECG_TIME_PD_QTc"];
const AGAIN_MS = 10000;

export class Still {
  /** @param {(path: string) => Promise<any>} get */
  constructor(get) {
    this.get = get;
    this.tag = h("span", { class: "tag" });
    this.where = h("span", { class: "sr" });
    this.picture = h("div", { class: "still-paper" });
    this.root = h("a", { class: "still", href: "#" }, this.tag, this.where, this.picture);
    this.measured = h("div", { class: "nums measured" });
    /** @type {EcgRef | null} */
    this.ref = null;
    /** @type {import("./contract").Ecg | null} */
    this.ecg = null;
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  /** Takes the newest one of the bed. @param {EcgRef} ref @param {string} bed its name */
  show(ref, bed) {
    if (ref.id === this.ref?.id) return;
    this.ref = ref;
    this.ecg = null;
    this.root.href = `/ecg/${ref.id}`;
    setText(this.where, t("ecg.open_of", { bed, time: hour(ref.at_ms, Date.now()) }));
    this.tag.replaceChildren(h("b", {}, t("ecg.title")), h("span", {}, hour(ref.at_ms, Date.now())), h("span", {}, t("ecg.recorded")));
    void this.fetch(ref);
  }

  /** The time with the date once it is of another day. @param {number} now */
  tick(now) {
    const said = this.tag.children[1];
    if (this.ref && said instanceof HTMLElement) setText(said, hour(this.ref.at_ms, now));
  }

  /** @param {EcgRef} ref */
  async fetch(ref) {
    try {
      const ecg = await this.get(`/api/v1/ecgs/${ref.id}?lead=${LEAD}`);
      if (ref !== this.ref) return;
      this.ecg = ecg;
    } catch (error) {
      console.info("ECG not fetched", error);
      setTimeout(() => ref === this.ref && void this.fetch(ref), AGAIN_MS);
      return;
    }
    this.draw();
    this.tell();
  }

  draw() {
    const lead = this.ecg?.leads[0];
    const { clientWidth: width, clientHeight: height } = this.picture;
    if (!this.ecg || !lead || width < 40 || height < 30) {
      this.picture.replaceChildren();
      return;
    }
    const mm = pxPerMm();
    this.picture.replaceChildren(drawStill(this.ecg, lead, width / mm, height / mm));
  }

  tell() {
    const worst = this.ecg?.critical?.[0];
    if (worst && this.tag.children.length === 3) {
      this.tag.append(h("b", { class: `critical ${worst.level}` }, `${t(`ecg.critical.${worst.level}`)} ${t(`ecg.critical.${worst.side}`, { what: term(worst.code).short, value: worst.value, bound: worst.bound, unit: unitName(worst.unit) })}`));
    }
    const found = new Map((this.ecg?.measurements ?? []).map((one) => [one.code, one]));
    // Each number bears its time: beside live tiles a number without one reads as live.
    const time = this.ref ? hour(this.ref.at_ms, Date.now()) : "";
    const boxes = SHOWN.filter((code) => found.has(code)).map((code) => {
      const one = /** @type {{value: number, unit: string}} */ (found.get(code));
      return h("div", { class: "num" }, h("div", { class: "box" },
        h("div", { class: "cap" }, h("span", { class: "name" }, term(code).short), h("span", { class: "unit" }, unitName(one.unit))),
        h("div", { class: "val" }, String(Math.round(one.value))), h("div", { class: "sub" }, h("span", { class: "note" }, time))));
    });
    this.measured.replaceChildren(...(boxes.length ? boxes : [h("p", { class: "nothing" }, t("ecg.not_measured"))]));
  }
}
