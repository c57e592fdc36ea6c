/**
 * Reads a stream of server-sent events (WHATWG HTML, 9.2) with fetch: unlike EventSource it sees comment lines, so that
 * silence can be told from quiet, and it can name the last event already on its first request. Reconnects by itself.
 */

const RETRY_MS = [250, 500, 1000, 2000, 3000];
/** A connection without a byte for this long is given up; the hub sends at least a comment every 2 s. */
const SILENCE_MS = 5000;

/** @typedef {{event: string, data: string, id: string | null}} Message */

/** Cuts the text of a stream into messages; the text may come in any pieces. */
export class EventParser {
  constructor() {
    this.rest = "";
    /** @type {string | null} */
    this.id = null;
    this.event = "message";
    /** @type {string[]} */
    this.lines = [];
    this.own = false;
  }

  clear() {
    this.event = "message";
    this.lines = [];
    this.own = false;
  }

  /** @param {string} text @returns {Message[]} */
  feed(text) {
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    /** @type {Message[]} */
    const found = [];
    for (const line of lines) {
      if (line === "") {
        if (this.lines.length) found.push({ event: this.event, data: this.lines.join("\n"), id: this.own ? this.id : null });
        this.clear();
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") this.event = value;
      else if (field === "data") this.lines.push(value);
      else if (field === "id") {
        this.id = value;
        this.own = true;
      }
    }
    return found;
  }
}

export class EventStream {
  /**
   * @param {string} url
   * @param {{message: (message: Message) => void, heard: () => void, refused: (status: number) => void, lastId: () => string | null, headers?: () => Record<string, string>}} on
   */
  constructor(url, on) {
    this.url = url;
    this.on = on;
    this.failures = 0;
    this.closed = false;
    this.abort = new AbortController();
  }

  close() {
    this.closed = true;
    this.abort.abort();
    clearTimeout(this.timer);
  }

  /** Runs until it is closed. */
  async run() {
    while (!this.closed) {
      try {
        await this.once();
      } catch (error) {
        console.info("event stream ended", error);
      }
      const wait = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
      this.failures += 1;
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  async once() {
    this.abort = new AbortController();
    this.watch();
    const last = this.on.lastId();
    const response = await fetch(this.url, {
      headers: { Accept: "text/event-stream", ...this.on.headers?.(), ...(last === null ? {} : { "Last-Event-ID": last }) },
      cache: "no-store",
      signal: this.abort.signal,
    });
    if (!response.ok || !response.body) {
      this.on.refused(response.status);
      return;
    }
    const parser = new EventParser();
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.failures = 0;
      this.watch();
      this.on.heard();
      for (const message of parser.feed(decoder.decode(value, { stream: true }))) this.on.message(message);
    }
  }

  /** Gives the connection up when it goes silent; `run` makes a new one. */
  watch() {
    clearTimeout(this.timer);
    const { abort } = this;
    this.timer = setTimeout(() => abort.abort(), SILENCE_MS);
  }
}
