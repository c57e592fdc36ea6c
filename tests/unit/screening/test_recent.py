"""The pulse beside an ECG: which waves are followed, what of them is kept, and when they can be used."""

from collections.abc import Iterable

import numpy as np
import pytest

from models.screening import recent
from models.screening.recent import FRESH_NS, KEPT_NS, MOST_WAVES, Pulsing, RecentState
from protocols.nomenclature import ART_WAVE, PLETH, lead
from protocols.record import NS_PER_S, Scale, SourcePath, Times, WaveformGroup
from tests.unit.screening.played import T0
from tests.unit.signal.signals import pulses, regular

FS = 75.0
LENGTH_S = 40
WAVE = np.rint(1000 * pulses(FS, regular(72, LENGTH_S), LENGTH_S)).astype("<i4")
FINGER, OF_FINGER = SourcePath("monitor", ("pleth",)), Scale(0.001, 0.0, "1")


def stream(
    *,
    size: int = 15,
    code: str = PLETH,
    scale: Scale = OF_FINGER,
    source: SourcePath = FINGER,
    fs_hz: float = FS,
    without: range = range(0),
) -> Iterable[WaveformGroup]:
    """The same wave in groups of `size`; those that touch the samples of `without` are lost."""
    for at in range(0, len(WAVE), size):
        if without and at < without.stop and at + size > without.start:
            continue
        part = np.ascontiguousarray(WAVE[None, at : at + size])
        arrival = Times(T0 + round(at / fs_hz * NS_PER_S))
        yield WaveformGroup(source, (code,), fs_hz, at, part.tobytes(), "<i4", (scale,), arrival)


def followed(groups: Iterable[WaveformGroup]) -> RecentState:
    state = RecentState()
    for group in groups:
        state = recent.step(state, group)
    return state


def the_one(state: RecentState) -> Pulsing:
    [wave] = state.waves.values()
    assert wave.pulsing is not None
    return wave.pulsing


def test_pulses_of_the_last_twenty_seconds_are_kept_whatever_the_groups():
    kept = the_one(followed(stream()))
    assert kept.rate_per_min == pytest.approx(72, abs=1)
    assert kept.judged_ns - kept.beats[0] <= KEPT_NS
    assert len(kept.beats) == pytest.approx(24, abs=1)
    assert np.diff(kept.beats) / NS_PER_S == pytest.approx(60 / 72, abs=0.03)
    for size in (1, 7, 150):
        assert the_one(followed(stream(size=size))).rate_per_min == kept.rate_per_min


def test_a_pressure_in_its_unit_is_followed_and_another_unit_or_wave_is_not():
    def pressure(unit: str) -> RecentState:
        return followed(stream(code=ART_WAVE, scale=Scale(0.04, 80.0, unit)))

    assert the_one(pressure("mm[Hg]")).code == ART_WAVE
    assert not pressure("kPa").waves
    assert not followed(stream(code=lead("II"))).waves
    assert not followed(stream(fs_hz=10.0)).waves, "too few samples to see an upstroke"


def test_a_wave_can_be_used_for_two_seconds_behind_what_was_judged():
    state = followed(stream())
    judged_ns = the_one(state).judged_ns
    waves = recent.pulsing(state)
    assert recent.usable(waves, judged_ns + FRESH_NS)
    assert not recent.usable(waves, judged_ns + FRESH_NS + 1)
    assert not recent.usable(waves, judged_ns - FRESH_NS - 1), "it is ahead: not the same moment"


def test_a_hole_of_ten_seconds_begins_the_wave_anew():
    """What went before says nothing: the pulses have to be learned again."""
    hole = range(round(20 * FS), round(30 * FS))
    behind = followed(group for group in stream(without=hole) if group.first_sample < 31 * FS)
    [wave] = behind.waves.values()
    assert (wave.pulsing, wave.beats) == (None, ())


def test_no_more_than_four_waves_of_a_device_are_followed_and_the_one_that_fell_silent_first_goes():
    state = RecentState()
    for i in range(MOST_WAVES + 1):
        source = SourcePath("monitor", (f"pleth-{i}",))
        for group in stream(source=source):
            if group.first_sample < (5 + i) * FS:
                state = recent.step(state, group)
    assert sorted(source.path[0] for source, _ in state.waves) == [f"pleth-{i}" for i in range(1, MOST_WAVES + 1)]
