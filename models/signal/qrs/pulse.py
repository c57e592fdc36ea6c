"""Know a paced beat by its pacing pulse, and time it there.

A paced ventricle answers its pulse with a wide complex that has no sharp middle; annotators and devices place such a beat at the pulse
(mitdb 102, 104, 107, 217). The pulses have left the samples before anything looks for beats (`pacer`), so what is found lies up to
a tenth of a second behind them. A pulse counts only while beats answer pulses: one that captures nothing may fall just before a
heart's own beat.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.signal.frames import Hop
    from models.signal.qrs.beat import Heard

BEHIND_S = 0.14  # a beat lies so far behind its pulse at most: an atrial pulse comes earlier (AV delay 150 ms and more)
BEFORE_S = (
    0.02  # or so far before it, where the pulse is late in another lead; nearer pulses are one, seen in two leads
)
LOOKED_AT = 8  # of the newest pulses
ANSWERED = 0.4  # share of these that a beat answers; half where each beat has an atrial pulse too
KEPT = 16  # pulses and beats: a search-back finds a beat seconds later


@dataclass(frozen=True, slots=True)
class PulseState:
    """Sample numbers of the last pulses, in any lead, of the last beats as they were found, and of the last beat told."""

    pulses: tuple[int, ...] = ()
    beats: tuple[int, ...] = ()
    last: int = -1


def step(state: PulseState, hop: "Hop", heard: "Heard", fs_hz: float) -> "tuple[PulseState, Heard]":
    """Take a hop and its beats; give these with each paced one at its pulse."""
    pulses = state.pulses
    for at in sorted({at for lead in hop.pulses for at in lead}):
        if not pulses or at - pulses[-1] > BEFORE_S * fs_hz:
            pulses = (*pulses, at)[-KEPT:]
    if not heard.beats:
        return (state if pulses is state.pulses else replace(state, pulses=pulses)), heard
    found = tuple(sorted((*state.beats, *(at for at, _ in heard.beats))))[-KEPT:]
    last = max([state.last, *(at for at, _ in heard.beats)])
    if not pulses:
        return PulseState((), found, last), heard
    made = ((at, _made_by(at, pulses, found, state.last, fs_hz), beat) for at, beat in heard.beats)
    beats = tuple((at, beat) if by is None else (by, replace(beat, paced=True)) for at, by, beat in made)
    return PulseState(pulses, found, max([state.last, *(at for at, _ in beats)])), replace(heard, beats=beats)


def _made_by(at: int, pulses: tuple[int, ...], beats: tuple[int, ...], last: int, fs_hz: float) -> int | None:
    """The pulse that made the beat at sample `at`, if one did."""
    before = [p for p in pulses if p <= at + BEFORE_S * fs_hz]
    if not before or before[-1] <= max(last, at - BEHIND_S * fs_hz):
        return None
    asked = before[-LOOKED_AT:]
    answered = sum(any(p - BEFORE_S * fs_hz <= b < p + BEHIND_S * fs_hz for b in beats) for p in asked)
    return before[-1] if answered >= ANSWERED * len(asked) else None
