/** One alarm on a page of its own, as opened from a link: the same sheet, kept fresh by asking; the keys of the ward page. */
import { title } from "./alarms.js";
import { data, meta } from "./dom.js";
import { Hub } from "./hub.js";
import { calibrationPanel, menuPanel } from "./panels.js";
import { printsWith } from "./printing.js";
import { AlarmSheet } from "./sheet.js";
import { date, speak, t } from "./words.js";

const REFRESH_MS = 5000;

speak();
const hub = new Hub();
const label = meta("bed-label");
const place = /** @type {HTMLElement} */ (document.getElementById("sheet"));
const sheet = new AlarmSheet(hub, { bedName: () => t("bed.name", { label }), changed: (alarm) => sheet.update(alarm), close: null });
const detail = /** @type {import("./contract").AlarmDetail} */ (data("alarm"));
/** @type {HTMLElement | null} */
let menu = null;

/** @param {HTMLElement | null} next the panel above the sheet, if any */
function show(next) {
  menu?.remove();
  menu = next;
  if (!next) return;
  place.prepend(next);
  next.focus();
}

function openMenu() {
  const close = () => show(null);
  const calibrate = () => show(calibrationPanel(close, () => sheet.evidence(false)));
  show(menuPanel({ close, calibrate }, [["a", "acknowledge"], ["w", "ward"], ["?", "question"], ["Esc", "escape"]]));
}

/** @param {KeyboardEvent} event */
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "a") void sheet.acknowledge();
  else if (event.key === "?") openMenu();
  else if (event.key === "Escape" && menu) show(null);
  else if (event.key === "w" || event.key === "Escape") location.assign(`/ward/${encodeURIComponent(meta("ward"))}`);
  else return;
  event.preventDefault();
}

place.append(sheet.root);
sheet.open(detail, detail);
printsWith({
  title: () => t("alarm.title", { bed: t("bed.name", { label }), alarm: title(detail) }),
  who: () => /** @type {import("./contract").Bed["who"]} */ (data("who")),
  when: () => t("print.alarm", { ward: meta("ward-name"), time: date(detail.onset_ms) }),
  now: () => hub.now(),
}, (printing) => sheet.print(printing));
document.getElementById("open-menu")?.addEventListener("click", openMenu);
addEventListener("keydown", key);
setInterval(() => sheet.tick(), 1000);
setInterval(() => {
  void hub.get(`/api/v1/alarms/${encodeURIComponent(detail.id)}`).then((alarm) => sheet.update(alarm), (error) => console.info("alarm not fetched", error));
}, REFRESH_MS);
document.documentElement.dataset.ready = "true";
