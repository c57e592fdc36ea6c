/** The smaller side sheets: keys, matching the screen. And the bar that finds a bed. */
import { PATHS, data, h, icon, meta } from "./dom.js";
import { CARD_MM, STANDARD_PX_PER_MM, keepPxPerMm, pxPerMm } from "./paper.js";
import { t } from "./words.js";

/** @param {string} title @param {() => void} close @param {...Node} body */
export function panel(title, close, ...body) {
  return h("aside", { class: "sheet", "aria-label": title, tabindex: "-1" },
    h("header", { class: "sheet-head" }, h("h2", {}, title), h("button", { class: "icon", type: "button", "aria-label": t("sheet.close"), onclick: close }, icon(PATHS.close))),
    h("div", { class: "panel-body" }, ...body));
}

/** Keys that every page with live beds knows: cap, words. @type {[string, string][]} */
const KEYS = [["1 … 64", "digits"], ["Enter", "enter"], ["a", "a"], ["/", "slash"], ["?", "question"], ["Esc", "escape"]];

/**
 * Keys, rooms, screen, language, the gateways' own pages, sign-out.
 * @param {{close: () => void, calibrate: () => void, pages?: HTMLElement}} on @param {[string, string][]} [rows] the page's own keys
 */
export function menuPanel(on, rows = KEYS) {
  const rooms = /** @type {{key: string, href: string}[]} */ (data("rail") ?? []);
  const other = document.documentElement.dataset.theme === "day" ? "night" : "day";
  const next = encodeURIComponent(location.pathname);
  const person = meta("person");
  return panel(t("menu.title"), on.close,
    h("h3", {}, t("keys.title")), h("dl", { class: "keys" }, ...rows.flatMap(([key, name]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, t(`keys.${name}`))])),
    ...(rooms.length ? [h("h3", {}, t("rail.label")), h("div", { class: "row" }, ...rooms.map((room) => h("a", { class: "plain", href: room.href }, t(`rail.${room.key}`))))] : []),
    h("h3", {}, t("menu.screen")), h("div", { class: "row" }, h("button", { class: "plain", type: "button", onclick: on.calibrate }, t("calibration.open")),
      h("a", { class: "plain", href: `/theme/${other}?next=${next}` }, t(`theme.to_${other}`)),
      ...["zh_Hans", "en"].map((lang) => h("a", { class: "plain", href: `/lang/${lang}?next=${next}`, lang: lang === "en" ? "en" : "zh-Hans" }, t(`language.${lang}`)))),
    ...(on.pages ? [on.pages] : []),
    ...(person ? [h("h3", {}, t("menu.person")), h("div", { class: "row" }, h("span", {}, person),
      h("a", { class: "plain", href: "/account" }, t("nav.account")), h("form", { method: "post", action: "/sign-out" }, h("input", { type: "hidden", name: "csrf", value: meta("csrf") }), h("button", { class: "plain", type: "submit" }, t("nav.sign_out"))))] : []));
}

/** Puts the links to the gateways' own pages into a section of the menu. @param {HTMLElement} section @param {import("./contract").GatewayPage[]} pages */
export function fillPages(section, pages) {
  section.hidden = !pages.length;
  section.replaceChildren(h("h3", {}, t("local.menu_title")), h("p", {}, t("local.menu_how")), h("div", { class: "row" },
    ...pages.map((page) => h("a", { class: "plain", href: `${page.origin}/#ticket=${page.ticket}`, target: "_blank", rel: "noopener" }, t("local.menu_link", { gateway: page.name })))));
}

/** @param {() => void} close @param {() => void} changed the paper has to be ruled afresh */
export function calibrationPanel(close, changed) {
  const card = h("div", { class: "bank" }, t("calibration.card"));
  const told = h("p", { role: "status" });
  const value = h("p", {});
  const slider = h("input", { type: "range", min: "2", max: "12", step: "0.01", "aria-label": t("calibration.slider"), oninput: () => show(Number(slider.value)) });
  /** @param {number} px */
  function show(px) {
    card.style.width = `${CARD_MM * px}px`;
    card.style.height = `${53.98 * px}px`;
    value.textContent = t("calibration.value", { px: px.toFixed(2) });
  }
  /** @param {number | null} px */
  function keep(px) {
    told.textContent = t(keepPxPerMm(px) ? "calibration.done" : "calibration.not_kept");
    changed();
  }
  slider.value = String(pxPerMm());
  show(pxPerMm());
  return panel(t("calibration.title"), close, h("p", {}, t("calibration.how")), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("calibration.card") }, card), slider, value,
    h("div", { class: "row" }, h("button", { class: "plain main", type: "button", onclick: () => keep(Number(slider.value)) }, t("calibration.save")),
      h("button", { class: "plain", type: "button", onclick: () => { slider.value = String(STANDARD_PX_PER_MM); show(STANDARD_PX_PER_MM); keep(null); } }, t("calibration.reset"))), told);
}

/** @param {{typed: (text: string) => void, chosen: () => void, close: () => void}} on */
export function findBar(on) {
  const input = h("input", {
    type: "search", id: "find", placeholder: t("search.placeholder"), "aria-label": t("search.label"), autocomplete: "off", oninput: () => on.typed(input.value),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter") on.chosen();
    },
  });
  const none = h("p", { role: "status" });
  const root = h("div", { class: "find-bar find", role: "search" }, input, none, h("button", { class: "icon", type: "button", "aria-label": t("sheet.close"), onclick: on.close }, icon(PATHS.close)));
  return { root, input, none };
}
