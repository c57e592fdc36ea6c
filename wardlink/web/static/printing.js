/** A printed page: a head that says whose it is, where, of when, and who printed it; the pictures are drawn for paper by their own modules. */
import { h, meta } from "./dom.js";
import { onPrint } from "./paper.js";
import { date, has, t } from "./words.js";

/**
 * @param {{title: () => string, who: () => import("./contract").Bed["who"], when: () => string, now: () => number}} of
 * @param {(printing: boolean) => void} draw the page's pictures
 */
export function printsWith({ title, who, when, now }, draw) {
  /** @type {HTMLElement | undefined} */
  let head;
  onPrint((printing) => {
    head?.remove();
    if (printing) {
      const by = meta("person");
      head = h("header", { class: "printed" }, h("h1", {}, title()), h("p", {}, h("b", {}, named(who())), h("span", {}, when())),
        h("p", { class: "by" }, by ? t("print.by", { time: date(now()), who: by }) : t("print.at", { time: date(now()) })));
      document.body.prepend(head);
    }
    draw(printing);
  });
}

/** @param {import("./contract").Bed["who"]} who */
function named(who) {
  if (!who) return t("print.nobody");
  const sex = who.sex ? (has(`bed.sex.${who.sex}`) ? t(`bed.sex.${who.sex}`) : who.sex) : "";
  return [who.masked_name, who.age === null ? "" : t("bed.years", { n: who.age }), sex].filter(Boolean).join(" · ");
}
