"""What came to a page over its WebSockets, and what of a strip came from nowhere."""

from collections.abc import Iterable

# Address, kind (1 samples, 2 a gap), bed as that connection numbers it, lead, first sample, samples.
WATCH = """
window.seen = [];
const Real = WebSocket;
window.WebSocket = class extends Real {
  constructor(url, protocols) {
    super(url, protocols);
    this.addEventListener("message", ({ data }) => {
      if (!(data instanceof ArrayBuffer)) return;
      for (let at = 0; at < data.byteLength; ) {
        const view = new DataView(data, at);
        const [kind, n] = [view.getUint8(1), view.getUint32(20, true)];
        window.seen.push([String(url), kind, view.getUint32(8, true), view.getUint16(2, true), view.getFloat64(32, true), n]);
        at += 48 + (kind === 1 ? 2 * n : n);
      }
    });
  }
};
"""
Seen = tuple[str, int, int, int, float, int]


def holes(frames: Iterable[Seen]) -> list[tuple[float, float]]:
    """The stretches of samples of lead 0, between the first and the last, that none of these frames brought."""
    spans = sorted((first, first + n) for _, kind, _, lead, first, n in frames if kind == 1 and lead == 0)
    found: list[tuple[float, float]] = []
    end = spans[0][0]
    for first, behind in spans:
        if first > end:
            found.append((end, first))
        end = max(end, behind)
    return found
