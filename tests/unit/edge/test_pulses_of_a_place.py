"""An ECG on one device is held against the pulse that another device of the same point of care sees."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from edge.pipeline.pulses import Pulses
from edge.pipeline.screened import Screened
from models.screening.placement import Placement
from protocols.nomenclature import ASYSTOLE, EVT_ALARM_HELD, PLETH
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    DeviceEvent,
    Presence,
    Record,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
)
from tests.unit.screening.played import T0, groups, seconds
from tests.unit.signal.signals import heartbeats, pulses, regular

FS, PULSE_HZ, LENGTH_S, STOPS_S = 250.0, 75.0, 55, 30
AMPLIFIER, OXIMETER = "amplifier-1", "oximeter-1"


def ecg() -> list[WaveformGroup]:
    """Regular beats for half a minute, then a flat line."""
    beats = heartbeats(FS, regular(75, STOPS_S), LENGTH_S)[None]
    return [replace(group, source=SourcePath(AMPLIFIER, ("ecg",))) for group in groups(beats)]


def finger(until_s: float = LENGTH_S) -> list[WaveformGroup]:
    """Pulses a quarter of a second behind regular beats."""
    ends = [at + 0.25 for at in regular(75, until_s)]
    raw = np.rint(1000 * pulses(PULSE_HZ, ends, LENGTH_S)).astype("<i4")[None]
    source, scale = SourcePath(OXIMETER, ("pleth",)), (Scale(0.001, 0.0, "1"),)
    return [
        WaveformGroup(
            source, (PLETH,), PULSE_HZ, at, np.ascontiguousarray(raw[:, at : at + 15]).tobytes(), "<i4", scale,
            Times(T0 + round(at / PULSE_HZ * NS_PER_S)),
        )
        for at in range(0, raw.shape[1], 15)
    ]  # fmt: skip


@dataclass
class Ward:
    """Two devices of one agent, each at a place."""

    places: dict[str, str]
    found: list[Record] = field(default_factory=list[Record])

    def __post_init__(self) -> None:
        shared = Pulses()
        self.devices = {
            name: Screened(name, Placement(point_of_care=place), pulses=shared) for name, place in self.places.items()
        }

    def play(self, *streams: Iterable[WaveformGroup], before_s: float = LENGTH_S) -> None:
        for group in sorted((one for stream in streams for one in stream), key=lambda one: one.times.gateway_ns):
            if seconds(group.times.gateway_ns) < before_s:
                self.found += self.devices[group.source.device].step([group])

    @property
    def held(self) -> list[DeviceEvent]:
        return [one for one in self.found if isinstance(one, DeviceEvent) and one.code == EVT_ALARM_HELD]

    @property
    def raised_s(self) -> float:
        [alarm] = [
            one
            for one in self.found
            if isinstance(one, AlarmCondition) and (one.code, one.presence) == (ASYSTOLE, Presence.PRESENT)
        ]
        return seconds(alarm.detected_ns)


@pytest.fixture(scope="module")
def alone_s() -> float:
    ward = Ward({AMPLIFIER: "ICU/1"})
    ward.play(ecg())
    return ward.raised_s


def test_the_pulse_of_the_same_place_holds_asystole_back_and_the_event_names_its_device(alone_s: float):
    ward = Ward({AMPLIFIER: "ICU/1", OXIMETER: "ICU/1"})
    ward.play(ecg(), finger())
    assert ward.raised_s == pytest.approx(alone_s + 10, abs=0.6)
    [held] = ward.held
    assert held.source.device == AMPLIFIER, "the event is of the device whose alarm is held"
    assert dict(held.params)["pulse_device"] == OXIMETER


@pytest.mark.parametrize("place", ["ICU/2", ""])
def test_the_pulse_of_another_place_or_of_none_holds_nothing(alone_s: float, place: str):
    ward = Ward({AMPLIFIER: place and "ICU/1", OXIMETER: place})
    ward.play(ecg(), finger())
    assert (ward.raised_s, ward.held) == (alone_s, [])


def test_a_pulse_that_stops_with_the_beats_holds_nothing(alone_s: float):
    ward = Ward({AMPLIFIER: "ICU/1", OXIMETER: "ICU/1"})
    ward.play(ecg(), finger(STOPS_S))
    assert (ward.raised_s, ward.held) == (alone_s, [])


def test_a_device_that_goes_to_another_place_takes_its_pulse_along(alone_s: float):
    ward = Ward({AMPLIFIER: "ICU/1", OXIMETER: "ICU/1"})
    both = [*ecg(), *finger()]
    ward.play(both, before_s=STOPS_S)
    ward.devices[OXIMETER].place(Placement(point_of_care="ICU/2"))
    ward.play(one for one in both if seconds(one.times.gateway_ns) >= STOPS_S)
    assert (ward.raised_s, ward.held) == (alone_s, [])


def test_a_place_is_forgotten_with_its_last_pulse():
    shared = Pulses()
    device = Screened(OXIMETER, Placement(point_of_care="ICU/1"), pulses=shared)
    for group in finger():
        device.step([group])
    assert [wave.device for wave in shared.beside("ICU/1", AMPLIFIER)] == [OXIMETER]
    assert not shared.beside("ICU/1", OXIMETER), "its own it knows itself"
    device.place(Placement())
    assert not shared.beside("ICU/1", AMPLIFIER)
