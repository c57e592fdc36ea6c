"""Rates that a device's waves show, and saturations that its pulse wave speaks against, through the whole chain."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.screening import chain
from protocols.ecgfile.wfdb import read_record
from protocols.nomenclature import (
    ART_WAVE,
    HEART_RATE,
    HI_GT_LIM,
    IMPEDANCE_WAVE,
    PLETH,
    PULSE_RATE,
    PULSE_RATE_ART,
    RESPIRATION_RATE,
    SPO2,
)
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    Observation,
    Quality,
    Record,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
)
from tests.unit.screening.played import T0
from tests.unit.signal.signals import breathing, pulses, regular

CAPTURE = Path(__file__).parents[2] / "captures" / "bidmc-11-desaturation"
MONITOR = "monitor-1"
LENGTH_S = 120


def wave(code: str, samples: np.ndarray, fs_hz: float, unit: str, gain: float) -> Iterator[WaveformGroup]:
    """A wave as its device sends it, a second at once."""
    raw, each = np.rint(samples / gain).astype("<i4"), round(fs_hz)
    for at in range(0, len(raw) - each + 1, each):
        part = raw[None, at : at + each].tobytes()
        arrival = Times(T0 + (at + each) * NS_PER_S // each)
        yield WaveformGroup(
            SourcePath(MONITOR, (code,)), (code,), fs_hz, at, part, "<i4", (Scale(gain, 0.0, unit),), arrival
        )


def reading(code: str, value: float, at_s: float, unit: str = "/min") -> Observation:
    return Observation(SourcePath(MONITOR, ("numbers",)), code, value, unit, Times(T0 + round(at_s * NS_PER_S)))


def played(*records: Iterator[Record] | list[Observation]) -> list[Observation]:
    """What comes out of readings, those that went in among them; all in the order of their arrival."""
    state, out = chain.begin(), list[Observation]()
    for record in sorted((one for many in records for one in many), key=lambda one: one.times.gateway_ns):
        state, found = chain.step(state, record)
        out += [one for one in found if isinstance(one, Observation)]
    return out


def of(code: str, out: list[Observation]) -> list[Observation]:
    return [one for one in out if one.code == code]


def finger(rate_per_min: float = 72.0, length_s: int = LENGTH_S) -> Iterator[WaveformGroup]:
    return wave(PLETH, pulses(75, regular(rate_per_min, length_s), length_s), 75, "1", 0.001)


def test_a_recorded_finger_and_chest_have_the_rates_that_their_monitor_had():
    """bidmc 11, a minute after the start: the monitor's own numbers of the same seconds, the pulse's delay among them."""
    record = read_record(CAPTURE)
    _, pleth, resp = record.physical()
    out = played(wave(PLETH, pleth, 125, "1", 5e-4), wave(IMPEDANCE_WAVE, resp, 125, "Ohm", 5e-4))
    with CAPTURE.with_suffix(".numerics.csv").open() as file:
        known = {int(row["seconds"]): row for row in csv.DictReader(file)}
    for code, column, within in ((PULSE_RATE, "PULSE", 3), (RESPIRATION_RATE, "RESP", 3)):
        found = [(one, round((one.times.best_ns - T0) / NS_PER_S)) for one in of(code, out)]
        assert len(found) > 150  # of 300 s; where the finger cannot be used nothing is told
        apart = [abs(float(one.value) - float(known[at][column])) for one, at in found if at in known]
        assert np.median(apart) < within
        assert all(one.quality is Quality.GOOD for one, _ in found)


@pytest.mark.parametrize(
    ("sent", "told", "expected"),
    [
        (PLETH, PULSE_RATE, 72),
        (ART_WAVE, PULSE_RATE_ART, 72),
        (IMPEDANCE_WAVE, RESPIRATION_RATE, 15),
    ],
)
def test_a_wave_gives_its_rate_once_a_second_while_the_device_tells_none(sent: str, told: str, expected: float):
    shapes = {
        PLETH: finger,
        ART_WAVE: lambda: wave(ART_WAVE, 80 + 40 * pulses(125, regular(72, LENGTH_S), LENGTH_S), 125, "mm[Hg]", 0.1),
        IMPEDANCE_WAVE: lambda: wave(IMPEDANCE_WAVE, breathing(62.5, 15, LENGTH_S), 62, "Ohm", 0.001),
    }
    alone = of(told, played(shapes[sent]()))
    assert np.median([float(one.value) for one in alone]) == pytest.approx(expected, abs=0.5)
    assert np.diff([one.times.best_ns for one in alone]).min() >= 0.9 * NS_PER_S  # a hop is a whole number of samples
    own = [reading(told, expected + 3, at) for at in range(0, LENGTH_S, 5)]
    assert [one.value for one in of(told, played(shapes[sent](), own))] == [one.value for one in own]
    # the device falls silent in the middle: the wave's rate stands in ten seconds later
    half = [one for one in own if one.times.gateway_ns < T0 + 60 * NS_PER_S]
    behind = of(told, played(shapes[sent](), half))[len(half) :]
    assert (behind[0].times.best_ns - half[-1].times.best_ns) / NS_PER_S == pytest.approx(10.5, abs=1)


def test_the_rate_of_a_wave_is_held_against_its_limits_as_any_other():
    """190 a minute, where the table that ships has 130 as the yellow bound of a pulse rate."""
    state, alarms = chain.begin(), list[AlarmCondition]()
    for group in finger(190.0):
        state, out = chain.step(state, group)
        alarms += [one for one in out if isinstance(one, AlarmCondition)]
    (alarm,) = alarms
    assert (alarm.code, dict(alarm.params)["measure"]) == (HI_GT_LIM, PULSE_RATE)


def saturations(out: list[Observation]) -> list[Quality]:
    return [one.quality for one in of(SPO2, out)]


def test_a_saturation_beside_a_good_wave_is_good_and_its_number_stays_whatever_is_said_of_it():
    readings = [reading(SPO2, 97, at, "%") for at in range(30, 110, 5)]
    assert set(saturations(played(finger(), readings))) == {Quality.GOOD}
    assert set(saturations(played(readings))) == {Quality.GOOD}  # without a wave nothing is known against it
    noise = np.random.default_rng(5).normal(size=75 * LENGTH_S)
    doubted = of(SPO2, played(wave(PLETH, noise, 75, "1", 0.001), readings))
    assert {one.quality for one in doubted} == {Quality.QUESTIONABLE}
    assert {one.value for one in doubted} == {97}


def test_a_saturation_whose_pulse_is_not_the_hearts_is_questionable():
    readings = [reading(SPO2, 91, at, "%") for at in range(40, 110, 5)]
    hearts = {rate: [reading(HEART_RATE, rate, at) for at in range(0, 110, 2)] for rate in (74, 130)}
    assert set(saturations(played(finger(), readings, hearts[74]))) == {Quality.GOOD}
    assert set(saturations(played(finger(), readings, hearts[130]))) == {Quality.QUESTIONABLE}


def test_what_the_device_itself_says_of_a_saturation_stays():
    noise = np.random.default_rng(5).normal(size=75 * LENGTH_S)
    said = [
        Observation(SourcePath(MONITOR), SPO2, 97.0, "%", Times(T0 + at * NS_PER_S), quality=Quality.UNUSABLE)
        for at in range(40, 100, 10)
    ]
    assert set(saturations(played(wave(PLETH, noise, 75, "1", 0.001), said))) == {Quality.UNUSABLE}


def test_when_the_gateways_clock_is_set_no_rate_is_told_twice_and_the_devices_own_still_goes_before():
    hour_ns = 3600 * NS_PER_S
    groups = list(finger())
    state, before = chain.begin(), list[Observation]()
    for group in groups[:60]:
        state, out = chain.step(state, group)
        before += [one for one in out if isinstance(one, Observation)]
    moved = chain.stepped(state, hour_ns)
    assert [at - hour_ns for at in moved.vitals.told.values()] == list(state.vitals.told.values())
    assert before
