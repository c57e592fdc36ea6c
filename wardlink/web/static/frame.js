/** Reads one binary message of the live connection (little-endian, header of 48 bytes); leaves order and holes to live.js. */

const HEADER = 48;

/**
 * @param {ArrayBuffer} buffer
 * @returns {import("./contract").Frame}
 * @throws {Error} when version, kind or length is not what the header says
 */
export function readFrame(buffer) {
  if (buffer.byteLength < HEADER) throw new Error(`frame of ${buffer.byteLength} bytes: expected at least ${HEADER}`);
  const view = new DataView(buffer);
  const version = view.getUint8(0);
  if (version !== 1) throw new Error(`frame version ${version}: expected 1`);
  const kind = view.getUint8(1);
  const n = view.getUint32(20, true);
  const bytes = kind === 1 ? 2 * n : n;
  if (buffer.byteLength !== HEADER + bytes) throw new Error(`frame of ${buffer.byteLength} bytes: expected ${HEADER + bytes}`);
  const common = { number: view.getUint32(4, true), bed: view.getUint32(8, true), lead: view.getUint16(2, true), t0: view.getFloat64(24, true) };
  if (kind === 1) {
    return {
      kind: "samples", ...common, fs: view.getFloat32(12, true), scale: view.getFloat32(16, true),
      first: view.getFloat64(32, true), clock: view.getFloat64(40, true), samples: new Int16Array(buffer, HEADER, n),
    };
  }
  if (kind === 2) return { kind: "gap", ...common, end: view.getFloat64(40, true), reason: new TextDecoder().decode(new Uint8Array(buffer, HEADER, n)) };
  throw new Error(`frame kind ${kind}: expected 1 or 2`);
}

/** Frames that stand one behind the other. @param {ArrayBuffer} buffer @returns {import("./contract").Frame[]} @throws {Error} */
export function readFrames(buffer) {
  /** @type {import("./contract").Frame[]} */
  const found = [];
  const view = new DataView(buffer);
  for (let at = 0; at < buffer.byteLength; ) {
    if (buffer.byteLength - at < HEADER) throw new Error(`${buffer.byteLength - at} bytes behind the last frame`);
    const n = view.getUint32(at + 20, true);
    const end = at + HEADER + (view.getUint8(at + 1) === 1 ? 2 * n : n);
    found.push(readFrame(buffer.slice(at, end)));
    at = end;
  }
  return found;
}
