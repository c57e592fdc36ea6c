"""Readings that a device kept back, timed by its own clock; and what is believed of that clock, against a truth that is known."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from models.screening import align, chain
from models.screening.align import AlignState
from models.screening.device_clock import AGREE_NS, LEAST_SPAN_NS, MESSAGES
from models.screening.placement import Limit, Placement
from protocols.nomenclature import EVT_CLOCK_STEP, EVT_CLOCK_WRONG, SPO2
from protocols.record import NS_PER_S, AlarmCondition, DeviceEvent, Observation, Presence, Record, SourcePath, Times
from tests.unit.screening.played import SOURCE, groups

T0 = 1_700_000_000
MS = 1_000_000
HOUR_S = 3600.0
PROBE = SourcePath("patch-4", ("probe",))


def reading(measured_s: float, arrived_s: float, behind_s: float = 0.0, value: float = 97.0) -> Observation:
    """A reading of a device whose clock is behind the gateway's by so much. Seconds count from T0."""
    device_ns = round((T0 + measured_s - behind_s) * NS_PER_S)
    return Observation(PROBE, SPO2, value, "%", Times(round((T0 + arrived_s) * NS_PER_S), device_ns))


@dataclass
class Aligned:
    """Messages going through, with what came out."""

    state: AlignState = field(default_factory=AlignState)
    out: list[Observation] = field(default_factory=list[Observation])
    events: list[DeviceEvent] = field(default_factory=list[DeviceEvent])

    def take(self, *message: Observation) -> list[Observation]:
        self.state, told = align.arrived(self.state, message)
        records = list[Record](told)
        for record in message:
            self.state, told = align.step(self.state, record)
            records += told
        self.events += [r for r in records if isinstance(r, DeviceEvent)]
        taken = [r for r in records if isinstance(r, Observation)]
        self.out += taken
        return taken

    def live(self, from_s: int, to_s: int, *, every_s: int = 5, behind_s: float = 0.0, seed: int = 1) -> None:
        """Messages with the reading of the moment, 20 to 500 ms on their way."""
        delays = np.random.default_rng(seed).uniform(0.02, 0.5, to_s)
        for at_s in range(from_s, to_s, every_s):
            self.take(reading(at_s, at_s + delays[at_s], behind_s))


def off_s(taken: Observation, measured_s: float) -> float:
    return (taken.times.best_ns - round((T0 + measured_s) * NS_PER_S)) / NS_PER_S


@pytest.mark.parametrize("behind_s", [0.0, 3.5, -40.0, 5 * HOUR_S, -10 * 365 * 86400.0])
def test_readings_that_were_kept_back_get_the_time_at_which_they_were_measured(behind_s: float):
    aligned = Aligned()
    aligned.live(0, 120, behind_s=behind_s)
    kept = aligned.take(*(reading(at_s, 1920.3, behind_s) for at_s in range(120, 1920, 60)))
    for taken, at_s in zip(kept, range(120, 1920, 60), strict=True):
        assert -0.2 < off_s(taken, at_s) < 0.5
        assert abs(off_s(taken, at_s)) * NS_PER_S <= taken.times.uncertainty_ns + 100 * MS
        assert taken.times.clock_segment == 1
        assert taken.times.best_ns <= taken.times.gateway_ns


def test_nothing_was_measured_later_than_it_came():
    aligned = Aligned()
    rng = np.random.default_rng(3)
    for at_s in range(0, 600, 2):
        kept_s = float(rng.choice([0.0, 0.0, 30.0, 400.0]))
        aligned.take(reading(at_s - kept_s, at_s + rng.uniform(0, 1), 17.0), reading(at_s + 90.0, at_s + 1, 17.0))
    assert all(r.times.best_ns <= r.times.gateway_ns for r in aligned.out)


def test_until_the_clock_is_known_arrival_counts_and_says_how_old_the_reading_may_be():
    [taken] = Aligned().take(reading(0, 900))
    assert taken.times.best_ns == taken.times.gateway_ns
    assert (taken.times.uncertainty_ns, taken.times.clock_segment) == (900 * NS_PER_S, 0)


def test_a_clock_is_known_when_some_messages_over_some_time_agree():
    aligned = Aligned()
    for at_s in (0, 1, 2, 3):
        aligned.take(reading(at_s, at_s + 0.1))
    assert len(aligned.out) > MESSAGES
    assert aligned.state.clock.offset_ns is None
    aligned.take(reading(LEAST_SPAN_NS / NS_PER_S + 1, LEAST_SPAN_NS / NS_PER_S + 1.1))
    assert aligned.state.clock.offset_ns == pytest.approx(100 * MS, abs=MS)


@pytest.mark.parametrize("speed", [2.0, 20.0, 600.0])
def test_a_backlog_that_is_being_sent_off_teaches_nothing_and_the_live_readings_behind_it_do(speed: float):
    """An hour of readings, the oldest first, from a device whose clock is right; then it is live."""
    aligned = Aligned()
    sent_s = HOUR_S
    for at_s in range(0, 3600, 2):
        aligned.take(reading(at_s, sent_s + at_s / speed))
    assert aligned.state.clock.offset_ns is None
    begin_s = round(sent_s + 3600 / speed) + 10
    aligned.live(begin_s, begin_s + 60)
    assert aligned.state.clock.offset_ns is not None
    assert 0 < aligned.state.clock.offset_ns < NS_PER_S / 2


def test_one_time_that_is_far_off_changes_nothing_for_the_others():
    aligned = Aligned()
    aligned.live(0, 60)
    aligned.take(reading(7260, 60.1))
    aligned.take(reading(-7200, 62.1))
    aligned.live(65, 120)
    assert max(abs(off_s(r, at_s)) for r, at_s in zip(aligned.out[-11:], range(65, 120, 5), strict=True)) < 0.5
    assert [e.code for e in aligned.events] == [EVT_CLOCK_WRONG]  # 2 h ahead; what lies back may have been kept back


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_a_clock_that_is_set_is_a_step_once_a_few_messages_agree_on_it(step_s: float):
    aligned = Aligned()
    aligned.live(0, 120)
    aligned.live(120, 240, behind_s=-step_s)
    [step] = [e for e in aligned.events if e.code == EVT_CLOCK_STEP]
    assert str(step.source) == "patch-4"
    assert float(dict(step.params)["shift_ns"]) == pytest.approx(step_s * NS_PER_S, abs=AGREE_NS)
    later = list(zip(aligned.out, range(0, 240, 5), strict=True))[24 + MESSAGES :]
    assert max(abs(off_s(r, at_s)) for r, at_s in later) < 0.5
    assert {r.times.clock_segment for r, _ in later} == {2}


def test_a_crystal_of_100_ppm_is_followed_over_a_day():
    aligned = Aligned()
    delays = np.random.default_rng(5).uniform(0.02, 0.5, 1440)
    for minute, delay in enumerate(delays):
        at_s = 60.0 * minute
        aligned.take(reading(at_s, at_s + delay, behind_s=at_s * 100e-6))
        assert abs(off_s(aligned.out[-1], at_s)) < 0.6
    assert not aligned.events
    assert abs(off_s(aligned.out[-1], 60.0 * 1439)) < 0.1  # of the twenty delays in the span the least may be 80 ms


def test_a_wrong_clock_is_told_once_and_one_whose_readings_are_old_is_not_wrong():
    behind, kept = Aligned(), Aligned()
    behind.live(0, 60, behind_s=HOUR_S)
    assert [e.code for e in behind.events] == [EVT_CLOCK_WRONG]
    assert float(dict(behind.events[0].params)["off_ns"]) == pytest.approx(-HOUR_S * NS_PER_S, abs=NS_PER_S)
    kept.take(*(reading(at_s, 3600) for at_s in range(0, 3600, 60)))
    kept.live(3605, 3700)
    assert kept.events == []


def test_samples_that_were_kept_back_lie_where_they_were_measured():
    """Five minutes: one live, three kept back and sent off within 40 s, one live; the sample numbers count through."""
    state, out = AlignState(), list[tuple[float, float]]()
    for group in groups(np.zeros((1, 250 * 300)), size=250):
        measured_s = group.first_sample / 250
        kept_s = max(0.0, 240 + (measured_s - 60) * 40 / 180 - measured_s) if 60 <= measured_s < 240 else 0.0
        times = replace(group.times, gateway_ns=group.times.gateway_ns + round(kept_s * NS_PER_S))
        sent = replace(group, times=replace(times, device_ns=group.times.gateway_ns - 17 * NS_PER_S))
        state, _ = align.arrived(state, [sent])
        state, told = align.step(state, sent)
        assert [r for r in told if isinstance(r, DeviceEvent)] == []
        out.append((measured_s, (told[0].times.best_ns - group.times.gateway_ns) / NS_PER_S))
    assert max(abs(off) for _, off in out) < 0.2
    assert {line.segment for line in state.lines.values()} == {1}
    assert set(state.lines) == {SOURCE}


class Watched:
    """A device under a lower limit for its saturation, with the alarms that came of its messages."""

    def __init__(self) -> None:
        self.state = chain.begin(Placement(limits=(Limit(SPO2, 90.0, None, delay_s=5),)))
        self.alarms: list[AlarmCondition] = []

    def take(self, *message: Observation) -> None:
        self.state, _ = chain.arrived(self.state, message)
        for record in message:
            self.state, told = chain.step(self.state, record)
            self.alarms += [r for r in told if isinstance(r, AlarmCondition)]

    def live(self, from_s: int, to_s: int, value: float) -> None:
        for at_s in range(from_s, to_s, 2):
            self.take(reading(at_s, at_s + 0.1, value=value))

    def told(self) -> list[Presence]:
        return [a.presence for a in self.alarms]


def test_normal_readings_from_before_do_not_end_an_alarm_that_holds():
    watched = Watched()
    watched.live(0, 30, 97)
    watched.live(600, 620, 82)
    assert watched.told() == [Presence.PRESENT]
    watched.take(*(reading(at_s, 621, value=97) for at_s in range(100, 600, 2)))
    assert watched.told() == [Presence.PRESENT]
    watched.live(622, 630, 97)
    assert watched.told() == [Presence.PRESENT, Presence.ENDED]


def test_a_fall_that_the_device_kept_back_is_told_with_the_time_at_which_it_was():
    watched = Watched()
    watched.live(0, 30, 97)
    fall = [reading(at_s, 900, value=97 if at_s < 300 else 82) for at_s in range(30, 320, 2)]
    watched.take(*fall)
    assert watched.told() == [Presence.PRESENT]
    assert watched.alarms[0].onset_ns == pytest.approx((T0 + 300) * NS_PER_S, abs=NS_PER_S)
    watched.live(902, 910, 97)
    assert watched.told() == [Presence.PRESENT, Presence.ENDED]
