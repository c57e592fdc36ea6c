"""Tell where pacing pulses are not answered: the pulse is there, and no beat comes of it.

A pulse is judged once a search-back can bring no beat any more. One near a beat of the heart's own, before or behind, is answered: what
that says of sensing is not judged. Nothing is told before pulses were answered, so that steep noise is no pacemaker.
"""

from dataclasses import dataclass

from models.signal.rhythm.patterns import Pattern, Seen

AFTER_S = 0.35  # a beat behind a pulse: an atrial one has its AV delay
BEFORE_S = 0.3  # or before it
JUDGED_S = 2.0  # so long behind it: as late as a search-back brings a beat
LOOKED_AT = 8  # of the pulses before
ANSWERED = 0.5  # share of these
IN_A_ROW = 2
KEPT = 32  # pulses and beats: two seconds of pulses to both chambers at 300 /min, twice


@dataclass(frozen=True, slots=True)
class PacingState:
    """Pulses that wait for their judgement, the newest beats, how the last pulses were answered, and the unanswered row behind these.

    `row`: sample number of its first pulse, and how many there are.
    """

    waiting: tuple[int, ...] = ()
    beats: tuple[int, ...] = ()
    answered: tuple[bool, ...] = ()
    row: tuple[int, int] = (0, 0)
    watched_from: int = 0


def step(
    state: PacingState,
    pulses: tuple[int, ...],
    beats: tuple[int, ...],
    judged: int,
    interrupted: int | None,
    fs_hz: float,
) -> tuple[PacingState, tuple[Seen, ...]]:
    """Take new pulses and beats (sample numbers), up to where beats were looked for, and up to where some may have been lost."""
    if not pulses and not state.waiting:
        return (_newest(state, beats, interrupted) if beats or interrupted else state), ()
    state = _newest(state, beats, interrupted)
    waiting = (*state.waiting, *pulses)[-KEPT:]
    due = tuple(at for at in waiting if at + JUDGED_S * fs_hz <= judged)
    answered, row = state.answered, state.row
    out: list[Seen] = []
    for at in due:
        first, count = row
        if at - BEFORE_S * fs_hz < state.watched_from:
            answered, row = (), (0, 0)
        elif any(at - BEFORE_S * fs_hz < beat < at + AFTER_S * fs_hz for beat in state.beats):
            answered, row = (*answered, *((False,) * count), True)[-LOOKED_AT:], (0, 0)
        else:
            row = (first if count else at, count + 1)
            if row[1] >= IN_A_ROW and sum(answered) >= ANSWERED * LOOKED_AT:
                out.append(Seen(Pattern.NO_CAPTURE, row[0], at, row[1]))
    return PacingState(waiting[len(due) :], state.beats, answered, row, state.watched_from), tuple(out)


def _newest(state: PacingState, beats: tuple[int, ...], interrupted: int | None) -> PacingState:
    """The state with beats and an interruption."""
    known = tuple(sorted((*state.beats, *beats)))[-KEPT:] if beats else state.beats
    return PacingState(state.waiting, known, state.answered, state.row, max(state.watched_from, interrupted or 0))
