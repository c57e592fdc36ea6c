/** The binary connection with live samples: numbered frames, a hole in the numbers makes a new connection. Leaves drawing to the strips. */
import { readFrame } from "./frame.js";

const RETRY_MS = [250, 500, 1000, 2000, 3000];
const SILENCE_MS = 10000;

/** Address of a WebSocket of this page's own server. @param {string} path */
export function socketAddress(path) {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
}

export class Waves {
  /**
   * @param {() => string} url asked for each connection anew @param {(frame: import("./contract").Frame) => void} take
   * @param {() => void} opened @param {() => string[]} [protocols] what a gateway is shown
   */
  constructor(url, take, opened, protocols = () => []) {
    this.url = url;
    this.protocols = protocols;
    this.closed = false;
    this.take = take;
    this.opened = opened;
    this.failures = 0;
    this.reconnects = 0;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.heardAt = 0;
    this.timer = setInterval(() => {
      // A dead link may never close by itself.
      if (this.socket?.readyState === WebSocket.OPEN && performance.now() - this.heardAt > SILENCE_MS) this.socket.close();
    }, 2000);
  }

  open() {
    if (this.closed) return;
    const socket = new WebSocket(this.url(), this.protocols());
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heardAt = performance.now();
    /** @type {number | null} */
    let expected = null;
    socket.onopen = () => this.opened();
    socket.onmessage = ({ data }) => {
      if (!(data instanceof ArrayBuffer)) return;
      this.heardAt = performance.now();
      try {
        const frame = readFrame(data);
        if (expected !== null && frame.number !== expected) throw new Error(`frame ${frame.number}: expected ${expected}`);
        expected = (frame.number + 1) % 2 ** 32;
        this.failures = 0;
        this.take(frame);
      } catch (error) {
        console.warn("live samples: connecting again:", error);
        socket.close();
      }
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.reconnects += 1;
      const wait = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
      this.failures += 1;
      setTimeout(() => this.open(), wait);
    };
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    this.socket?.close();
  }

  /** Tells the hub when a frame came to stand on the screen. @param {number} frame @param {number} at hub's time, ms */
  painted(frame, at) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ painted: { frame, at_ms: Math.round(at) } }));
  }
}
