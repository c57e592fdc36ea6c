/**
 * Goes over to the gateways' own pages while the hub is away, and back, without a hole: a gateway is asked from where each strip
 * ends, and is left only when the hub shows the same beds live and knows every alarm that the gateway told.
 */
import { EventStream } from "./events.js";
import { Hub, Refused } from "./hub.js";
import { Waves } from "./waves.js";

/** @typedef {import("./contract").GatewayPage} GatewayPage @typedef {import("./contract").Snapshot} Snapshot @typedef {import("./contract").Alarm} Alarm */
/** @typedef {import("./contract").Bed} Bed @typedef {import("./contract").Frame} Frame */
/**
 * @typedef {object} Room what the page lets a gateway do
 * @property {(id: string) => Bed | undefined} bed as it is shown
 * @property {() => string[]} beds all that are shown
 * @property {(id: string) => number} newest time behind the newest sample that is shown, ms; not finite without any
 * @property {(bed: Bed, own: Bed) => void} describe `own` is the gateway's description
 * @property {(id: string, frame: Frame) => void} frame of a bed, with the lead's index as it is shown
 * @property {(id: string, numeric: import("./contract").Numeric) => void} numeric
 * @property {(id: string, link: import("./contract").Link) => void} link
 * @property {(alarms: Alarm[]) => void} alarms
 * @property {(beds: Set<string>) => boolean} takenOver whether the hub knows all that a gateway told of these beds
 * @property {(pages: GatewayPage[]) => void} learnt the hub has told where the gateways' pages are
 * @property {(beds: Set<string>) => void} left
 */

const LEARN_MS = 600000;
const AGAIN_MS = 2000;
/** A gateway tells the hub where its page is every 15 s; one that has none is asked for less and less often, as each answer is audited. */
const SOME_LACK_MS = 20000;
/** No more than a page keeps of a strip. */
const BACK_MS = 85000;
/** The hub shows these beds and still lacks something: after so long it is believed. */
const PATIENCE_MS = 120000;

/** One gateway's page, as long as this page is over there. */
class Source {
  /** @param {GatewayPage} page @param {string} ward @param {Room} room */
  constructor(page, ward, room) {
    this.page = page;
    this.room = room;
    this.path = encodeURIComponent(ward);
    this.hub = new Hub(page.origin, () => this.page.ticket);
    /** @type {Map<number, {id: string, leads: Map<number, number>}>} */
    this.beds = new Map();
    /** @type {number | null} */
    this.lastEvent = null;
    this.live = false;
    this.closed = false;
    this.stream = new EventStream(`${page.origin}/sse/ward/${this.path}`, {
      message: (message) => this.message(message),
      heard: () => this.hub.heard(),
      refused: () => undefined,
      lastId: () => (this.lastEvent === null ? null : String(this.lastEvent)),
      headers: () => this.hub.credentials(),
    });
    this.waves = new Waves(() => `ws${page.origin.slice(4)}/ws/ward/${this.path}?since_ms=${this.since()}`, (frame) => this.frame(frame), () => undefined,
      () => ["wardlink", `ticket.${this.page.ticket}`]);
  }

  /** From where on this page lacks samples of the gateway's beds, ms. */
  since() {
    const ends = this.page.beds.map((id) => this.room.newest(id)).filter((end) => Number.isFinite(end));
    const newest = Math.max(...ends, 0);
    return Math.floor(ends.length ? Math.max(Math.min(...ends), newest - BACK_MS) : 0);
  }

  /** @throws {Refused | TypeError} when the gateway does not answer */
  async open() {
    await this.refresh();
    if (this.closed) return;
    this.live = true;
    void this.stream.run();
    this.waves.open();
  }

  async refresh() {
    const snapshot = /** @type {Snapshot} */ (await this.hub.get(`/api/v1/ward/${this.path}`));
    if (this.closed) return;
    this.hub.heard();
    this.beds.clear();
    for (const own of snapshot.beds) {
      const bed = this.room.bed(own.id);
      if (!bed) continue;
      this.room.describe(bed, own);
      const shown = this.room.bed(own.id)?.leads ?? [];
      const leads = new Map(own.leads.map((lead) => [lead.index, sameLead(lead, shown)]));
      this.beds.set(own.key, { id: own.id, leads });
    }
    this.lastEvent = Number(snapshot.last_event_id);
    this.room.alarms(snapshot.alarms);
  }

  /** @param {Frame} frame */
  frame(frame) {
    const bed = this.beds.get(frame.bed);
    const lead = bed?.leads.get(frame.lead);
    // Its number counts on this gateway's connection; the hub is told of its own frames only.
    if (bed && lead !== undefined && lead >= 0) this.room.frame(bed.id, { ...frame, lead, number: -1 });
  }

  /** @param {import("./events.js").Message} message */
  message({ event, data: text, id }) {
    const content = text ? JSON.parse(text) : {};
    if (event === "alarm") {
      if (id !== null) this.lastEvent = Number(id);
      this.room.alarms([content]);
    } else if (event === "numeric") this.room.numeric(content.bed, content);
    else if (event === "link") this.room.link(content.bed, content.link);
    else if (event === "reset") void this.refresh().catch((error) => console.info("gateway's state not fetched", error));
  }

  close() {
    this.closed = true;
    this.live = false;
    this.stream.close();
    this.waves.close();
  }
}

export class Standby {
  /** @param {Hub} hub @param {string} ward @param {Room} room */
  constructor(hub, ward, room) {
    this.hub = hub;
    this.ward = ward;
    this.room = room;
    /** @type {Map<string, GatewayPage>} */
    this.pages = new Map();
    /** @type {Map<string, Source>} */
    this.sources = new Map();
    /** @type {Map<string, number>} */
    this.triedAt = new Map();
    /** @type {Map<string, number>} */
    this.backSince = new Map();
    this.againMs = SOME_LACK_MS;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.again = undefined;
  }

  /** Asks the hub now and then where the gateways' pages are, with a ticket for a shift to each. */
  async learn() {
    clearTimeout(this.again);
    let pauseMs = LEARN_MS;
    try {
      const { gateways } = await this.hub.get(`/api/v1/ward/${encodeURIComponent(this.ward)}/gateways`);
      this.pages = new Map(/** @type {GatewayPage[]} */ (gateways).map((page) => [page.name, page]));
      this.room.learnt([...this.pages.values()]);
      for (const [name, source] of this.sources) source.page = this.pages.get(name) ?? source.page;
      const told = new Set([...this.pages.values()].flatMap((page) => page.beds));
      if (this.pages.size && this.room.beds().every((id) => told.has(id))) this.againMs = SOME_LACK_MS;
      else [pauseMs, this.againMs] = [this.againMs, Math.min(2 * this.againMs, LEARN_MS)];
    } catch (error) {
      console.info("gateways' pages not learnt", error);
      if (!(error instanceof Refused)) pauseMs = 10 * AGAIN_MS;
    }
    clearTimeout(this.again); // another may have asked meanwhile
    this.again = setTimeout(() => void this.learn(), pauseMs);
  }

  /** Which gateways show beds here at this moment. */
  get over() {
    return [...this.sources.values()].filter((source) => source.live);
  }

  /** The gateway that shows a bed. @param {string | undefined} bed */
  of(bed) {
    return this.over.find((source) => bed !== undefined && source.page.beds.includes(bed) && !source.hub.lost);
  }

  /** Goes over and back as it is needed. @param {boolean} away whether the hub is */
  tick(away) {
    const now = performance.now();
    for (const [name, page] of this.pages) {
      const beds = page.beds.filter((id) => this.room.bed(id));
      const unheard = beds.some((id) => this.room.bed(id)?.link.state === "gateway_lost");
      const source = this.sources.get(name);
      if (!source && (away || unheard) && beds.length && now - (this.triedAt.get(name) ?? -AGAIN_MS) >= AGAIN_MS) void this.goOver(page);
      if (source?.live) this.mayReturn(source, !away && !unheard, now);
    }
  }

  /** @param {GatewayPage} page */
  async goOver(page) {
    this.triedAt.set(page.name, performance.now());
    const source = new Source(page, this.ward, this.room);
    this.sources.set(page.name, source);
    try {
      await source.open();
    } catch (error) {
      console.info(`gateway ${page.name} does not answer`, error);
      source.close();
      this.sources.delete(page.name);
    }
  }

  /** @param {Source} source @param {boolean} back whether the hub shows its beds @param {number} now monotonic ms */
  mayReturn(source, back, now) {
    const { name } = source.page;
    if (!back) {
      this.backSince.delete(name);
      return;
    }
    const since = this.backSince.get(name) ?? now;
    this.backSince.set(name, since);
    const beds = new Set(source.page.beds);
    if (!this.room.takenOver(beds) && now - since < PATIENCE_MS) return;
    this.backSince.delete(name);
    this.sources.delete(name);
    source.close();
    this.room.left(beds);
    void this.learn();
  }
}

/** The index under which a lead of a gateway is shown, or -1. @param {import("./contract").Lead} lead @param {import("./contract").Lead[]} shown */
export function sameLead(lead, shown) {
  const found = shown.find((one) => one.code === lead.code && one.source === lead.source) ?? shown.find((one) => one.code === lead.code && !one.source);
  return found ? found.index : -1;
}
