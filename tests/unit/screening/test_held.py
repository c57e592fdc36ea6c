"""An alarm that the pulse of the same device speaks against, through the whole chain: when it is held, for how long, and what is told of it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.screening import chain
from models.screening.fusion import MOST_HELD_S
from protocols.ecgfile.wfdb import read_record
from protocols.nomenclature import (
    ASYSTOLE,
    EVT_ALARM_DOUBTED,
    EVT_ALARM_HELD,
    PLETH,
    TERMS,
    V_FIB,
)
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    DeviceEvent,
    Presence,
    Quality,
    Record,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
)
from tests.unit.screening.played import T0, Played, groups, play, seconds
from tests.unit.signal.signals import fibrillation, heartbeats, pulses, regular

FS, PULSE_HZ = 250.0, 75.0
LENGTH_S, STOPS_S, PULSE_STOPS_S = 60, 30, 40.0
FINGER = SourcePath("bed-1-ecg", ("pleth",))


def ecg(stops_s: float = STOPS_S, length_s: float = LENGTH_S) -> np.ndarray:
    """Regular beats, then none: a flat line with a little noise."""
    return heartbeats(FS, regular(75, stops_s), length_s)[None]


def finger(ends_s: list[float], length_s: float = LENGTH_S, quality: Quality = Quality.GOOD) -> Iterator[WaveformGroup]:
    """A plethysmogram whose pulses arrive a quarter of a second behind their beats."""
    raw = np.rint(1000 * pulses(PULSE_HZ, [at + 0.25 for at in ends_s], length_s)).astype("<i4")[None]
    size = round(PULSE_HZ / 5)
    for at in range(0, raw.shape[1], size):
        part = np.ascontiguousarray(raw[:, at : at + size])
        arrival = Times(T0 + round(at / PULSE_HZ * NS_PER_S))
        yield WaveformGroup(
            FINGER, (PLETH,), PULSE_HZ, at, part.tobytes(), "<i4", (Scale(0.001, 0.0, "1"),), arrival, (quality,)
        )


def together(*streams: Iterable[WaveformGroup]) -> list[WaveformGroup]:
    """As a device sends them: in the order of time."""
    return sorted((group for stream in streams for group in stream), key=lambda group: group.times.gateway_ns)


def changes(found: Iterable[Record], code: str) -> list[tuple[float, Presence]]:
    return [
        (round(seconds(one.detected_ns), 1), one.presence)
        for one in found
        if isinstance(one, AlarmCondition) and one.code == code
    ]


def events(found: Iterable[Record], code: str) -> list[DeviceEvent]:
    return [one for one in found if isinstance(one, DeviceEvent) and one.code == code]


def raised_s(played: Played, code: str) -> float:
    [alarm] = played.raised(code)
    return seconds(alarm.detected_ns)


@pytest.fixture(scope="module")
def alone_s() -> float:
    """When asystole is alarmed of this ECG without a pulse beside it."""
    return raised_s(play(groups(ecg())), ASYSTOLE)


def test_asystole_is_alarmed_at_once_where_the_pulse_stops_with_the_beats(alone_s: float):
    played = play(together(groups(ecg()), finger(regular(75, STOPS_S))))
    assert raised_s(played, ASYSTOLE) == pytest.approx(alone_s, abs=0.5)
    assert not events(played.records, EVT_ALARM_HELD)


def test_a_pulse_that_goes_on_holds_asystole_back_for_ten_seconds_and_no_longer(alone_s: float):
    played = play(together(groups(ecg()), finger(regular(75, LENGTH_S))))
    assert raised_s(played, ASYSTOLE) == pytest.approx(alone_s + MOST_HELD_S[ASYSTOLE], abs=0.6)
    [held], [doubted] = (events(played.records, code) for code in (EVT_ALARM_HELD, EVT_ALARM_DOUBTED))
    assert seconds(held.times.best_ns) == pytest.approx(alone_s, abs=0.5)
    assert seconds(doubted.times.best_ns) == pytest.approx(raised_s(played, ASYSTOLE), abs=0.5)
    told = dict(held.params)
    assert (told["alarm"], told["pulse"], told["pulse_of"]) == (ASYSTOLE, "pulse-goes-on", PLETH)
    assert told["pulse_rate"] == pytest.approx(75, abs=1)
    assert {held.code, doubted.code} <= TERMS.keys()
    [alarm] = played.raised(ASYSTOLE)
    said = dict(alarm.params)
    assert said["held_s"] == pytest.approx(10, abs=0.6)
    assert said["pulse_rate"] == pytest.approx(75, abs=1)
    assert seconds(alarm.onset_ns) == pytest.approx(STOPS_S, abs=1), "the onset is that of what was held"


def test_what_is_held_is_alarmed_as_soon_as_the_pulse_stops_too(alone_s: float):
    """Without beats from 30 s, without a pulse from 37 s: overdue behind a second and a third."""
    played = play(together(groups(ecg()), finger(regular(75, 37.0))))
    assert events(played.records, EVT_ALARM_HELD)
    assert alone_s + 2 < raised_s(played, ASYSTOLE) <= 37 + 60 / 75 * 1.6 + 1.5


def test_what_is_held_and_goes_by_is_an_event_and_no_alarm():
    """Beats that are too small to be found for seven seconds while the pulse goes on."""
    beats = regular(75, LENGTH_S)
    x = heartbeats(FS, [at for at in beats if not 30 <= at < 37], LENGTH_S)[None]
    played = play(together(groups(x), finger(beats)))
    assert len(events(played.records, EVT_ALARM_HELD)) == 1
    assert not played.raised(ASYSTOLE)


def test_fibrillation_is_never_held():
    wild = ecg()
    wild[0, round(STOPS_S * FS) :] = fibrillation(FS, LENGTH_S - STOPS_S)
    alone = raised_s(play(groups(wild)), V_FIB)
    played = play(together(groups(wild), finger(regular(75, LENGTH_S))))
    assert raised_s(played, V_FIB) == alone
    assert V_FIB not in {dict(one.params)["alarm"] for one in events(played.records, EVT_ALARM_HELD)}


@pytest.mark.parametrize("quality", [Quality.UNUSABLE, Quality.LEAD_OFF])
def test_a_wave_that_the_device_calls_unusable_holds_nothing(alone_s: float, quality: Quality):
    played = play(together(groups(ecg()), finger(regular(75, LENGTH_S), quality=quality)))
    assert raised_s(played, ASYSTOLE) == alone_s


def test_a_wave_that_is_late_holds_nothing(alone_s: float):
    pulse = [group for group in finger(regular(75, LENGTH_S)) if seconds(group.times.gateway_ns) < alone_s - 3]
    played = play(together(groups(ecg()), pulse))
    assert raised_s(played, ASYSTOLE) == alone_s


def test_what_is_held_moves_with_the_gateways_clock(alone_s: float):
    """Set forward by an hour while an alarm is held: the hold ends when it would have."""
    by_ns = 3600 * NS_PER_S
    played = together(groups(ecg()), finger(regular(75, LENGTH_S)))
    before = [group for group in played if seconds(group.times.gateway_ns) < alone_s + 4]
    state, out = chain.begin(), []
    for group in before:
        state, told = chain.step(state, group)
        out += told
    assert events(out, EVT_ALARM_HELD)
    state = chain.stepped(state, by_ns)
    for group in played[len(before) :]:
        state, told = chain.step(state, replace(group, times=Times(group.times.gateway_ns + by_ns)))
        out += told
    [(at_s, presence), *_] = changes(out, ASYSTOLE)
    assert presence is Presence.PRESENT
    assert at_s - 3600 == pytest.approx(alone_s + MOST_HELD_S[ASYSTOLE], abs=0.6)


@pytest.mark.parametrize(
    ("name", "becomes"), [("cinc2015-a306s-artefact", "held"), ("cinc2015-a372s-asystole", "raised")]
)
def test_two_alarms_of_an_intensive_care_unit(captures: Path, name: str, becomes: str):
    """What experts called a false alarm of asystole is held back, what they called a true one is alarmed at once."""
    record = read_record(captures / name)
    names = [signal.description for signal in record.header.signals]
    volts = record.physical()
    rows = [names.index("II"), names.index("V")]
    raw = record.raw[[names.index("PLETH")]]
    scale = record.header.signals[names.index("PLETH")]
    size = round(record.fs_hz / 5)
    pulse = [
        WaveformGroup(
            FINGER, (PLETH,), record.fs_hz, at, np.ascontiguousarray(raw[:, at : at + size], "<i2").tobytes(), "<i2",
            (Scale(1 / scale.gain, -scale.baseline / scale.gain, "1"),), Times(T0 + round(at / record.fs_hz * NS_PER_S)),
        )
        for at in range(0, raw.shape[1], size)
    ]  # fmt: skip
    played = play(together(groups(volts[rows], record.fs_hz, size=size), pulse))
    told = {dict(one.params)["alarm"] for one in events(played.records, EVT_ALARM_HELD)}
    assert (ASYSTOLE in told, bool(played.raised(ASYSTOLE))) == (becomes == "held", becomes == "raised")
