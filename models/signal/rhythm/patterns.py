"""Name what ventricular beats and pauses make of a rhythm: couplets, runs, bigeminy, trigeminy, pauses.

Told from beats with their classes alone, in their order. Where watching was interrupted nothing goes on: beats may have been lost there.
A pattern is told with the beat that makes it certain, so one beat behind its last one for a couplet, at once for all others.
"""

from dataclasses import dataclass
from enum import StrEnum

from models.signal.beats import Kind

PAUSE_S = 2.0  # from which a report of long-term ECG lists an interval (docs/decisions/0198)
RUN = 3  # ventricular beats in a row; two are a couplet
TIMES = 3  # ventricular beats of a bigeminy or trigeminy
KEPT = 7  # beats: the longest pattern, three ventricular ones with two others between each
INTERRUPTIONS = 8
KNOWN = (Kind.N, Kind.S, Kind.P)  # what surely is no ventricular ectopic beat


class Pattern(StrEnum):
    """Patterns by their names."""

    BIGEMINY = "bigeminy"
    TRIGEMINY = "trigeminy"
    COUPLET = "couplet"
    RUN = "run"
    PAUSE = "pause"
    NO_CAPTURE = "no-capture"  # found by `pacing`


BETWEEN = {Pattern.BIGEMINY: 1, Pattern.TRIGEMINY: 2}  # other beats between two ventricular ones


@dataclass(frozen=True, slots=True)
class Seen:
    """A pattern from sample `first` to `last`, both beats (pulses where no beat comes of them). One that grows is told again, with the same `first`.

    `beats`: ventricular ones of a couplet or run, or pulses without a beat. `per_min`: rate inside a couplet or run. `pause_s`: length of a pause.
    """

    pattern: Pattern
    first: int
    last: int
    beats: int = 0
    per_min: float | None = None
    pause_s: float | None = None


@dataclass(frozen=True, slots=True)
class PatternState:
    """The last beats without an interruption between them, where the row of ventricular ones that ends them began, and interruptions to come.

    `row`: sample number of its first beat, and how many there are.
    """

    beats: tuple[tuple[int, Kind], ...] = ()
    row: tuple[int, int] = (0, 0)
    interruptions: tuple[int, ...] = ()


def step(
    state: PatternState, beats: tuple[tuple[int, Kind], ...], interrupted: int | None, fs_hz: float
) -> tuple[PatternState, tuple[Seen, ...]]:
    """Take beats (sample number, class) in their order, and up to where beats may have been lost since the last one."""
    if interrupted is not None:
        marks = (*state.interruptions, interrupted)[-INTERRUPTIONS:]
        state = PatternState(state.beats, state.row, marks)
    out: list[Seen] = []
    for at, kind in beats:
        state, seen = _beat(state, at, kind, fs_hz)
        out += seen
    return state, tuple(out)


def _beat(state: PatternState, at: int, kind: Kind, fs_hz: float) -> tuple[PatternState, list[Seen]]:
    last = state.beats[-1][0] if state.beats else -1
    if at <= last:  # a search-back's, behind which a beat was told already
        return state, []
    if any(last < mark <= at for mark in state.interruptions):
        state = PatternState(interruptions=state.interruptions)
    out: list[Seen] = []
    if state.beats and at - last > PAUSE_S * fs_hz:
        out.append(Seen(Pattern.PAUSE, last, at, pause_s=(at - last) / fs_hz))
    first, count = state.row
    if kind is Kind.V:
        row = (first, count + 1) if count else (at, 1)
    else:
        row = (0, 0)
        if count == RUN - 1:
            out.append(Seen(Pattern.COUPLET, first, last, count, 60 * fs_hz / (last - first)))
    known = (*state.beats, (at, kind))[-KEPT:]
    if row[1] >= RUN:
        out.append(Seen(Pattern.RUN, row[0], at, row[1], 60 * fs_hz * (row[1] - 1) / (at - row[0])))
    out += [
        Seen(pattern, known[-1 - (TIMES - 1) * (between + 1)][0], at)
        for pattern, between in BETWEEN.items()
        if _alternates(known, between)
    ]
    marks = tuple(mark for mark in state.interruptions if mark > at)
    return PatternState(known, row, marks), out


def _alternates(beats: tuple[tuple[int, Kind], ...], between: int) -> bool:
    """Whether the newest beats are `TIMES` ventricular ones, each two with so many between them that are surely none."""
    length = (TIMES - 1) * (between + 1) + 1
    if len(beats) < length:
        return False
    return all(
        kind is Kind.V if i % (between + 1) == 0 else kind in KNOWN for i, (_, kind) in enumerate(beats[-length:])
    )
