"""What a judgement of rhythm rests on, told with its alarm: the stretches that decided, what was seen in them, and the table that weighed it.

Sample numbers are those of the source. The words for what was seen belong to whoever shows it.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

from models.screening.alarms import Grounds
from models.signal import explain, frames, lethal, rate
from protocols.record import Model, Reason, Span

if TYPE_CHECKING:
    from models.screening.runs import Run
    from models.signal.lethal import LethalScore
    from models.signal.networks import Network
    from models.signal.trees import Trees

WINDOW, JUDGED, PAUSE, INTERVALS = "window", "judged", "pause", "intervals"
_DIGITS = 12  # of a table's hash: enough to tell it from any other
_DECIMALS = 4


def of_waves(score: "LethalScore", trees: "Trees", end: int, fs_hz: float, leads: tuple[str, ...]) -> Grounds:
    """Of a lethal score: the window that weighed most, all that was judged, and what was seen. `end`: behind the newest window."""
    if not score.windows:
        return Grounds()
    hop = frames.plan(fs_hz).hop
    end -= round(frames.HALF_KERNEL / frames.BAND_HOP * hop)
    newest = len(score.windows) - 1
    heaviest, row = explain.heaviest_window(score.windows)
    length = lethal.WINDOW_HOPS * hop
    last = end - (newest - heaviest) * hop
    judged = sorted({lead for window in score.windows for lead in window.leads})
    spans = (
        Span(WINDOW, last - length, last, (leads[score.windows[heaviest].leads[row]],)),
        Span(JUDGED, end - newest * hop - length, end, tuple(leads[lead] for lead in judged)),
    )
    models = (Model("lethal", trees.version, trees.sha256[:_DIGITS]),)
    if trees.meaning is None:
        return Grounds(spans, models=models)
    found = explain.explain(score, trees, trees.meaning)
    reasons = tuple(
        Reason(w.code, w.weight, None if w.value is None else round(w.value, _DECIMALS), w.unit) for w in found.weighed
    )
    return Grounds(spans, reasons, models)


def of_pause(begin: int, end: int, finder: "Network | None") -> Grounds:
    """Of asystole: the stretch without a beat. `finder`: the network that looked for beats, if one did."""
    return Grounds((Span(PAUSE, begin, end),), models=_model("qrs", finder)) if begin < end else Grounds()


def of_rate(beats: tuple[int, ...], judged: int, fs_hz: float, finder: "Network | None") -> Grounds:
    """Of a rate: the beats that it was counted from. A running pause longer than each of their intervals counts with them."""
    known = [b for b in beats if b < judged]
    counted = known[-1 - rate.counted([(b - a) / fs_hz for a, b in pairwise(known)]) :]
    if len(counted) < 2:
        return Grounds()
    longest = max(b - a for a, b in pairwise(counted))
    running = judged - counted[-1] > longest
    return Grounds((Span(INTERVALS, counted[0], judged if running else counted[-1] + 1),), models=_model("qrs", finder))


def of_run(run: "Run", finder: "Network | None", namer: "Network | None") -> Grounds:
    """Of ventricular beats in a row: their stretch. `namer`: the network that told what kind of beats they are, if one did."""
    return Grounds(
        (Span(INTERVALS, run.first, run.last + 1),), models=(*_model("qrs", finder), *_model("beats", namer))
    )


def _model(name: str, network: "Network | None") -> tuple[Model, ...]:
    return () if network is None else (Model(name, network.version, network.sha256[:_DIGITS]),)
