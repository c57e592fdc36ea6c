/** One alarm on a page of its own, as opened from a link: the same sheet, kept fresh by asking. */
import { data, meta } from "./dom.js";
import { Hub } from "./hub.js";
import { AlarmSheet } from "./sheet.js";
import { speak, t } from "./words.js";

const REFRESH_MS = 5000;

speak();
const hub = new Hub();
const label = meta("bed-label");
const sheet = new AlarmSheet(hub, { bedName: () => t("bed.name", { label }), changed: (alarm) => sheet.update(alarm), close: null });
const detail = /** @type {import("./contract").AlarmDetail} */ (data("alarm"));
document.getElementById("sheet")?.append(sheet.root);
sheet.open(detail, detail);
setInterval(() => sheet.tick(), 1000);
setInterval(() => {
  void hub.get(`/api/v1/alarms/${encodeURIComponent(detail.id)}`).then((alarm) => sheet.update(alarm), (error) => console.info("alarm not fetched", error));
}, REFRESH_MS);
