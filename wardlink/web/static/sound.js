/**
 * Alarm sound: bursts of pulses as IEC 60601-1-8 clause 6.3.3.1 has them (tables 3 and 4): high 10 pulses, medium 3 pulses;
 * their pitches are the melody of what the alarm is about (IEC 60601-1-8:2006, annex F).
 * Says truthfully whether the browser lets the page sound. What sounds is told by `want`.
 */

/** @typedef {import("./contract").Heard} Heard @typedef {import("./contract").Category} Category */

/** Seconds, from the start of the burst to the start of each pulse; within the ranges of tables 3 and 4, as a test of the modules holds. */
export const PATTERNS = {
  high: { starts: tenPulses(0.15, 0.1, 0.35, 0.8), length: 0.15, every: 6.4 },
  medium: { starts: [0, 0.4, 0.8], length: 0.2, every: 10 },
};

/**
 * The five pulses of high priority, which sound twice; medium has the first three. "c" is middle C, "C" the octave above.
 * As two public accounts of the annex give them: the page on alarm sounds of the University of Sydney's department of anaesthesia
 * (2010), and "Human factors" of scottosphere.org (2008).
 * @type {Record<Category, string>}
 */
export const MELODIES = {
  general: "c c c c c",
  cardiac: "c e g g C",
  ventilation: "c a f a f",
  oxygen: "C b a g f",
  temperature: "c d e f g",
  equipment: "C c c C c",
};

/** Semitones from a' (440 Hz, ISO 16), equal temperament. @type {Record<string, number>} */
const SEMITONES = { c: -9, d: -7, e: -5, f: -4, g: -2, a: 0, b: 2, C: 3 };

/** Pitch of each pulse of a burst, Hz. @param {Heard} heard @returns {number[]} */
export function pitches({ priority, category }) {
  const five = MELODIES[category].split(" ").map((note) => 440 * 2 ** (/** @type {number} */ (SEMITONES[note]) / 12));
  return priority === "high" ? [...five, ...five] : five.slice(0, 3);
}

/** @param {number} pulse @param {number} short @param {number} middle @param {number} long */
function tenPulses(pulse, short, middle, long) {
  const gaps = [short, short, middle, short];
  const five = gaps.reduce((at, gap) => [...at, /** @type {number} */ (at.at(-1)) + pulse + gap], [0]);
  const second = /** @type {number} */ (five.at(-1)) + pulse + long;
  return [...five, ...five.map((at) => second + at)];
}

/** The fundamental and four harmonics from 300 to 4000 Hz within 15 dB of each other make a sound that can be found in a room. */
export const HARMONICS = [0, 1, 0.8, 0.7, 0.55, 0.45];

export class Sound {
  /** @param {(state: "on" | "off" | "none") => void} report */
  constructor(report) {
    this.report = report;
    /** @type {Heard | null} */
    this.wanted = null;
    this.timer = 0;
    this.context = typeof AudioContext === "undefined" ? null : new AudioContext();
    this.context?.addEventListener("statechange", () => {
      this.report(this.state);
      this.burst();
    });
    for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => void this.enable(), { capture: true });
    this.report(this.state);
  }

  get state() {
    if (!this.context) return "none";
    return this.context.state === "running" ? "on" : "off";
  }

  /** Asks the browser for sound; it agrees only while a key or the screen is pressed. */
  async enable() {
    if (this.context && this.context.state !== "running") await this.context.resume().catch(() => undefined); // stays off and says so
    this.report(this.state);
  }

  /** One medium burst, for hearing that sound works. */
  async test() {
    await this.enable();
    if (this.state === "on" && !this.wanted) this.play({ priority: "medium", category: "general" });
  }

  /**
   * What must be heard now; null is silence. Another priority sounds at once; another melody of the same priority with the next
   * burst, so that no burst is cut off in which somebody is listening for the melody.
   * @param {Heard | null} heard
   */
  want(heard) {
    const other = heard?.priority !== this.wanted?.priority;
    this.wanted = heard;
    if (!other) return;
    this.hush();
    this.burst();
  }

  burst() {
    clearTimeout(this.timer);
    if (!this.wanted || this.state !== "on") return;
    this.play(this.wanted);
    this.timer = setTimeout(() => this.burst(), PATTERNS[this.wanted.priority].every * 1000);
  }

  /** @param {Heard} heard */
  play(heard) {
    const context = this.context;
    if (!context) return;
    const { starts, length } = PATTERNS[heard.priority];
    const out = context.createGain();
    out.gain.value = 0.5;
    out.connect(context.destination);
    this.out = out;
    const wave = context.createPeriodicWave(new Float32Array(HARMONICS.length), new Float32Array(HARMONICS));
    const begin = context.currentTime + 0.03;
    for (const [i, pitch] of pitches(heard).entries()) {
      const oscillator = context.createOscillator();
      const gain = context.createGain();
      oscillator.setPeriodicWave(wave);
      oscillator.frequency.value = pitch;
      const at = begin + /** @type {number} */ (starts[i]);
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(1, at + 0.15 * length);
      gain.gain.setValueAtTime(1, at + 0.8 * length);
      gain.gain.linearRampToValueAtTime(0, at + length);
      oscillator.connect(gain).connect(out);
      oscillator.start(at);
      oscillator.stop(at + length + 0.02);
    }
  }

  hush() {
    clearTimeout(this.timer);
    this.out?.disconnect();
    this.out = undefined;
  }
}
