/** The ward page: puts beds, alarms, sound and the connections to the hub together. One animation loop draws all beds. */
import { Alarms, heard, next, title, unseen } from "./alarms.js";
import { Announcer, Banner } from "./banner.js";
import { data, h, icon, meta, PATHS, setText } from "./dom.js";
import { EventStream } from "./events.js";
import { Hub, Refused } from "./hub.js";
import { arrange, place } from "./layout.js";
import { calibrationPanel, fillPages, findBar, menuPanel } from "./panels.js";
import { answers } from "./pinyin.js";
import { AlarmSheet } from "./sheet.js";
import { Presence } from "./presence.js";
import { Sound } from "./sound.js";
import { Standby } from "./standby.js";
import { inStep, Tile } from "./tile.js";
import { socketAddress, Waves } from "./waves.js";
import { clock, speak, t } from "./words.js";

/** @typedef {import("./contract").Alarm} Alarm @typedef {import("./contract").Snapshot} Snapshot */

const TICK_MS = 250;
/** The whole state is fetched this often besides the stream: it measures the hub's answer and would mend anything missed. */
const SNAPSHOT_MS = 15000;
const SLOW_MS = 1000;
const DIGITS_MS = 700;
const PAINTED_EVERY_MS = 2000;
const MANY_BEDS = 24;
/** A little more than thirty times a second. */
const MANY_EVERY_MS = 32;
/** Frames come late from the one on, in time again below the other; sixty a second are 16.7 ms apart. One long one, as of a hidden page, is no sign. */
const LATE_FRAMES_MS = 22;
const TIMELY_FRAMES_MS = 18;
const LONG_FRAME_MS = 100;
const FRAMES_WEIGHED = 60;

export class WardPage {
  constructor() {
    speak();
    this.ward = meta("ward");
    this.wardName = meta("ward-name");
    /** To a gateway, when this is its own page. */
    this.ticket = meta("ticket");
    this.hub = new Hub("", () => this.ticket);
    this.alarms = new Alarms();
    /** @type {Map<string, Tile>} */
    this.tiles = new Map();
    /** @type {Map<number, Tile>} */
    this.byKey = new Map();
    /** Of the hub's database. @type {string | undefined} */
    this.history = undefined;
    this.opened = Date.now();
    /** @type {Set<string>} */
    this.painted = new Set();
    /** When alarms were painted that the hub has not heard so of. @type {Map<string, number>} */
    this.unconfirmed = new Map();
    this.beds = el("beds");
    this.room = el("room");
    this.banner = new Banner(el("banner"), (alarm) => this.open(alarm), (bed) => this.bedName(bed));
    this.announcer = new Announcer(el("loud"), el("calm"));
    this.presence = this.ticket ? null : new Presence(this.hub, this.ward);
    this.sound = new Sound((state) => this.tellSound(state));
    const at = () => this.desk();
    this.sheet = new AlarmSheet({ now: () => this.hub.now(), get: (path) => at().get(path), post: (path, body) => at().post(path, body) }, { bedName: (bed) => this.bedName(bed), changed: (alarm) => (at() === this.hub ? this.changed(alarm, null) : this.takeOwn([alarm])), close: () => this.closeSide() });
    /** @type {HTMLElement | null} */
    this.side = null;
    /** How characters on this page are read. @type {Record<string, string[]>} */
    this.spelt = {};
    this.picked = "";
    this.digits = "";
    this.digitsAt = 0;
    this.paintedAt = 0;
    this.drawAt = 0;
    this.loopedAt = 0;
    /** How far apart frames come, on average. */
    this.frameMs = TIMELY_FRAMES_MS;
    this.slow = false;
    this.notice = "";
    this.waves = new Waves(() => socketAddress(`/ws/ward/${encodeURIComponent(this.ward)}`), (frame) => this.byKey.get(frame.bed)?.take(frame, performance.now()), () => undefined,
      () => (this.ticket ? ["wardlink", `ticket.${this.ticket}`] : []));
    this.stream = new EventStream(`/sse/ward/${encodeURIComponent(this.ward)}`, {
      message: (message) => this.message(message),
      heard: () => this.hub.heard(),
      refused: (status) => this.refused(status),
      lastId: () => (this.alarms.lastEvent === null ? null : String(this.alarms.lastEvent)),
      headers: () => this.hub.credentials(),
    });
    this.ownPages = h("section", { hidden: "" });
    this.standby = new Standby(this.hub, this.ward, {
      bed: (id) => this.tiles.get(id)?.bed,
      beds: () => [...this.tiles.keys()],
      newest: (id) => this.tiles.get(id)?.playout.newest ?? NaN,
      describe: (bed, own) => this.describe(bed, own),
      frame: (id, frame) => this.tiles.get(id)?.take(frame, performance.now()),
      numeric: (id, numeric) => this.tiles.get(id)?.numeric(numeric),
      link: (id, link) => this.relink(id, link),
      alarms: (alarms) => this.takeOwn(alarms),
      takenOver: (beds) => this.alarms.takenOver(beds),
      left: (beds) => this.alarms.forgetOwn(beds),
      learnt: (pages) => fillPages(this.ownPages, pages),
    });
  }

  /** Whether the hub is gone: silent for long, or its door is closed. */
  get away() {
    return this.hub.lost || (this.stream.failures > 1 && this.hub.silentFor > 1000);
  }

  /** Whom the open sheet asks: the gateway while the hub is away, or does not know the alarm yet. @returns {Hub} */
  desk() {
    const alarm = this.sheet.alarm;
    const gateway = this.standby.of(alarm?.bed);
    return gateway && alarm && (this.away || !this.alarms.ofHub.has(alarm.id)) ? gateway.hub : this.hub;
  }

  /** A gateway describes a bed: what only the hub knows stays. @param {import("./contract").Bed} bed @param {import("./contract").Bed} own */
  describe(bed, own) {
    const leads = bed.leads.length ? bed.leads : own.leads;
    const newer = own.numerics.filter((one) => (bed.numerics.find((old) => old.code === one.code)?.at_ms ?? 0) < one.at_ms);
    const numerics = [...bed.numerics.filter((old) => !newer.some((one) => one.code === old.code)), ...newer];
    this.tiles.get(bed.id)?.update({ ...bed, leads, numerics });
    this.relink(bed.id, own.link);
  }

  /** A gateway tells of a link; while the hub is there it is the hub that counts. @param {string} id @param {import("./contract").Link} link */
  relink(id, link) {
    const tile = this.tiles.get(id);
    if (tile && this.away) tile.bed.link = link;
  }

  /** Alarms that a gateway tells itself. @param {Alarm[]} alarms */
  takeOwn(alarms) {
    for (const one of alarms) {
      const { before, alarm } = this.alarms.takeOwn(one);
      this.tell(alarm, before);
    }
    this.tick();
  }

  async start() {
    const snapshot = /** @type {Snapshot | null} */ (data("snapshot"));
    if (snapshot) {
      // How long the page was on its way is not known: a later answer tells the hub's clock better.
      this.hub.setClock(snapshot.now_ms, 2000);
      this.take(snapshot);
    }
    new ResizeObserver(() => this.arrange()).observe(this.beds);
    this.listen();
    this.tick();
    setInterval(() => this.tick(), TICK_MS);
    requestAnimationFrame((now) => this.loop(now));
    void this.stream.run();
    this.waves.open();
    await this.refresh();
    setInterval(() => void this.refresh(), SNAPSHOT_MS);
    if (!this.ticket) await this.standby.learn();
  }

  /** Fetches the whole state. */
  async refresh() {
    try {
      this.take(/** @type {Snapshot} */ (await this.hub.get(`/api/v1/ward/${encodeURIComponent(this.ward)}`)));
    } catch (error) {
      if (error instanceof Refused) this.refused(error.status);
      else console.info("ward not fetched", error);
    }
  }

  /** @param {number} status */
  refused(status) {
    if (status === 401 || status === 403) this.hub.signedOut = true;
    // "Last-Event-ID" that the hub no longer knows
    if (status === 410 || status === 409) void this.refresh();
  }

  /** @param {Snapshot} snapshot */
  take(snapshot) {
    this.spelt = snapshot.spelt ?? {}; // a gateway knows no pinyin
    if (snapshot.gateway) document.dispatchEvent(new CustomEvent("gateway", { detail: snapshot.gateway }));
    const beds = this.mine(snapshot.beds);
    const ids = beds.map((bed) => bed.id).join();
    if (ids !== [...this.tiles.keys()].join() || !document.documentElement.dataset.ready) this.build(beds);
    this.byKey = new Map(beds.map((bed) => [bed.key, /** @type {Tile} */ (this.tiles.get(bed.id))]));
    for (const bed of beds) {
      this.tiles.get(bed.id)?.update(bed);
    }
    const before = new Map(this.alarms.byId);
    const last = snapshot.last_event_id === null ? null : Number(snapshot.last_event_id);
    if (this.alarms.replace(snapshot.alarms, last)) {
      for (const alarm of this.alarms.byId.values()) this.tell(alarm, before.get(alarm.id));
    }
    this.tick();
  }

  /** The beds that this page shows. @param {import("./contract").Bed[]} beds */
  mine(beds) {
    return beds;
  }

  /** Where a bed's own page is; "" where a tile leads nowhere. @param {string} bed */
  addressOf(bed) {
    // A gateway has no pages of beds.
    return this.ticket ? "" : `/ward/${encodeURIComponent(this.ward)}/bed/${encodeURIComponent(bed)}`;
  }

  /** @param {import("./contract").Bed[]} beds */
  build(beds) {
    const old = this.tiles;
    this.tiles = new Map(beds.map((bed) => [bed.id, old.get(bed.id) ?? new Tile(bed, { open: (alarm) => this.open(alarm), pick: (id) => this.enter(id), get: (path) => this.hub.get(path), since: this.opened, address: this.addressOf(bed.id) })]));
    if (beds.length) this.beds.replaceChildren(...[...this.tiles.values()].map((tile) => tile.root));
    else this.beds.replaceChildren(h("div", { class: "void" }, h("h2", {}, t("ward.empty_title")), h("p", {}, t("ward.empty_how"))));
    setText(el("count"), t("ward.beds", { n: beds.length }));
    this.arrange();
  }

  arrange() {
    const roots = [...this.tiles.values()].map((tile) => tile.root);
    const style = getComputedStyle(this.beds);
    const phone = innerWidth < 700;
    place(this.beds, roots, arrange(roots.length, phone ? innerWidth : this.beds.clientWidth - 2 * parseFloat(style.paddingLeft), this.beds.clientHeight));
  }

  /** @param {import("./events.js").Message} message */
  message({ event, data: text, id }) {
    const content = text ? JSON.parse(text) : {};
    if (event === "alarm") this.changed(content, id === null ? null : Number(id));
    else if (event === "numeric") {
      this.tiles.get(content.bed)?.numeric(content);
      return; // written with the next tick: 64 beds send hundreds of numbers a second
    } else if (event === "link") {
      const tile = this.tiles.get(content.bed);
      if (tile) tile.bed.link = content.link;
      return;
    } else if (event === "reset") {
      this.alarms.lastEvent = null;
      void this.refresh();
    } else if (event === "hello") {
      this.hub.setClock(content.now_ms, 1000);
      // A hub that was restored from a backup counts its events from farther back.
      const last = content.last_event_id === null ? null : Number(content.last_event_id);
      if (last !== null && this.alarms.lastEvent !== null && last < this.alarms.lastEvent) {
        this.alarms.lastEvent = null;
        void this.refresh();
      }
      // The page's scripts belong to one version of the hub.
      if (this.version && content.version && this.version !== content.version) location.reload();
      this.version = content.version;
      if (this.history && content.history && this.history !== content.history) this.beginAnew();
      else if (this.history && this.alarms.lastEvent === null) void this.refresh();
      this.history = content.history; // a gateway tells none
    }
    this.tick();
  }

  /** The hub's database was started again, perhaps as it once was: numbers of beds and events may be those of others now. */
  beginAnew() {
    this.alarms.lastEvent = null;
    this.byKey.clear(); // no frame is drawn until the beds have been told
    void this.refresh();
  }

  /** @param {Alarm} alarm @param {number | null} event */
  changed(alarm, event) {
    const taken = this.alarms.take(alarm, event);
    if (!taken) return;
    this.tell(taken.alarm, taken.before);
    this.tick();
  }

  /** Speaks, updates the open sheet and confirms the paint of an alarm. @param {Alarm} alarm @param {Alarm | undefined} before */
  tell(alarm, before) {
    if (before && JSON.stringify(before) === JSON.stringify(alarm)) return;
    this.announcer.tell(alarm, before, this.bedName(alarm.bed));
    this.sheet.update(alarm);
    if (alarm.presence !== "ended" && !this.painted.has(alarm.id)) {
      this.painted.add(alarm.id);
      // The second frame begins after the first one's paint.
      requestAnimationFrame(() => requestAnimationFrame(() => {
        this.unconfirmed.set(alarm.id, this.hub.now());
        this.confirmAll();
      }));
    }
  }

  /** Tells the hub what was painted when. What only a gateway has told of yet waits until the hub knows of it. */
  confirmAll() {
    for (const [id, at] of this.unconfirmed) {
      if (!this.alarms.ofHub.has(id)) continue;
      this.unconfirmed.delete(id);
      void this.confirm(id, at);
    }
  }

  /** @param {string} id @param {number} at */
  async confirm(id, at) {
    try {
      await this.hub.post(`/api/v1/alarms/${encodeURIComponent(id)}/shown`, { painted_ms: Math.round(at) });
    } catch (error) {
      if (error instanceof Refused) console.info("hop not recorded", error);
      else setTimeout(() => this.unconfirmed.set(id, at), 3000);
    }
  }

  /** @param {number} now */
  loop(now) {
    let newest = -1;
    // On a wall of many beds, or where the frames come late, the strips move with every second frame or so: at 25 mm/s hardly
    // anybody sees it, and it halves what is painted.
    this.frameMs += (Math.min(now - this.loopedAt, LONG_FRAME_MS) - this.frameMs) / FRAMES_WEIGHED;
    this.loopedAt = now;
    this.slow = this.frameMs > (this.slow ? TIMELY_FRAMES_MS : LATE_FRAMES_MS);
    const every = this.slow || this.tiles.size > MANY_BEDS ? MANY_EVERY_MS : 0;
    const due = now >= this.drawAt;
    if (due) this.drawAt = Math.max(this.drawAt + every, now - every);
    if (due) for (const tile of this.tiles.values()) newest = Math.max(newest, tile.draw(now)?.number ?? -1);
    if (newest >= 0 && now - this.paintedAt > PAINTED_EVERY_MS) {
      this.paintedAt = now;
      this.waves.painted(newest, this.hub.now());
    }
    requestAnimationFrame((next) => this.loop(next));
  }

  /** Everything that is not waveform. */
  tick() {
    const now = this.hub.now();
    const mono = performance.now();
    this.standby.tick(this.away);
    this.confirmAll();
    const hubLost = this.hub.lost;
    const active = this.alarms.active;
    for (const [id, tile] of this.tiles) tile.show(active.filter((alarm) => alarm.bed === id), this.alarms.history(id), { now, mono, hubLost: hubLost && !this.standby.of(id) });
    this.banner.show(active, now);
    this.sheet.tick();
    this.sound.want(heard(active));
    this.beds.querySelectorAll(".num.flash").forEach((one) => inStep(/** @type {HTMLElement} */ (one)));
    setText(el("clock"), clock(now));
    this.tellHub(hubLost || (this.away && this.standby.over.length > 0));
    const first = active[0];
    document.title = first ? t("ward.page_title_alarm", { bed: this.bedName(first.bed), alarm: title(first), ward: this.wardName }) : t("ward.page_title", { ward: this.wardName });
    document.documentElement.dataset.ready = this.tiles.size ? "true" : "empty";
  }

  /** @param {boolean} lost */
  tellHub(lost) {
    const dot = el("hub-dot");
    dot.className = `dot${lost ? " lost" : this.hub.latency > SLOW_MS ? " slow" : ""}`;
    setText(el("latency"), Number.isNaN(this.hub.latency) ? t("hub.connecting") : t(this.ticket ? "local.latency" : "hub.latency", { ms: lost ? "–" : Math.max(1, Math.round(this.hub.latency)) }));
    const over = this.standby.over.map((source) => source.page.name).join(", ");
    const what = this.hub.signedOut ? "out" : over && this.away ? `over ${over}` : lost ? "lost" : over ? `apart ${over}` : "";
    if (what === this.notice) return;
    if (!what && (this.notice === "lost" || this.notice.startsWith("over"))) {
      el("calm").textContent = t("hub.back");
      void this.refresh();
    }
    this.notice = what;
    const bar = el("notice");
    bar.hidden = !what;
    bar.classList.toggle("over", over !== "");
    if (what === "out" && this.ticket) bar.replaceChildren(h("b", {}, t("local.ticket_expired")), h("span", {}, t("local.door_how")));
    else if (what === "out") bar.replaceChildren(h("b", {}, t("hub.signed_out")), h("a", { href: `/sign-in?next=${encodeURIComponent(location.pathname)}` }, t("nav.to_sign_in")));
    if (over && what !== "out") {
      const words = { time: clock(this.hub.lostSince), gateways: over };
      bar.replaceChildren(h("b", {}, t(this.away ? "hub.over" : "hub.apart", words)), h("span", {}, t("hub.over_how")));
    } else if (what === "lost") {
      bar.replaceChildren(h("b", {}, t(this.ticket ? "local.lost" : "hub.lost", { time: clock(this.hub.lostSince) })), h("span", {}, t("hub.lost_how")));
    }
  }

  /** @param {"on" | "off" | "none"} state */
  tellSound(state) {
    this.presence?.tell(state);
    const button = el("sound");
    button.className = `tool sound-${state}`;
    button.title = state === "on" ? t("sound.on_title") : t("sound.off_title");
    button.replaceChildren(icon(state === "on" ? PATHS.sound : PATHS.mute), h("span", { class: "word" }, t(`sound.${state}`)));
  }

  /** @param {string} bed */
  bedName(bed) {
    return t("bed.name", { label: this.tiles.get(bed)?.bed.label ?? bed });
  }

  /** @param {Alarm} alarm */
  open(alarm) {
    this.pick(alarm.bed, false);
    this.sheet.open(this.alarms.byId.get(alarm.id) ?? alarm);
    this.show(this.sheet.root);
  }

  /** @param {HTMLElement} side */
  show(side) {
    if (this.side !== side) {
      if (!this.side) this.before = /** @type {HTMLElement | null} */ (document.activeElement);
      this.side?.remove();
      this.side = side;
      this.room.append(side);
    }
    side.focus({ preventScroll: true });
    if (innerWidth < 700) this.room.scrollTo({ top: 0 });
  }

  closeSide() {
    if (!this.side) return false;
    this.side.remove();
    this.side = null;
    this.sheet.close();
    this.before?.focus({ preventScroll: true });
    return true;
  }

  /** Opens a bed's own page. @param {string} id */
  enter(id) {
    const address = this.addressOf(id);
    if (address) location.assign(address);
  }

  /** @param {string} id @param {boolean} focus */
  pick(id, focus) {
    this.picked = id;
    for (const [bed, tile] of this.tiles) tile.root.classList.toggle("picked", bed === id && this.tiles.size > 1);
    const root = this.tiles.get(id)?.root;
    if (focus) root?.focus();
    root?.scrollIntoView({ block: "nearest" });
  }

  listen() {
    el("sound").addEventListener("click", () => void this.sound.test());
    el("open-menu").addEventListener("click", () => this.menu());
    el("open-find").addEventListener("click", () => this.find());
    addEventListener("keydown", (event) => this.key(event));
  }

  menu() {
    const close = () => this.closeSide();
    const relay = () => this.tiles.forEach((tile) => tile.layStrips());
    this.sheet.close();
    this.show(menuPanel({ close, calibrate: () => this.show(calibrationPanel(close, relay)), pages: this.ownPages }));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (!this.closeFind()) this.closeSide();
      return;
    }
    if (event.target instanceof HTMLTextAreaElement || (event.target instanceof HTMLInputElement && event.target.type !== "range")) return;
    const urgent = next(this.alarms.active, this.picked);
    if (/^\d$/.test(event.key)) this.digit(event.key);
    else if (event.key === "Enter" && event.target instanceof HTMLElement && event.target.classList.contains("bed")) {
      const still = event.target.dataset.shape === "ecg" ? event.target.querySelector("a.still") : null;
      if (still instanceof HTMLAnchorElement) still.click();
      else this.enter(event.target.dataset.bed ?? "");
    }
    else if (event.key === "a") {
      const seen = this.side === this.sheet.root && !!this.sheet.alarm?.acknowledged;
      if (this.side === this.sheet.root && !(seen && urgent && unseen(urgent))) void this.sheet.acknowledge();
      else if (urgent) this.open(urgent);
    } else if (event.key === "/") this.find();
    else if (event.key === "?") this.menu();
    else if (!this.ownKey(event.key)) return;
    event.preventDefault();
  }

  /** A key that only this page knows. @param {string} _key @returns {boolean} */
  ownKey(_key) {
    return false;
  }

  /** Digits that follow each other quickly are one number. @param {string} digit */
  digit(digit) {
    const now = performance.now();
    this.digits = now - this.digitsAt < DIGITS_MS ? this.digits + digit : digit;
    this.digitsAt = now;
    const find = (/** @type {string} */ text) => [...this.tiles.values()].find((tile) => tile.bed.label === text || tile.bed.label.replace(/^\D+/, "") === text);
    const tile = find(this.digits) ?? find(digit);
    if (tile) this.pick(tile.bed.id, true);
  }

  find() {
    if (!this.finder) {
      this.finder = findBar({
        typed: (text) => this.mark(text),
        chosen: () => this.chosen(),
        close: () => this.closeFind(),
      });
      el("room").before(this.finder.root);
    }
    this.finder.input.focus();
  }

  /** Enter in the search: picks the first bed that matches. */
  chosen() {
    const first = [...this.tiles.values()].find((tile) => tile.root.classList.contains("found"));
    this.closeFind();
    if (first) this.pick(first.bed.id, true);
  }

  /** Whether a bed is what was typed: by its number, its patient or an alarm. @param {import("./contract").Bed} bed @param {string} text */
  matches(bed, text) {
    return answers([bed.label, bed.who?.masked_name ?? "", ...this.alarms.of(bed.id).map(title)].join(" "), text, this.spelt);
  }

  /** Marks the beds that match; the others stay as they are, for one of them may be alarming. @param {string} text */
  mark(text) {
    let found = 0;
    for (const tile of this.tiles.values()) {
      const match = this.matches(tile.bed, text);
      found += Number(match);
      tile.root.classList.toggle("found", match);
    }
    if (this.finder) this.finder.none.textContent = found || !text.trim() ? "" : t("search.none");
  }

  closeFind() {
    if (!this.finder) return false;
    this.finder.root.remove();
    this.finder = undefined;
    this.mark("");
    return true;
  }
}

/** @param {string} id */
export function el(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found;
}

if (!meta("bed")) void new WardPage().start();
