"""Find pacing pulses on raw samples and take them out, with the overshoot behind them, before anything is filtered.

A pulse lasts 0.1 to 2 ms (IEC 60601-2-27, 201.12.1.101.13), so a device shows it as one to three samples; what comes back within 12 ms
is no heart either (201.12.1.101.15: no response to 10 ms). It is found by its slope, by coming back, and by nothing else being there
or a slope that no heart has. The overshoot is an exponential: fitted behind the pulse and subtracted for as long as it lasts. Pulses
that are smaller than `AREA_UVS` stay: the filters behind leave nothing of them that could be a beat.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from models.signal.averages import steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STEEP_MV_MS = 0.07  # 1 mV and 10 ms has as much wherever the samples fall; so has a complex of 3.5 mV and 100 ms
NO_HEART_MV_MS = 0.35  # one of 5 mV and 40 ms, the steepest of 201.12.1.101.15, has 0.25
AREA_UVS = 0.3  # mV x ms; 7 is the smallest complex that is counted
EDGE_UVS = 1.7  # one sample as high as this over its length: the gate of slow devices
NARROW_S = 0.012
COMES_BACK = 0.55
NOTHING_ELSE, AROUND_S = 0.3, 0.03
BEFORE_S = 0.008
FITS_S = (0.028, 0.016)  # a complex may begin soon behind its pulse
TAIL_MV = 0.06
TAIL_GONE_MV = 0.005
TAILS_S = (0.002, 0.2)  # time constants; 4 to 100 ms in the tests of 201.12.1.101.13
STAYS = 2.0  # times the longest: what falls so slowly is the step of a lead to its rail
MOST_TAIL_MV = 10.0  # so is what is as large; the tests have 2 mV
UNEXPLAINED = 0.03
SETTLED_S = 0.06  # so long behind its beginning a pulse and its overshoot are known
EDGE_FS_HZ = 200.0  # below it a complex may be as steep
LEVEL = 0.25
FRONT = 3  # samples over which a device spreads an edge
ABRUPT_MS, ABRUPT = (
    0.18,
    0.45,
)  # of its height in one step: so much for each millisecond of a sample, and the most asked for
LEAD_IN, SUDDEN = 3, 0.4  # of the slope, two and three samples before
CROWDED, CROWD = 4, 24  # beginnings of a hop that are noise, no pulses


@dataclass(frozen=True, slots=True)
class Tail:
    """An overshoot: `mv` at sample `at`, falling by its part e in `samples`."""

    at: int
    mv: float
    samples: float

    def values(self, first: int, count: int) -> "Floats":
        """Its millivolts at these samples; 0 before it begins."""
        t = np.arange(first, first + count) - self.at
        return np.where(t >= 0, self.mv * np.exp(-np.maximum(t, 0) / self.samples), 0.0)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A window of one lead without its pulses: where those that are settled begin, and the overshoot that goes on."""

    samples: "Floats"
    pulses: tuple[int, ...]
    tail: Tail | None


def settled(fs_hz: float) -> int:
    """Samples at the end of a window that are looked at again in the next."""
    return round(SETTLED_S * fs_hz)


def suspected(windows: "Floats", begin: int, fs_hz: float) -> "NDArray[np.bool_]":
    """Where in windows, shape (leads, n), a pulse may begin, from index `begin` on: steep at once, behind what is not."""
    step = np.abs(steps(windows[:, begin - LEAD_IN :]))
    steep: NDArray[np.bool_] = step[:, LEAD_IN:] >= _gate(fs_hz)
    if not steep.any():
        return steep
    rises = step[:, LEAD_IN:].copy()
    np.maximum(rises[:, :-1], rises[:, 1:], out=rises[:, :-1])
    before = np.maximum(step[:, :-LEAD_IN], step[:, 1 : 1 - LEAD_IN])
    return steep & (before < SUDDEN * rises)


def is_steep(samples: "Floats", begin: int, fs_hz: float) -> bool:
    """Whether samples, shape (leads, n), are anywhere so steep that a pulse may begin in a window of them from index `begin` on."""
    return bool((np.abs(steps(samples[:, begin:])) >= _gate(fs_hz)).any())


def _gate(fs_hz: float) -> float:
    sample_ms = 1000 / fs_hz
    return min(STEEP_MV_MS * sample_ms, EDGE_UVS / sample_ms)


def clean(x: "Floats", starts: "NDArray[np.intp]", first: int, begin: int, tail: Tail | None, fs_hz: float) -> Cleaned:
    """Take the pulses out of a window of one lead, shape (n,), in millivolt, no NaN.

    `starts`: indices where one may begin; `first`: number of the first sample. What stands before index `begin` has been
    cleaned before; pulses that begin in the last `settled` samples are taken out as far as they are known, and told the next time.
    """
    x = x.copy()
    if tail is not None:
        x[begin:] -= tail.values(first + begin, len(x) - begin)
    told = len(x) - settled(fs_hz)  # what follows is read anew in the next window
    if tail is not None and abs(tail.mv) * np.exp(-(first + told - tail.at) / tail.samples) < TAIL_GONE_MV:
        tail = None
    pulses: list[int] = []
    at = begin
    if len(starts) > CROWD:
        starts = starts[np.abs(x[starts + 1] - x[starts]) >= CROWDED * _gate(fs_hz)][:CROWD]
    for begins in starts:
        if begins < at or not _abrupt(x, int(begins), fs_hz) or (judged := _judge(x, int(begins), fs_hz)) is None:
            continue
        start, end, is_pulse = judged
        found = _take_pulse(x, start, end, first, fs_hz) if is_pulse else _take_edge(x, start, first, fs_hz)
        if found is None:
            continue
        at, left = found
        if start < told:
            pulses.append(first + start + 1)
            tail = left or tail
    return Cleaned(x, tuple(pulses), tail)


def _take_edge(x: "Floats", start: int, first: int, fs_hz: float) -> tuple[int, Tail] | None:
    """Take the overshoot of a pulse that is too short to be seen out of `x`; the index where it is largest, and what it is."""
    edge = _edge(x, start, fs_hz)
    if edge is None:
        return None
    peak, mv, samples = edge
    tail = Tail(first + peak, mv, samples)
    x[peak:] -= tail.values(first + peak, len(x) - peak)
    x[start + 1 : peak] = np.linspace(x[start], x[peak], peak - start + 1)[1:-1]
    return peak, tail


def _take_pulse(x: "Floats", start: int, end: int, first: int, fs_hz: float) -> tuple[int, Tail | None]:
    """Take a pulse between two indices and its overshoot out of `x`; the index behind it, and the overshoot."""
    before = float(np.median(x[max(0, start + 1 - max(2, round(BEFORE_S * fs_hz))) : start + 1]))
    if end >= len(x):
        x[start + 1 :] = before
        return end, None
    height = float(x[start + 1 : end].sum() - before * (end - start - 1))
    turns = end + int(((x[end : end + FRONT] - before) * -np.sign(height)).argmax())
    over = _overshoot(x[turns:] - before, float(x[start + 1 : turns].sum() - before * (turns - start - 1)), fs_hz)
    tail = None
    if over is not None:
        tail = Tail(first + turns, *over)
        x[turns:] -= tail.values(first + turns, len(x) - turns)
    elif len(x) - turns < round(FITS_S[-1] * fs_hz) and abs(x[turns] - before) > TAIL_MV:
        x[start + 1 :] = before
    x[start + 1 : turns] = np.linspace(before, x[turns], turns - start + 1)[1:-1]
    return end, tail


def _abrupt(x: "Floats", start: int, fs_hz: float) -> bool:
    """Whether what begins here is as steep as only a pulse or its overshoot is for its height."""
    part: list[float] = x[start : start + 2 + int(NARROW_S * fs_hz)].tolist()
    share = min(ABRUPT, ABRUPT_MS * 1000 / fs_hz)
    return max(abs(b - a) for a, b in pairwise(part)) >= share * (max(part) - min(part))


def _judge(x: "Floats", start: int, fs_hz: float) -> tuple[int, int, bool] | None:
    """The steep stretch behind index `start`: the sample before it, the first one behind it, and whether it is a pulse."""
    gate = _gate(fs_hz)
    longest = int(np.ceil(NARROW_S * fs_hz)) + (fs_hz < EDGE_FS_HZ)
    step = np.abs(np.diff(x[start : start + longest + 1]))
    within = np.flatnonzero(step >= gate)
    if not len(within) or within[0] != 0:
        return None
    end = start + int(within[-1]) + 1
    rising = float(step.max())
    if end + 1 >= len(x) and end - start < longest:  # not over yet: a pulse, if nothing that beats is so steep
        return start, len(x), rising * fs_hz / 1000 >= NO_HEART_MV_MS
    first = start
    if fs_hz >= EDGE_FS_HZ:
        start, end = max(0, start - 1), min(end + 1, len(x) - 1)  # what a device spreads of it to either side
    elif end - start < 2:
        return first, end, False
    line = np.asarray(np.linspace(x[start], x[end], end - start + 1), np.float64)
    inside = x[start + 1 : end] - line[1:-1]
    height = float(np.abs(inside).max())
    back = abs(x[end] - x[start]) <= COMES_BACK * height
    large = float(np.abs(inside.sum())) * 1000 / fs_hz >= AREA_UVS
    if not back or not large:
        return first, end, False
    if rising * fs_hz / 1000 >= NO_HEART_MV_MS:
        return start, end, True
    near = max(2, round(AROUND_S * fs_hz))
    rest = np.concatenate([x[max(0, start + 1 - near) : start + 1], x[end : end + near]])
    if rest.max() - rest.min() <= NOTHING_ELSE * height:
        return start, end, True
    return first, end, False


def _edge(x: "Floats", start: int, fs_hz: float) -> tuple[int, float, float] | None:
    """The overshoot of a pulse that is too short to be seen: from a level line up at once, and an exponential back.

    Where it is largest, millivolts and time constant (samples) there.
    """
    length = round(FITS_S[0] * fs_hz)
    if fs_hz < EDGE_FS_HZ or start + 1 + FRONT + length > len(x):
        return None
    level = x[max(0, start + 1 - length) : start + 1]
    usual = float(np.median(level))
    peak = start + 1 + int(np.abs(x[start + 1 : start + 1 + FRONT] - usual).argmax())
    y = x[peak : peak + length] - usual
    if level.max() - level.min() > LEVEL * abs(y[0]):
        return None
    over = _overshoot(y, -float(y[0]), fs_hz, FITS_S[:1])
    return None if over is None else (peak, *over)


def _overshoot(
    y: "Floats", pulse: float, fs_hz: float, fits_s: tuple[float, ...] = FITS_S
) -> tuple[float, float] | None:
    """Millivolts and time constant (samples) of what falls to 0 behind a pulse, against its sign; None if nothing does."""
    if abs(y[0]) < TAIL_MV or y[0] * pulse > 0:
        return None
    for fit_s in fits_s:
        part = y[: max(4, round(fit_s * fs_hz))]
        if len(part) < 4:
            continue
        area = np.concatenate([[0.0], np.cumsum((part[1:] + part[:-1]) / 2)])
        table = np.column_stack([np.ones(len(part)), -area])
        (mv, share), *_ = np.linalg.lstsq(table, part)
        low, high = TAILS_S
        if share * STAYS * high * fs_hz <= 1 or mv * y[0] <= 0 or abs(mv) > MOST_TAIL_MV:
            continue
        samples = float(np.clip(1 / share, low * fs_hz, high * fs_hz))
        fall = np.exp(-np.arange(len(part)) / samples)
        mv = float(fall @ part / (fall @ fall))
        left = part - mv * fall
        if float(left @ left) <= UNEXPLAINED * float(part @ part):
            return mv, samples
    return None
