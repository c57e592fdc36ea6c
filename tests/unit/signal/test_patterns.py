"""Names of rhythms from beats with their classes: what is counted is written as letters, a beat each 0.8 s."""

import pytest

from models.signal.beats import Kind
from models.signal.rhythm import pacing, patterns
from models.signal.rhythm.patterns import Pattern, PatternState, Seen

FS_HZ = 250.0
EVERY = 200  # samples: 0.8 s, 75 a minute


def beats_of(kinds: str, every: int = EVERY) -> tuple[tuple[int, Kind], ...]:
    return tuple((i * every, Kind(kind)) for i, kind in enumerate(kinds, 1))


def seen(kinds: str, every: int = EVERY) -> list[Seen]:
    return list(patterns.step(PatternState(), beats_of(kinds, every), None, FS_HZ)[1])


def names(kinds: str) -> list[str]:
    return [str(one.pattern) for one in seen(kinds)]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("NNNNNNNN", []),
        ("NNVNNNNVNN", []),  # single ones are no pattern
        ("NVVN", ["couplet"]),
        ("NVVQN", ["couplet"]),  # a beat that nobody is sure of is no third one
        ("NVV", []),  # it could still be a run
        ("NVVVN", ["run"]),
        ("NVNVN", []),
        ("NVNVNVN", ["bigeminy"]),
        ("NVSVSVN", ["bigeminy"]),  # what stands between need not be normal
        ("PVPVPVP", ["bigeminy"]),  # a paced beat is no ectopic one
        ("NVQVQVN", []),  # but it must be known
        ("VNNVNNVN", ["trigeminy"]),
        ("VNVNNVN", []),  # neither
        ("NVVNVVN", ["couplet", "couplet"]),
    ],
)
def test_letters_have_their_names(kinds: str, expected: list[str]):
    assert names(kinds) == expected


def test_a_run_is_told_as_it_grows_with_its_rate():
    (three, four) = seen("NVVVVN", every=100)  # 0.4 s: 150 a minute
    assert three == Seen(Pattern.RUN, 200, 400, 3, 150.0)
    assert four == Seen(Pattern.RUN, 200, 500, 4, 150.0)


def test_a_pause_is_longer_than_two_seconds_and_has_its_length():
    beats = ((100, Kind.N), (600, Kind.N), (1101, Kind.N))  # 2.000 and 2.004 s
    (only,) = patterns.step(PatternState(), beats, None, FS_HZ)[1]
    assert only == Seen(Pattern.PAUSE, 600, 1101, pause_s=501 / FS_HZ)


def test_nothing_goes_on_where_watching_was_interrupted():
    row = beats_of("NVVVNVNVNV")
    for cut in range(len(row)):
        state, _ = patterns.step(PatternState(), row[:cut], None, FS_HZ)
        lost_until = row[cut][0] - 10
        _, behind = patterns.step(state, row[cut:], lost_until, FS_HZ)
        assert all(one.first > lost_until for one in behind)
    # a minute without a lead is no pause
    state, _ = patterns.step(PatternState(), ((100, Kind.N),), None, FS_HZ)
    state, _ = patterns.step(state, (), 15_000, FS_HZ)
    assert patterns.step(state, ((15_100, Kind.N),), None, FS_HZ)[1] == ()


def test_an_interruption_behind_a_beat_that_has_no_class_yet_is_kept_for_the_next_one():
    state, _ = patterns.step(PatternState(), ((100, Kind.V), (300, Kind.V)), None, FS_HZ)
    state, _ = patterns.step(state, (), 900, FS_HZ)  # the beat at 500 is classified later
    state, out = patterns.step(state, ((500, Kind.V),), None, FS_HZ)
    assert [one.pattern for one in out] == [Pattern.RUN]
    assert patterns.step(state, ((1000, Kind.V),), None, FS_HZ)[1] == ()


def test_a_beat_found_late_behind_others_changes_nothing():
    state, _ = patterns.step(PatternState(), ((200, Kind.V), (400, Kind.V)), None, FS_HZ)
    assert patterns.step(state, ((300, Kind.N),), None, FS_HZ) == (state, ())


PACED = tuple(range(250, 6000, 250))  # a pulse a second


def unanswered(beats: tuple[int, ...], noise: range = range(0)) -> list[Seen]:
    state, out = pacing.PacingState(), list[Seen]()
    for judged in range(0, 7000, 125):
        fresh = tuple(p for p in PACED if judged - 125 <= p < judged)
        found = tuple(b for b in beats if judged - 125 <= b < judged)
        state, told = pacing.step(state, fresh, found, judged, judged if judged in noise else None, FS_HZ)
        out += told
    return out


def test_two_pulses_without_a_beat_behind_answered_ones_are_a_loss_of_capture():
    answered = tuple(p + 15 for p in PACED)  # 60 ms behind
    assert unanswered(answered) == []
    lost = tuple(b for p, b in zip(PACED, answered, strict=True) if p not in (3000, 3250, 3500))
    assert unanswered(lost) == [
        Seen(Pattern.NO_CAPTURE, 3000, 3250, 2),
        Seen(Pattern.NO_CAPTURE, 3000, 3500, 3),
    ]
    one = tuple(b for p, b in zip(PACED, answered, strict=True) if p != 3000)
    assert unanswered(one) == []


def test_pulses_that_no_beat_ever_answered_are_no_pacemaker_and_a_beat_of_the_hearts_own_answers_too():
    assert unanswered(()) == []
    own = tuple(p - 50 for p in PACED)  # 0.2 s before each pulse: it is not asked what that says of sensing
    assert unanswered(own) == []


def test_what_was_not_watched_is_not_judged():
    beats = tuple(p + 15 for p in PACED if not 3000 <= p <= 4000)
    assert len(unanswered(beats)) == 4
    assert unanswered(beats, noise=range(2950, 4200)) == []
