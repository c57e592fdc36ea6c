// What the ward page's modules do without a browser: frames, rings, the playout clock, order of alarms, layout, the event stream.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Alarms, byUrgency, heard, next, toldApart } from "../../../wardlink/web/static/alarms.js";
import { EventParser } from "../../../wardlink/web/static/events.js";
import { readFrame, readFrames } from "../../../wardlink/web/static/frame.js";
import { HARMONICS, MELODIES, PATTERNS, pitches } from "../../../wardlink/web/static/sound.js";
import { speak } from "../../../wardlink/web/static/words.js";
import { corners, zeroOf } from "../../../wardlink/web/static/ecg_paper.js";
import { arrange } from "../../../wardlink/web/static/layout.js";
import { Playout, Way } from "../../../wardlink/web/static/playout.js";
import { colourOf, extent, fitted, isEcg } from "../../../wardlink/web/static/signals.js";
import { sameLead } from "../../../wardlink/web/static/standby.js";
import { localTime } from "../../../wardlink/web/static/review.js";
import { spanned } from "../../../wardlink/web/static/trends.js";
import { Ring } from "../../../wardlink/web/static/ring.js";
import { Strip } from "../../../wardlink/web/static/strip.js";

function frame({ version = 1, kind = 1, n = 3, extra = 0 } = {}) {
  const buffer = new ArrayBuffer(48 + (kind === 1 ? 2 * n : n) + extra);
  const view = new DataView(buffer);
  view.setUint8(0, version);
  view.setUint8(1, kind);
  view.setUint16(2, 1, true);
  view.setUint32(4, 7, true);
  view.setUint32(8, 42, true);
  view.setFloat32(12, 250, true);
  view.setFloat32(16, 0.5, true);
  view.setUint32(20, n, true);
  view.setFloat64(24, 1000, true);
  view.setFloat64(32, 5000, true);
  view.setFloat64(40, kind === 2 ? 2000 : 2 ** 53 - 1, true);
  for (let i = 0; i < n; i += 1) kind === 1 ? view.setInt16(48 + 2 * i, -i, true) : view.setUint8(48 + i, 120);
  return buffer;
}

test("a frame of samples is read by the contract's offsets", () => {
  const found = readFrame(frame());
  assert.deepEqual([found.kind, found.number, found.bed, found.lead, found.fs, found.scale, found.t0, found.first, found.clock], ["samples", 7, 42, 1, 250, 0.5, 1000, 5000, 2 ** 53 - 1]);
  assert.deepEqual([...found.samples], [0, -1, -2]);
});

test("a gap carries its end and its reason", () => {
  const found = readFrame(frame({ kind: 2 }));
  assert.deepEqual([found.kind, found.end, found.reason], ["gap", 2000, "xxx"]);
});

test("a frame of another version, kind or length is refused with what was found", () => {
  assert.throws(() => readFrame(frame({ version: 2 })), /version 2/);
  assert.throws(() => readFrame(frame({ kind: 9 })), /expected/);
  assert.throws(() => readFrame(frame({ extra: 1 })), /expected 54/);
  assert.throws(() => readFrame(new ArrayBuffer(3)), /3 bytes/);
});

test("frames that stand one behind the other are told apart, and a torn one is refused", () => {
  const [samples, gap] = [frame(), frame({ kind: 2, n: 5 })];
  const both = new Uint8Array(samples.byteLength + gap.byteLength);
  both.set(new Uint8Array(samples));
  both.set(new Uint8Array(gap), samples.byteLength);
  assert.deepEqual(readFrames(both.buffer).map((one) => one.kind), ["samples", "gap"]);
  assert.deepEqual(readFrames(new ArrayBuffer(0)), []);
  assert.throws(() => readFrames(both.buffer.slice(0, both.byteLength - 2)), /expected/);
  assert.throws(() => readFrames(both.buffer.slice(0, samples.byteLength + 10)), /10 bytes/);
});

const ones = (n, value = 100) => new Int16Array(n).fill(value);

test("a sample stands in the slot of its time and the missing ones between are holes", () => {
  const ring = new Ring(100, 10);
  ring.write(1000, 0, ones(10), 1);
  ring.write(1300, 30, ones(10), 1);
  assert.equal(Number.isNaN(ring.at(105)), false);
  assert.equal(Number.isNaN(ring.at(115)), true);
  assert.equal(Number.isNaN(ring.at(135)), false);
  assert.equal(ring.endMs, 1400);
});

test("samples that follow by number join without a hole although their times jitter", () => {
  const ring = new Ring(250, 10);
  ring.write(1000, 0, ones(25), 1);
  ring.write(1103, 25, ones(25), 1);
  for (let slot = 250; slot < 300; slot += 1) assert.equal(Number.isNaN(ring.at(slot)), false, `slot ${slot}`);
});

test("the value for a missing sample is a hole, and late samples fill theirs", () => {
  const ring = new Ring(100, 10);
  ring.write(1000, 0, ones(10, -32768), 1);
  assert.equal(Number.isNaN(ring.at(103)), true);
  ring.write(1100, 10, ones(10), 1);
  assert.equal(ring.write(1000, 0, ones(10), 1), 100);
  assert.equal(Number.isNaN(ring.at(103)), false);
});

test("pieces that come in another order draw the curve that they draw in order", () => {
  const wave = Array.from({ length: 16 }, (_, n) => Int16Array.from({ length: 25 }, (_, i) => 900 + 300 * Math.sin((n * 25 + i) / 9)));
  const drawn = (order) => {
    const ring = new Ring(100, 10);
    for (const n of order) ring.write(1000 + n * 250 + (n % 3) * 8, n * 25, wave[n], 1);
    return Array.from({ length: 400 }, (_, i) => ring.at(100 + i));
  };
  const inOrder = drawn([...wave.keys()]);
  const overtaken = drawn([0, 1, 2, 3, 4, 5, 7, 6, 8, 11, 10, 9, 12, 13, 15, 14]);
  assert.equal(overtaken.findIndex(Number.isNaN), -1, "no slot is empty");
  const apart = (n) => Math.max(...inOrder.slice(n * 25, n * 25 + 25).map((value, i) => Math.abs(value - overtaken[n * 25 + i])));
  const hz = 100 / 9 / (2 * Math.PI);
  const wander = (2 * 300 * 0.5) / Math.hypot(hz, 0.5); // of what a low cut of 0.5 Hz takes for offset, from peak to peak
  for (let n = 0; n < 16; n += 1) assert.ok(apart(n) <= wander, `piece ${n}: ${apart(n)}, as the offset wanders by ${wander} at most`);
  assert.deepEqual([1, 5, 6].map(apart), [0, 0, 0], "what follows its neighbour goes on from it, also when it comes late");
});

test("a stretch is bare until one of its samples comes, also late", () => {
  const ring = new Ring(100, 10);
  ring.write(1000, 0, ones(10), 1);
  ring.write(1300, 30, ones(10), 1);
  assert.deepEqual([ring.bare(110, 130), ring.bare(109, 130), ring.bare(110, 131)], [true, false, false]);
  ring.write(1200, 20, ones(5), 1);
  assert.deepEqual([ring.bare(110, 120), ring.bare(110, 130)], [true, false]);
});

test("repeated samples after a new connection change nothing", () => {
  const ring = new Ring(100, 10);
  ring.write(1000, 0, ones(50), 1);
  assert.equal(ring.write(1000, 0, ones(50), 1), Infinity);
  assert.equal(ring.endMs, 1500);
});

test("a constant offset of the electrodes is taken out", () => {
  const ring = new Ring(250, 10);
  ring.write(0, 0, ones(250, 20000), 1);
  assert.ok(Math.abs(ring.at(200)) < 1);
});

test("the clock runs evenly although frames arrive unevenly", () => {
  const playout = new Playout();
  let worst = 0;
  let last = NaN;
  for (let now = 0; now < 20000; now += 20) {
    // A frame of 250 ms every 250 ms, up to 120 ms late.
    if (now % 250 < 20) playout.observe(500000 + now - ((now / 250) % 3) * 60, now);
    const time = playout.time(now);
    if (now > 5000) worst = Math.max(worst, Math.abs(time - last - 20));
    last = time;
  }
  assert.ok(worst < 2, `a step was wrong by ${worst} ms`);
});

test("the clock never runs back, waits while data are late and goes on once they are lost", () => {
  const playout = new Playout();
  for (let now = 0; now <= 5000; now += 250) playout.observe(100000 + now, now);
  let last = -Infinity;
  const at = {};
  for (let now = 5000; now < 12000; now += 20) {
    const time = playout.time(now);
    assert.ok(time >= last || Number.isNaN(last));
    last = time;
    at[now] = time;
  }
  assert.ok(at[6900] <= 105000);
  assert.equal(playout.silent(6900), false);
  assert.equal(playout.silent(7100), true);
  assert.ok(at[11980] > 110000, `stood at ${at[11980]}`);
});

const alarm = (id, more = {}) => ({ id, bed: "1", code: "X", priority: "high", kind: "physiological", presence: "present", onset_ms: 0, acknowledged: null, params: {}, ...more });

test("the most urgent alarm is the unacknowledged one of the highest priority, a patient before a cable, the newest first", () => {
  const seen = { acknowledged: { by: "x", at_ms: 1 } };
  const order = [alarm("seen", seen), alarm("low", { priority: "low" }), alarm("cable", { priority: "medium", kind: "technical" }), alarm("medium", { priority: "medium" }), alarm("old"), alarm("new", { onset_ms: 9 })];
  assert.deepEqual(order.sort(byUrgency).map((one) => one.id), ["new", "old", "medium", "cable", "low", "seen"]);
});

test("what sounds is the alarm that the header shows first: its priority and what it is about", () => {
  speak({ lang: "en", tag: "en", words: {}, terms: { VF: { name: "", short: "", category: "cardiac" }, SPO2: { name: "", short: "", category: "oxygen" }, LINK: { name: "", short: "", category: "equipment" } } });
  const sounding = (...alarms) => heard(alarms.sort(byUrgency));
  const vf = alarm("vf", { code: "VF" });
  const limit = alarm("limit", { code: "LO", priority: "medium", params: { measure: "SPO2" }, onset_ms: 5 });
  const link = alarm("link", { code: "LINK", priority: "medium", kind: "technical", onset_ms: 9 });
  assert.equal(sounding(), null);
  assert.deepEqual(sounding(limit, link, vf), { priority: "high", category: "cardiac" });
  assert.deepEqual(sounding(link, limit), { priority: "medium", category: "oxygen" }, "a patient before a cable");
  assert.deepEqual(sounding(link), { priority: "medium", category: "equipment" }, "nobody is watched there");
  assert.deepEqual(sounding({ ...vf, acknowledged: { by: "x", at_ms: 1 } }, link), { priority: "medium", category: "equipment" });
  assert.deepEqual(sounding(limit, alarm("newer", { code: "VF", priority: "medium", onset_ms: 6 })), { priority: "medium", category: "cardiac" }, "the newest of a priority");
  assert.equal(sounding({ ...link, priority: "low" }), null, "low has no sound");
  assert.deepEqual(sounding(alarm("unknown", { code: "?" })), { priority: "high", category: "general" });
});

test("the key a opens the alarm of the bed somebody is at, unless a more urgent one calls elsewhere", () => {
  const seen = { acknowledged: { by: "x", at_ms: 1 } };
  const opens = (/** @type {string} */ bed, ...alarms) => next(alarms.sort(byUrgency), bed)?.id;
  const here = alarm("here", { bed: "5" }), newer = alarm("newer", { bed: "1", onset_ms: 9 });
  assert.equal(opens("5"), undefined);
  assert.equal(opens("5", here, newer), "here", "of the same priority");
  assert.equal(opens("", here, newer), "newer");
  assert.equal(opens("5", { ...here, ...seen }, newer), "newer", "the one here was seen");
  assert.equal(opens("5", { ...here, priority: "medium" }, newer), "newer", "the one there is more urgent");
  assert.equal(opens("5", { ...here, ...seen }, { ...newer, ...seen }), "here", "all were seen");
});

test("an event is taken once, and an old snapshot does not undo a newer event", () => {
  const alarms = new Alarms();
  assert.equal(alarms.replace([alarm("a")], 10), true);
  assert.ok(alarms.take(alarm("a", { acknowledged: { by: "x", at_ms: 1 } }), 11));
  assert.equal(alarms.take(alarm("a"), 11), null);
  assert.equal(alarms.replace([alarm("a")], 10), false);
  assert.equal(alarms.active[0].acknowledged.by, "x");
});

test("an alarm that a newer snapshot no longer has is ended and kept in the bed's history", () => {
  const alarms = new Alarms();
  alarms.replace([alarm("a")], 1);
  alarms.replace([], 2);
  assert.equal(alarms.active.length, 0);
  assert.deepEqual(alarms.history("1").map((one) => one.presence), ["ended"]);
});

test("from 1 to 64 beds every row is filled and every bed has a place", () => {
  for (const [width, height] of [[1280, 740], [1920, 1020], [820, 740], [390, 700]]) {
    for (let beds = 1; beds <= 64; beds += 1) {
      const { rows } = arrange(beds, width, height);
      assert.equal(rows.reduce((a, b) => a + b, 0), beds);
      assert.ok(Math.max(...rows) - Math.min(...rows) <= 1, `${beds} beds in ${rows}`);
    }
  }
  assert.deepEqual(arrange(6, 1280, 740).rows, [3, 3]);
  assert.deepEqual(arrange(1, 1280, 740).rows, [1]);
});

test("the event stream is read alike however it is cut", () => {
  const text = ": beat\n\nevent: hello\ndata: {}\n\nid: 5\nevent: alarm\ndata: a\ndata: b\n\nevent: numeric\ndata: c\n\n";
  const expected = [{ event: "hello", data: "{}", id: null }, { event: "alarm", data: "a\nb", id: "5" }, { event: "numeric", data: "c", id: null }];
  for (let cut = 0; cut <= text.length; cut += 1) {
    const parser = new EventParser();
    assert.deepEqual([...parser.feed(text.slice(0, cut)), ...parser.feed(text.slice(cut))], expected);
  }
});

test("bursts keep to IEC 60601-1-8, tables 3 and 4", () => {
  const { high, medium } = PATTERNS;
  const gaps = ({ starts, length }) => starts.slice(1).map((at, i) => at - starts[i] - length);
  const within = (value, low, top) => assert.ok(value >= low - 1e-9 && value <= top + 1e-9, `${value} in ${low} to ${top}`);
  assert.equal(high.starts.length, 10);
  assert.equal(medium.starts.length, 3);
  within(high.length, 0.075, 0.2);
  within(medium.length, 0.125, 0.25);
  const [x1, x2, long, x3, between, ...again] = gaps(high);
  for (const x of [x1, x2, x3]) within(x, 0.05, 0.125);
  within(long, 2 * x1 + high.length, 2 * x1 + high.length);
  within(between, 0.35, 1.3);
  again.forEach((gap, i) => within(gap, [x1, x2, long, x3][i], [x1, x2, long, x3][i]));
  for (const y of gaps(medium)) within(y, 0.125, 0.25);
  within(high.every - high.starts.at(-1) - high.length, 2.5, 15);
  within(medium.every - medium.starts.at(-1) - medium.length, 2.5, 30);
});

// What the annex writes, in Hz of equal temperament with a' = 440 (ISO 16).
const [c4, d4, e4, f4, g4, a4, b4, c5] = [261.63, 293.66, 329.63, 349.23, 392, 440, 493.88, 523.25];

test("each kind of alarm has the melody of IEC 60601-1-8 annex F, high with ten pulses and medium with the first three", () => {
  const expected = {
    general: [c4, c4, c4, c4, c4], cardiac: [c4, e4, g4, g4, c5], ventilation: [c4, a4, f4, a4, f4],
    oxygen: [c5, b4, a4, g4, f4], temperature: [c4, d4, e4, f4, g4], equipment: [c5, c4, c4, c5, c4],
  };
  assert.deepEqual(Object.keys(MELODIES).sort(), Object.keys(expected).sort());
  for (const [category, five] of Object.entries(expected)) {
    const near = (found, wanted) => found.length === wanted.length && found.every((hz, i) => Math.abs(hz - wanted[i]) < 0.01);
    assert.ok(near(pitches({ priority: "high", category }), [...five, ...five]), category);
    assert.ok(near(pitches({ priority: "medium", category }), five.slice(0, 3)), category);
    assert.equal(PATTERNS.high.starts.length, 2 * five.length);
  }
});

test("every pulse has four harmonics from 300 to 4000 Hz within 15 dB of its fundamental of 150 to 1000 Hz", () => {
  for (const category of Object.keys(MELODIES)) {
    for (const hz of pitches({ priority: "high", category })) {
      assert.ok(hz >= 150 && hz <= 1000);
      const inside = HARMONICS.map((level, n) => [n * hz, 20 * Math.log10(level)]).filter(([at, db]) => at >= 300 && at <= 4000 && db > -15);
      assert.ok(inside.length >= 4, `${category}: ${inside.length}`);
    }
  }
});

test("a millimetre of the ECG sheet is 40 ms and 0.1 mV", () => {
  const lead = { code: "c", short: "II", uv_per_lsb: 2.5, samples: [0, 400, -40, 0, 0] };
  assert.equal(corners(lead, 500, 0, 10, 10, 20), "10,20 10.05,10 10.1,21 10.15,20 10.2,20");
  assert.equal(corners(lead, 25, 0.04, 0.12, 0, 0), "0,-10 1,1");
  assert.equal(zeroOf({ ...lead, samples: [40000, 40400, 40000] }), 100000, "an electrode's offset is not drawn");
});

test("samples that two servers send while the page changes between them are taken once, and the count goes on", () => {
  const ring = new Ring(250, 10);
  const [a, b, c] = [0, 1, 2].map((k) => new Int16Array(50).map((_, i) => 1000 + 100 * Math.sin((50 * k + i) / 7)));
  const alone = new Ring(250, 10);
  for (const [k, samples] of [a, b, c].entries()) alone.write(1000 + 200 * k, 50 * k, samples, 1);
  ring.write(1000, 0, a, 1);
  ring.write(1200, 50, b, 1);
  assert.equal(ring.write(1000, 0, a, 1), Infinity);
  assert.equal(ring.write(1200, 50, b, 1), Infinity);
  ring.write(1400, 100, c, 1);
  for (let slot = 250; slot < 400; slot += 1) assert.equal(ring.at(slot), alone.at(slot), `slot ${slot}`);
});

test("samples that only the other server has fill the hole of the time between", () => {
  const ring = new Ring(100, 10);
  ring.write(1000, 0, ones(10), 1);
  ring.write(1300, 30, ones(10), 1);
  assert.equal(Number.isNaN(ring.at(115)), true);
  ring.write(1100, 10, ones(20), 1);
  assert.equal(Number.isNaN(ring.at(115)), false);
});

const own = (more = {}) => ({ id: "a", bed: "1", code: "x", priority: "high", kind: "physiological", presence: "present", onset_ms: 1, detected_ms: 2, stored_ms: 2, params: {}, acknowledged: null, source: "s", ...more });

test("an alarm that only the gateway knows stays until the hub knows it", () => {
  const alarms = new Alarms();
  const beds = new Set(["1"]);
  alarms.replace([], 5);
  alarms.takeOwn(own());
  assert.equal(alarms.active.length, 1);
  alarms.replace([], 6);
  assert.equal(alarms.active.length, 1, "the hub is back and has not heard of it");
  assert.equal(alarms.takenOver(beds), false);
  alarms.take(own(), 7);
  assert.equal(alarms.takenOver(beds), true);
  alarms.forgetOwn(beds);
  assert.equal(alarms.active.length, 1);
});

test("what was acknowledged at the gateway does not call again before the hub has heard of it", () => {
  const alarms = new Alarms();
  alarms.replace([own()], 5);
  alarms.takeOwn(own({ acknowledged: { by: "Li Na", at_ms: 9 } }));
  alarms.replace([own()], 6);
  assert.equal(alarms.active[0].acknowledged.by, "Li Na");
  assert.equal(alarms.takenOver(new Set(["1"])), false);
  alarms.take(own({ acknowledged: { by: "Li Na", at_ms: 9 } }), 7);
  assert.equal(alarms.takenOver(new Set(["1"])), true);
});

test("the edge owns presence and the hub what people did", () => {
  const alarms = new Alarms();
  alarms.replace([own({ acknowledged: { by: "Wang Wei", at_ms: 8 } })], 5);
  const { alarm } = alarms.takeOwn(own({ presence: "latched", acknowledged: { by: "somebody", at_ms: 9 } }));
  assert.deepEqual([alarm.presence, alarm.acknowledged.by], ["ended", "Wang Wei"]);
});

test("an alarm that came and was over while the hub was away keeps nobody at the gateway", () => {
  const alarms = new Alarms();
  alarms.takeOwn(own({ presence: "ended", acknowledged: { by: "Li Na", at_ms: 9 } }));
  assert.equal(alarms.takenOver(new Set(["1"])), true);
});

test("a lead of a gateway is the shown lead of the same source and code", () => {
  const shown = [{ index: 4, code: "II", short: "II", source: "a/ecg" }, { index: 7, code: "II", short: "II", source: "b/ecg" }];
  assert.equal(sameLead({ index: 0, code: "II", short: "II", source: "b/ecg" }, shown), 7);
  assert.equal(sameLead({ index: 0, code: "V1", short: "V1", source: "b/ecg" }, shown), -1);
});

test("the axis of a share ends at 100 and spans as much as another; a reading beyond it is still seen", () => {
  assert.deepEqual(spanned(96, 98, 6, false), [94, 100]);
  assert.deepEqual(spanned(98, 100, 6, true), [94, 100]);
  assert.deepEqual(spanned(98, 100, 6, false), [96, 102]);
  assert.deepEqual(spanned(60, 100, 6, true), [58, 100]);
  assert.deepEqual(spanned(99, 101, 6, true), [95, 101]);
  assert.deepEqual(spanned(null, null, 6, true), [null, null]);
});

test("the bar ahead of the pen is bare in every column, also where a row of the strip begins", () => {
  globalThis.devicePixelRatio = 1;
  const [width, height, rows] = [1210, 645, 3];
  const inked = Array.from({ length: rows }, () => new Uint8Array(width).fill(1));
  const strip = Object.assign(Object.create(Strip.prototype), { width, height, rows, mm: 96 / 25.4, paper: { width, height } });
  const c = { save() {}, restore() {}, setTransform() {}, drawImage: (_paper, left, top, wide) => inked[Math.floor((top * rows) / height)].fill(0, left, left + wide) };
  const pen = (from, to) => strip.pieces(from, to, (x0, x1, row) => inked[row].fill(1, Math.floor(x0), Math.ceil(x1)));
  const bar_ms = 240;
  let [now, state] = [1.7951e12, 1];
  let cleared = now;
  for (let frame = 0; frame < 40000; frame += 1) {
    state = (state * 48271) % 2147483647; // Park and Miller: uneven frames, the same in every run
    const next = now + 12 + (state % 900) / 100;
    strip.erase(c, cleared, next + bar_ms);
    pen(now, next);
    [now, cleared] = [next, next + bar_ms];
    strip.pieces(now, cleared, (x0, x1, row, t0) => {
      const first = t0 > now ? Math.round(x0) : Math.ceil(x0) + 1; // the pen itself stands in the first column of the first piece
      const left = inked[row].subarray(first, Math.floor(x1)).indexOf(1);
      assert.equal(left, -1, `column ${first + left} of row ${row} was left in frame ${frame}`);
    });
  }
});

test("measurements of one code are told apart by their source, those of one source by their site", () => {
  const [strap, screened, other] = [["s/heart_rate", "A"], ["s/ecg", "A"], ["s/ecg", "B"]].map(([source, code]) => ({ source, code, site: "" }));
  const [armpit, skin] = ["armpit", "wrist"].map((site) => ({ source: "t", code: "C", site }));
  const all = [strap, screened, other, armpit, skin];
  const said = all.map((one) => toldApart(one, all));
  assert.deepEqual(said.map((words) => words.split(" ").slice(1).join(" ")), ["s/heart_rate", "s/ecg", "", "armpit", "wrist"]);
});

test("a wave that is no ECG is fitted to its row and has its own colour", () => {
  assert.deepEqual(["MDC_ECG_ELEC_POTL_II", "MDC_PULS_OXIM_PLETH", "MDC_RESP"].map((code) => [isEcg(code), colourOf(code)]), [[true, "ecg"], [false, "spo2"], [false, "resp"]]);
  assert.deepEqual(extent([NaN, 5642, 61103, NaN, 30000]), [5642, 61103]);
  assert.equal(extent([NaN]), null);
  // the least stands below the most, both within the row, and what lies halfway in its middle
  const [low, half, high] = [5642, 33372.5, 61103].map((value) => fitted(value, [5642, 61103], 100));
  assert.ok(high > 0 && high < half && half < low && low < 100);
  assert.equal(half, 50);
  assert.equal(fitted(7, [7, 7], 100), 50, "a line without a wave");
});

test("what is no ECG stands in its ring as it came", () => {
  const [plain, cut] = [new Ring(75, 10, 0), new Ring(75, 10)];
  const samples = Int16Array.from({ length: 75 }, () => 8192);
  for (const ring of [plain, cut]) ring.write(0, 0, samples, 4);
  assert.deepEqual([plain.at(0), plain.at(74)], [32768, 32768]);
  assert.ok(Math.abs(cut.at(74)) < 1, "an electrode's offset is taken out");
  assert.deepEqual([...plain.stretch(960, 1040)].map(Number.isNaN), [false, false, false, true, true, true]);
});

test("the rest that a gateway still had of a silent device is no word of it", () => {
  const playout = new Playout();
  for (let ms = 0; ms <= 10000; ms += 333) playout.observe(ms, ms + 150);
  assert.equal(playout.silent(12200), true);
  playout.observe(10200, 12500); // what had not filled a packet when its patience ended
  assert.equal(playout.silent(12500), true);
  playout.observe(12600, 12750);
  assert.equal(playout.silent(12750), false, "data of now");
});

test("a moment stands in a field of date and time by the clock of this place, to the second", () => {
  const ms = new Date(2026, 10, 20, 3, 7, 8, 999).getTime();
  assert.equal(localTime(ms), "2026-11-20T03:07:08");
  assert.equal(Date.parse(localTime(ms)), ms - 999);
});

test("a device that is slower than its neighbour at all times has a way of its own", () => {
  const [quick, slow] = [new Way(), new Way()];
  for (let ms = 0; ms <= 10000; ms += 1000) {
    quick.take(ms, ms + 100);
    slow.take(ms, ms + 2300);
  }
  assert.deepEqual([quick.due(10000, 10100), slow.due(10000, 12300)], [10100, 12300], "neither is late by its own measure");
  assert.equal(slow.due(20000, 12300), 12300, "nothing is due later than now");
});

test("samples behind a step back of the gateway's clock are drawn, and the sweep goes on with them", () => {
  const hour = 3600_000;
  const ring = new Ring(100, 10);
  ring.write(hour + 1000, 0, new Int16Array(50).fill(7), 1);
  assert.equal(ring.write(1500, 50, new Int16Array(50).fill(9), 1, 7), 150);
  assert.equal(ring.endMs, 2000);
  assert.ok(!Number.isNaN(ring.at(199)));
  assert.equal(ring.write(2000, 100, new Int16Array(50).fill(9), 1, 7), 200);
  assert.equal(ring.steps, 1, "a step is one, however often it is told");
  const playout = new Playout();
  for (let now = 0; now < 2000; now += 250) playout.observe(hour + now, now + 100);
  playout.time(2000);
  for (let now = 2000; now < 4000; now += 250) playout.observe(now, now + 100, now === 2000);
  assert.equal(playout.newest, 3750);
  assert.ok(Math.abs(playout.time(4000) - 4000) < 1500);
});

test("what the hub had stored long ago neither ends the strip that the gateway fills nor is swept as of now", () => {
  const ring = new Ring(100, 90);
  const playout = new Playout();
  const begin = 3600_000;
  const live = (k) => [begin + 250 * k, 25 * k, new Int16Array(25).map((_, i) => Math.round(100 * Math.sin((25 * k + i) / 7))), 1];
  const old = (k) => [begin - 510_000 + 250 * k, 100_000 + 25 * k, new Int16Array(25).fill(500), 1];
  const alone = new Ring(100, 90);
  const take = (piece, now) => {
    const steps = ring.steps;
    const earliest = ring.write(...piece);
    playout.observe(ring.endMs, now, ring.steps > steps);
    return earliest;
  };
  let shown = -Infinity;
  for (let k = 0; k < 440; k += 1) {
    alone.write(...live(k));
    take(live(k), 250 * k);
    // 90 s are there, then the hub is back with the last 10 s that it has, between what the gateway goes on to send.
    if (k >= 380 && k < 420) assert.equal(take(old(k - 380), 250 * k + 50), Infinity);
    const time = playout.time(250 * k + 100);
    assert.ok(time >= shown || k < 2, `the sweep went back at ${k}`);
    shown = time;
  }
  assert.equal(ring.steps, 0);
  assert.equal(playout.newest, begin + 440 * 250);
  for (let slot = ring.end - ring.capacity; slot < ring.end; slot += 1) assert.equal(ring.at(slot), alone.at(slot), `slot ${slot}`);
});

test("a silent bed is not live again because a strip from long ago has come", () => {
  const playout = new Playout();
  for (let now = 0; now <= 5000; now += 250) playout.observe(1_000_000 + now, now);
  playout.time(5000);
  playout.observe(400_000, 8000);
  assert.equal(playout.silent(8000), true);
  assert.ok(playout.time(8020) > 1_000_000);
});

test("a step back that was told before is no step when its samples come late", () => {
  const ring = new Ring(100, 10);
  ring.write(100_000, 0, ones(100), 1, 7);
  ring.write(120_000, 2000, ones(100), 1, 7);
  assert.equal(ring.write(90_000, 500, ones(100), 1, 7), Infinity);
  assert.equal(ring.endMs, 121_000);
  assert.equal(ring.write(90_000, 5000, ones(100), 1, 8), 9000, "another step");
  assert.equal(ring.endMs, 91_000);
});
