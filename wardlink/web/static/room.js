/** What the rooms share: times in the reader's language, `/` for the search, arrows, Home and End through the rows, `?` for the keys, menus that close. */

const tag = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;
const relative = new Intl.RelativeTimeFormat(tag, { style: "short", numeric: "auto" });
const absolute = new Intl.DateTimeFormat(tag, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const EVERY_MS = 5000;

/** How long ago, in the largest unit that fits. @param {number} seconds */
export function ago(seconds) {
  const [unit, length] = STEPS.find(([, s]) => seconds >= s) ?? ["second", 1];
  return relative.format(-Math.floor(Math.max(0, seconds) / length), unit);
}

function tellTimes() {
  const now = Date.now();
  for (const one of /** @type {NodeListOf<HTMLTimeElement>} */ (document.querySelectorAll("time[data-ago], time[data-at]"))) {
    const moment = Date.parse(one.dateTime);
    const exact = absolute.format(moment);
    const isAge = one.dataset.ago !== undefined;
    one.textContent = isAge ? ago((now - moment) / 1000) : exact;
    if (isAge) one.title = exact;
  }
}

/** The sheet of the page's keys stands where the page's own side sheet is otherwise. @param {boolean} open */
function showKeys(open) {
  const keys = document.getElementById("keys");
  const button = document.getElementById("open-keys");
  if (!keys || !button) return;
  keys.hidden = !open;
  button.setAttribute("aria-expanded", String(open));
  for (const other of document.querySelectorAll(".side-sheet:not(#keys)")) /** @type {HTMLElement} */ (other).hidden = open;
  if (open) keys.focus();
  else button.focus();
}

/** Moves through the rows of the page's table, from the focused one, else from the one that is open. @param {string} key @returns {boolean} whether it is a key for that */
function moveTo(key) {
  const links = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("table[data-rows] a.first")]);
  const focused = links.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const here = focused < 0 ? links.findIndex((link) => link.closest("tr")?.getAttribute("aria-selected") === "true") : focused;
  const last = links.length - 1;
  /** @type {Record<string, number>} */
  const rows = { ArrowDown: here + 1, ArrowUp: Math.max(0, here - 1), Home: 0, End: last };
  const row = rows[key];
  if (row === undefined || last < 0) return false;
  links[Math.min(row, last)]?.focus();
  return true;
}

/** An open menu closes, and its button has the focus again. @returns {boolean} whether one was open */
function closeMenu() {
  const menu = /** @type {HTMLDetailsElement | null} */ (document.querySelector("details.menu[open]"));
  if (!menu) return false;
  menu.open = false;
  menu.querySelector("summary")?.focus();
  return true;
}

/** @param {KeyboardEvent} event */
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const keysOpen = document.getElementById("keys")?.hidden === false;
  if (event.key === "Escape") {
    if (event.target instanceof HTMLInputElement && event.target.dataset.slash !== undefined) {
      event.target.blur();
      event.stopImmediatePropagation();
      event.preventDefault(); // what was typed stays: the list is of it
      return;
    }
    const closing = /** @type {HTMLElement | null} */ (document.querySelector(".side-sheet:not([hidden]) [data-close]"));
    if (closeMenu()) {
      // that was all
    } else if (keysOpen) showKeys(false);
    else if (closing) closing.click();
    else return;
    event.stopImmediatePropagation();
    event.preventDefault();
    return;
  }
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement || event.target instanceof HTMLTextAreaElement;
  if (event.key === "/" && !typing) {
    const search = /** @type {HTMLInputElement | null} */ (document.querySelector("[data-slash]"));
    search?.focus();
    search?.select();
    event.preventDefault();
  } else if (event.key === "?" && !typing) {
    showKeys(!keysOpen);
    event.preventDefault();
  } else if (!typing && moveTo(event.key)) event.preventDefault();
}

if (document.querySelector("main")) {
  tellTimes();
  setInterval(tellTimes, EVERY_MS);
  addEventListener("keydown", key, { capture: true }); // before the page's own: Esc closes what is open first
  addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(/** @type {Node} */ (event.target))) /** @type {HTMLDetailsElement} */ (menu).open = false;
  });
  document.getElementById("open-keys")?.addEventListener("click", () => showKeys(document.getElementById("keys")?.hidden === true));
  document.getElementById("close-keys")?.addEventListener("click", () => showKeys(false));
}
