/**
 * Alarm sound: bursts of pulses as IEC 60601-1-8 clause 6.3.3.1 has them (tables 3 and 4): high 10 pulses, medium 3 pulses.
 * Says truthfully whether the browser lets the page sound. Which alarms there are is told by `want`.
 */

/** Seconds, from the start of the burst to the start of each pulse; within the ranges of tables 3 and 4, as a test of the modules holds. */
export const PATTERNS = {
  high: { starts: tenPulses(0.15, 0.1, 0.35, 0.8), length: 0.15, every: 6.4, pitch: 523 },
  medium: { starts: [0, 0.4, 0.8], length: 0.2, every: 10, pitch: 440 },
};

/** @param {number} pulse @param {number} short @param {number} middle @param {number} long */
function tenPulses(pulse, short, middle, long) {
  const gaps = [short, short, middle, short];
  const five = gaps.reduce((at, gap) => [...at, /** @type {number} */ (at.at(-1)) + pulse + gap], [0]);
  const second = /** @type {number} */ (five.at(-1)) + pulse + long;
  return [...five, ...five.map((at) => second + at)];
}

/** Four harmonics besides the fundamental, within 15 dB of each other, make a sound that can be found in a room. */
const HARMONICS = [0, 1, 0.8, 0.7, 0.55, 0.45];

export class Sound {
  /** @param {(state: "on" | "off" | "none") => void} report */
  constructor(report) {
    this.report = report;
    /** @type {"high" | "medium" | null} */
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
    if (this.state === "on" && !this.wanted) this.play(PATTERNS.medium);
  }

  /** What must be heard now; null is silence. @param {"high" | "medium" | null} priority */
  want(priority) {
    if (priority === this.wanted) return;
    this.wanted = priority;
    this.hush();
    this.burst();
  }

  burst() {
    clearTimeout(this.timer);
    if (!this.wanted || this.state !== "on") return;
    const pattern = PATTERNS[this.wanted];
    this.play(pattern);
    this.timer = setTimeout(() => this.burst(), pattern.every * 1000);
  }

  /** @param {{starts: number[], length: number, pitch: number}} pattern */
  play({ starts, length, pitch }) {
    const context = this.context;
    if (!context) return;
    const out = context.createGain();
    out.gain.value = 0.5;
    out.connect(context.destination);
    this.out = out;
    const wave = context.createPeriodicWave(new Float32Array(HARMONICS.length), new Float32Array(HARMONICS));
    const begin = context.currentTime + 0.03;
    for (const start of starts) {
      const oscillator = context.createOscillator();
      const gain = context.createGain();
      oscillator.setPeriodicWave(wave);
      oscillator.frequency.value = pitch;
      const at = begin + start;
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
