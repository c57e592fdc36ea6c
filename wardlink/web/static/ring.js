/** The last seconds of one lead in slots of the patient's time; knows nothing of screens. A slot without a sample is NaN. */

const MISSING = -32768;
/** Sample times of one device may wander this far from the running count before the count is set anew. */
const TOLERANCE_MS = 40;
/** Behind a hole no longer than this the low cut goes on from where it was: the electrodes' offset is the same. */
const SAME_OFFSET_MS = 2000;
/** Ends of pieces that are remembered: of about 10 s. */
const ENDS = 40;
/** Low cut of a monitor's ECG channel (IEC 60601-2-27 allows up to 0.67 Hz in monitoring mode). */
export const LOW_CUT_HZ = 0.5;

export class Ring {
  /** @param {number} fs samples per second @param {number} seconds how much is kept @param {number} [lowCutHz] 0: what is no ECG stands as it came */
  constructor(fs, seconds, lowCutHz = LOW_CUT_HZ) {
    this.fs = fs;
    this.capacity = Math.ceil(fs * seconds);
    this.values = new Float32Array(this.capacity).fill(NaN);
    /** Slot behind the newest sample; a slot is a time in units of 1/fs. */
    this.end = -1;
    /** Earliest slot that the page has heard of: what was before is unknown here, not missing. */
    this.begin = Infinity;
    this.nextSample = -1;
    this.nextSlot = -1;
    /** What the frames have said of steps back of the gateway's clock, and how often the strip began anew for one. @type {Set<number>} */
    this.clocks = new Set();
    this.steps = 0;
    this.lowCutHz = lowCutHz;
    this.keep = Math.exp((-2 * Math.PI * lowCutHz) / fs);
    this.base = NaN;
    /** Where the last pieces ended, and the offset there: one that was overtaken goes on from its own neighbour. @type {{slot: number, base: number}[]} */
    this.ends = [];
  }

  /**
   * @param {number} t0 time of the first sample, ms
   * @param {number} first running number of the first sample
   * @param {Int16Array} samples
   * @param {number} scale microvolt per step
   * @param {number} [clock] another number each time that the gateway's clock was set back; 0: nothing is said of it
   * @returns {number} the earliest slot that was written, or Infinity when nothing was new
   */
  write(t0, first, samples, scale, clock = 0) {
    let slot = Math.round((t0 * this.fs) / 1000);
    // Where its number puts it, also before or behind a hole; times of one device jitter.
    const due = this.nextSlot + first - this.nextSample;
    const near = (Math.abs(slot - due) * 1000) / this.fs <= TOLERANCE_MS;
    if (near) slot = due;
    // Before all that is kept: either the gateway's clock was set back, which is told, or it is what a server had from long ago, and no part of the strip.
    const old = this.end >= 0 && slot + samples.length <= this.end - this.capacity;
    const setBack = old && clock !== 0 && !this.clocks.has(clock);
    if (clock !== 0) this.clocks.add(clock);
    if (old && !setBack) return Infinity;
    if (setBack) this.steps += 1;
    // Hub and gateway may both send it while the page changes between them: nothing of it is new, and the count goes on as it was.
    if (first !== this.nextSample && this.has(slot, samples.length)) return Infinity;
    if (!near || first !== this.nextSample) this.base = this.offsetBefore(slot);
    if (this.end < 0 || slot > this.end + this.capacity || setBack) this.restart(slot);
    this.begin = Math.min(this.begin, slot);
    let earliest = Infinity;
    for (let i = 0; i < samples.length; i += 1, slot += 1) {
      const value = this.filter(samples[i] ?? MISSING, scale);
      if (slot >= this.end) {
        for (let hole = this.end; hole < slot; hole += 1) this.values[hole % this.capacity] = NaN;
        this.values[slot % this.capacity] = value;
        this.end = slot + 1;
        earliest = Math.min(earliest, slot);
      } else if (slot >= this.end - this.capacity && Number.isNaN(this.values[slot % this.capacity]) && !Number.isNaN(value)) {
        this.values[slot % this.capacity] = value;
        earliest = Math.min(earliest, slot);
      }
    }
    this.nextSample = first + samples.length;
    this.nextSlot = slot;
    if (!Number.isNaN(this.base)) this.ends = [...this.ends.slice(1 - ENDS), { slot, base: this.base }];
    return earliest;
  }

  /** The offset at the end of the piece before a slot; NaN when none ended lately. @param {number} slot */
  offsetBefore(slot) {
    const latest = slot + (TOLERANCE_MS * this.fs) / 1000;
    const before = this.ends.filter((one) => one.slot <= latest && ((slot - one.slot) * 1000) / this.fs <= SAME_OFFSET_MS);
    return before.reduce((last, one) => (one.slot > last.slot ? one : last), { slot: -Infinity, base: NaN }).base;
  }

  /** @param {number} slot @returns {number} microvolt, or NaN */
  at(slot) {
    return slot < this.end && slot >= this.end - this.capacity ? /** @type {number} */ (this.values[slot % this.capacity]) : NaN;
  }

  /** The values of a stretch of time, ms; NaN where there is none. @param {number} from @param {number} to */
  *stretch(from, to) {
    const last = Math.floor((to * this.fs) / 1000);
    for (let slot = Math.floor((from * this.fs) / 1000); slot < last; slot += 1) yield this.at(slot);
  }

  /** Whether each of `n` slots has a value. @param {number} slot @param {number} n */
  has(slot, n) {
    for (let i = slot; i < slot + n; i += 1) if (Number.isNaN(this.at(i))) return false;
    return n > 0;
  }

  /** Whether none of the slots from `slot` up to `end` has a value. @param {number} slot @param {number} end */
  bare(slot, end) {
    for (let i = slot; i < end; i += 1) if (!Number.isNaN(this.at(i))) return false;
    return true;
  }

  /** Time behind the newest sample, ms; -Infinity before the first. */
  get endMs() {
    return this.end < 0 ? -Infinity : (this.end * 1000) / this.fs;
  }

  /** @param {number} slot */
  restart(slot) {
    this.values.fill(NaN);
    this.end = slot;
  }

  /** Takes out the electrodes' offset and slow wander. @param {number} raw @param {number} scale */
  filter(raw, scale) {
    if (raw === MISSING) return NaN;
    const x = raw * scale;
    if (!this.lowCutHz) return x;
    this.base = Number.isNaN(this.base) ? x : this.keep * this.base + (1 - this.keep) * x;
    return x - this.base;
  }
}
