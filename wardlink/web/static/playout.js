/** When a sample is shown: turns uneven arrival into an even clock in the patient's time. One for each bed; pure. */

const MIN_DELAY_MS = 120;
const MAX_DELAY_MS = 1500;
/** The clock may run this much faster or slower than real time while it closes in: at 25 mm/s nobody sees 4 %. */
const SLEW = 0.04;
/** Farther off than this it jumps. */
const JUMP_MS = 2500;
/** So far behind the newest nothing is late: it is what a server had from long ago, and no word of the present. */
const LONG_AGO_MS = 90_000;
/** A loss is told apart from jitter after this long without data; it must show within 3 s. */
export const SILENCE_MS = 2000;

/** The undelayed way of a stream: by how much a page's clock is ahead of samples that nothing has held up. */
export class Way {
  constructor() {
    this.offset = NaN;
  }

  /** @param {number} endMs time behind the newest sample @param {number} now monotonic ms @returns {boolean} whether it was known and still is as it was */
  take(endMs, now) {
    const offset = now - endMs;
    const holds = Math.abs(offset - this.offset) < JUMP_MS;
    // The smallest offset is the undelayed path; it may creep up, or a change of route would never be learnt.
    this.offset = holds ? Math.min(offset, this.offset + 0.02 * (offset - this.offset)) : offset;
    return holds;
  }

  /** When samples up to this time come if nothing holds them up, monotonic ms; never later than now. @param {number} endMs @param {number} now */
  due(endMs, now) {
    return Math.min(now, this.offset + endMs);
  }
}

export class Playout {
  constructor() {
    this.way = new Way();
    /** How far real time had outrun the data when the next ones came: frame length and unevenness together. */
    this.need = 300;
    this.shown = NaN;
    this.seenAt = NaN;
    this.arrivedAt = -Infinity;
    /** When the newest would have come undelayed: what a gateway still had of a device that has stopped is no word of it. */
    this.freshAt = -Infinity;
    this.newest = -Infinity;
  }

  /** @param {number} endMs time behind the newest sample of a frame @param {number} now monotonic ms @param {boolean} [setBack] the gateway's clock was: the newest lies ahead of it */
  observe(endMs, now, setBack = false) {
    if (setBack) this.newest = -Infinity;
    if (this.newest - endMs > LONG_AGO_MS || (endMs <= this.newest && now - this.arrivedAt < SILENCE_MS)) return;
    if (this.way.take(endMs, now)) {
      const outrun = now - this.way.offset - this.newest;
      // Data that come much faster than time passes are a backlog and say nothing about the next frame.
      const live = now - this.arrivedAt >= (endMs - this.newest) / 2;
      if (live && outrun < SILENCE_MS) this.need = Math.max(outrun, this.need + 0.01 * (outrun - this.need));
    }
    this.newest = Math.max(this.newest, endMs);
    this.arrivedAt = now;
    this.freshAt = this.way.due(this.newest, now);
  }

  /** Delay that covers what was seen lately. */
  get delay() {
    return Math.min(MAX_DELAY_MS, Math.max(MIN_DELAY_MS, this.need + 60));
  }

  /** @param {number} now */
  silent(now) {
    return now - this.freshAt > SILENCE_MS;
  }

  /**
   * The patient's time that stands at the sweep's head; NaN before the first data. It runs back only with the gateway's clock, waits at the newest
   * sample while data are merely late, and goes on over the gap once they are lost.
   * @param {number} now
   */
  time(now) {
    if (Number.isNaN(this.way.offset)) return NaN;
    const target = now - this.way.offset - this.delay;
    const step = Number.isNaN(this.seenAt) ? 0 : now - this.seenAt;
    this.seenAt = now;
    if (Number.isNaN(this.shown) || Math.abs(target - this.shown) > JUMP_MS) this.shown = Math.min(target, this.newest);
    else {
      const next = this.shown + step;
      const pull = Math.max(-SLEW * step, Math.min(SLEW * step, target - next));
      this.shown = Math.max(this.shown, next + pull);
    }
    if (!this.silent(now)) this.shown = Math.min(this.shown, Math.max(this.newest, 0));
    else this.shown = Math.max(this.shown, Math.min(target, this.shown + 2 * step));
    return this.shown;
  }
}
