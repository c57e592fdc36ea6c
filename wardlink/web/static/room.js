/** What the rooms share: times in the reader's language, `/` for the search, arrows through the rows, `?` for the keys. */

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
    if (keysOpen) showKeys(false);
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
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !typing) {
    const links = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("table[data-rows] a.first")]);
    const here = links.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const next = links[here < 0 ? 0 : here + (event.key === "ArrowDown" ? 1 : -1)];
    if (next) {
      next.focus();
      event.preventDefault();
    }
  }
}

if (document.querySelector("main")) {
  tellTimes();
  setInterval(tellTimes, EVERY_MS);
  addEventListener("keydown", key, { capture: true }); // before the page's own: Esc closes what is open first
  document.getElementById("open-keys")?.addEventListener("click", () => showKeys(document.getElementById("keys")?.hidden === true));
  document.getElementById("close-keys")?.addEventListener("click", () => showKeys(false));
}
