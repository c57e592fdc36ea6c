/** The gateway's own page: takes the ticket from its address, builds the frame of the ward page, and lets that page begin. */
import { h, icon, meta, PATHS } from "./dom.js";
import { speak, t } from "./words.js";

const KEY = "wl_ticket";

/** The ticket of the address, which does not stay there, or the one of this tab. */
function ticket() {
  const given = new URLSearchParams(location.hash.slice(1)).get("ticket");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEY);
}

/** What a ticket says; the gateway checks it, this is only for words. @param {string | null} text @returns {{ward: string, ward_name?: string, name: string, exp: number} | null} */
function claims(text) {
  try {
    const body = (text ?? "").split(".")[1] ?? "";
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(body.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0))));
  } catch {
    return null;
  }
}

/** @param {string} name @param {string} content */
function setMeta(name, content) {
  document.head.append(h("meta", { name, content }));
}

/** @param {string} id @param {string} path @param {string} label */
function tool(id, path, label) {
  return h("button", { class: "tool", type: "button", id, "aria-label": label, title: label }, icon(path));
}

/** How the gateway's machine is: in words when something is short, else where the pointer rests. @param {import("./contract").Vitals} told */
function vitals(told) {
  const box = document.getElementById("vitals");
  if (!box) return;
  const line = t("vitals.line", { cpu: Math.round(told.cpu_percent ?? 0), memory: Math.round(told.memory_percent ?? 0), disk: Math.round(told.disk_percent ?? 0) });
  const warmth = told.temperature_c === undefined ? "" : ` · ${t("vitals.temperature", { degrees: Math.round(told.temperature_c) })}`;
  const short = told.warnings.map((what) => t(`vitals.short.${what}`, { percent: Math.round({ cpu: told.cpu_percent, memory: told.memory_percent, disk: told.disk_percent }[what] ?? 0) }));
  box.title = line + warmth;
  box.textContent = short.join(" · ");
  box.hidden = !short.length;
  const beside = document.getElementById("latency")?.parentElement;
  if (beside) beside.title = `${t("local.latency_title")} · ${line}${warmth}`;
}
document.addEventListener("gateway", (event) => vitals(/** @type {CustomEvent<import("./contract").Vitals>} */ (event).detail));

/** @param {string} why */
function closed(why) {
  const languages = ["zh_Hans", "en"].map((lang) => h("a", { href: `/lang/${lang}`, lang: lang === "en" ? "en" : "zh-Hans" }, t(`language.${lang}`)));
  document.body.replaceChildren(
    h("main", { class: "void local-door" }, h("h1", {}, t("local.door_title", { gateway: meta("gateway") })), h("p", {}, t(why)), h("p", {}, t("local.door_how")), h("p", { class: "row" }, ...languages)));
  document.documentElement.dataset.ready = "closed";
}

/** @param {{ward: string, ward_name?: string, name: string}} told */
function build(told) {
  setMeta("ward", told.ward);
  const name = told.ward_name || told.ward;
  setMeta("ward-name", name);
  setMeta("person", "");
  const words = document.getElementById("words");
  document.body.replaceChildren(
    h("a", { class: "skip", href: "#beds" }, t("nav.skip")),
    h("header", { class: "top" },
      h("div", { class: "place" }, h("h1", {}, name), h("span", { id: "count" })),
      h("div", { class: "banner", id: "banner" }),
      h("div", { class: "state" },
        h("span", { class: "fact vitals", id: "vitals", hidden: true }),
        h("span", { class: "fact", title: t("local.latency_title") }, h("span", { class: "dot", id: "hub-dot" }), h("span", { class: "latency-word", id: "latency" })),
        h("button", { class: "tool", type: "button", id: "sound", "aria-live": "polite" }),
        tool("open-find", PATHS.search, t("search.open")), tool("open-menu", "M4 7h16M4 12h16M4 17h16", t("menu.title")), h("time", { class: "clock", id: "clock" }))),
    h("div", { class: "notice", id: "notice", role: "alert", hidden: true }),
    h("div", { class: "room", id: "room" }, h("main", { class: "beds", id: "beds", "aria-label": t("ward.label"), tabindex: "-1" }, h("p", { class: "void" }, t("ward.loading")))),
    h("p", { class: "sr", id: "loud", role: "alert", "aria-live": "assertive" }), h("p", { class: "sr", id: "calm", role: "status", "aria-live": "polite" }));
  if (words) document.body.append(words);
}

speak();
const given = ticket();
const told = claims(given);
if (!given || !told) closed("local.no_ticket");
else if (told.exp * 1000 < Date.now()) closed("local.ticket_expired");
else {
  setMeta("ticket", given);
  build(told);
  await import("./ward.js");
}
