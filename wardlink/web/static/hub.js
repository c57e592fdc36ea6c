/** The page's side of the hub: its clock, its answers, and whether it is there. */
import { meta } from "./dom.js";

/** The hub is lost after this long without a byte of the event stream (it sends a comment every 2 s). */
export const LOST_MS = 5000;

export class Refused extends Error {
  /** @param {number} status @param {{title?: string, detail?: string}} problem RFC 9457 */
  constructor(status, problem) {
    super(problem.detail || problem.title || String(status));
    this.status = status;
  }
}

export class Hub {
  /** @param {string} [base] origin of a gateway, when it is that which is asked @param {() => string} [ticket] to a gateway */
  constructor(base = "", ticket = () => "") {
    this.base = base;
    this.ticket = ticket;
    /** Hub's clock less this machine's, ms. */
    this.offset = 0;
    this.best = Infinity;
    this.latency = NaN;
    this.heardAt = performance.now();
    this.signedOut = false;
  }

  /** Now, by the hub's clock. */
  now() {
    return Date.now() + this.offset;
  }

  /** Takes the hub's clock when this answer tells it better than the last ones did. @param {number} hubMs @param {number} took round trip, ms */
  setClock(hubMs, took) {
    this.best *= 1.05;
    if (took > this.best) return;
    this.best = took;
    this.offset = hubMs + took / 2 - Date.now();
  }

  /** What a gateway is shown; the hub has its cookie. @returns {Record<string, string>} */
  credentials() {
    const ticket = this.ticket();
    return ticket ? { Authorization: `Bearer ${ticket}` } : {};
  }

  heard() {
    this.heardAt = performance.now();
  }

  /** How long nothing has come, ms. */
  get silentFor() {
    return performance.now() - this.heardAt;
  }

  get lost() {
    return this.silentFor > LOST_MS;
  }

  /** Since when, by the hub's clock. */
  get lostSince() {
    return this.now() - (performance.now() - this.heardAt);
  }

  /** @param {string} path @returns {Promise<any>} @throws {Refused | TypeError} */
  async get(path) {
    const begun = performance.now();
    const response = await fetch(this.base + path, { headers: { Accept: "application/json", ...this.credentials() }, cache: "no-store", signal: AbortSignal.timeout(8000) });
    const answer = await this.read(response);
    const took = performance.now() - begun;
    this.latency = took;
    if (typeof answer.now_ms === "number") this.setClock(answer.now_ms, took);
    return answer;
  }

  /** Frames and other bytes. @param {string} path @returns {Promise<ArrayBuffer>} @throws {Refused | TypeError} */
  async bytes(path) {
    const response = await fetch(path, { headers: { Accept: "application/octet-stream" }, cache: "no-store", signal: AbortSignal.timeout(8000) });
    if (!response.ok) await this.read(response);
    return response.arrayBuffer();
  }

  /** @param {string} path @param {unknown} [body] @returns {Promise<any>} @throws {Refused | TypeError} */
  async post(path, body = {}) {
    const response = await fetch(this.base + path, {
      method: "POST",
      headers: { Accept: "application/json", "Content-Type": "application/json", ...(this.base ? {} : { "X-CSRF-Token": meta("csrf") }), ...this.credentials() },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(8000),
    });
    return this.read(response);
  }

  /** Takes something away, also while the page is being left. @param {string} path */
  async forget(path) {
    const response = await fetch(this.base + path, {
      method: "DELETE",
      headers: { Accept: "application/json", ...(this.base ? {} : { "X-CSRF-Token": meta("csrf") }), ...this.credentials() },
      keepalive: true,
    });
    return this.read(response);
  }

  /** @param {Response} response */
  async read(response) {
    if (response.status === 401) this.signedOut = true;
    const type = response.headers.get("Content-Type") ?? "";
    const answer = type.includes("json") ? await response.json() : {};
    if (!response.ok) throw new Refused(response.status, answer);
    return answer;
  }
}
