"""Numbering by the device's clock, against a simulated strap that shares nothing with the decoder."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_adapters.simulate.polar import BORN_CLOCK_NS, DATA, FRAME_SAMPLES, RATE_HZ, UNSET_CLOCK_NS, Chest, Strap
from protocols.errors import Fault
from protocols.gatt.polar import START_ECG, PolarDecoder, StrapOptions
from protocols.gatt.polar_stream import ResumePoint
from protocols.nomenclature import AGENT_RESTART, DEVICE_RESTART, EVT_CLOCK_STEP, LINK_LOSS, lead
from protocols.record import DeviceEvent, Gap, Record, WaveformGroup

NS = 1_000_000_000
T0_NS = 1_800_000_000 * NS
FRAME_S = FRAME_SAMPLES / RATE_HZ
SAMPLE_NS = NS / RATE_HZ


class Worn:
    """A strap and its decoder with a clock in the hand of the test; no sample of the recording is like its neighbours."""

    def __init__(self, *, drift: float = 0.0, resume: dict[tuple[str, ...], ResumePoint] | None = None) -> None:
        self.strap = Strap(Chest(np.arange(2_000_000, dtype=np.int32)), "A0:9E:1A:00:00:01", drift=drift)
        self.strap.clock_ns = T0_NS - BORN_CLOCK_NS
        self.decoder = PolarDecoder("strap", StrapOptions(lead("I")), resume)
        self.out: list[Record | Fault] = []
        self.now_ns = float(T0_NS)
        self.connect()

    def connect(self) -> None:
        control = self.strap.peripheral.services["fb005c80-02e7-f387-1cad-8acd2d8df0c8"][0]
        assert control.write is not None
        control.write(START_ECG)

    def frames(self, n: int, *, late_ns: int = 0, lost: bool = False) -> None:
        for _ in range(n):
            self.now_ns += FRAME_SAMPLES * SAMPLE_NS
            for uuid, value in self.strap.due(FRAME_S):
                if uuid == DATA and not lost:
                    self.out += self.decoder.feed(value, int(self.now_ns) + late_ns, uuid)

    def away(self, samples: int) -> None:
        """The link is lost; the strap goes on counting."""
        self.out += self.decoder.flush(int(self.now_ns))
        self.strap.pass_over(samples)
        self.now_ns += samples * SAMPLE_NS

    def groups(self) -> list[WaveformGroup]:
        return [r for r in self.out if isinstance(r, WaveformGroup)]

    def gaps(self) -> list[tuple[int | None, int | None, str]]:
        return [(r.from_sample, r.to_sample, r.reason) for r in self.out if isinstance(r, Gap)]

    def steps(self) -> list[DeviceEvent]:
        return [r for r in self.out if isinstance(r, DeviceEvent) and r.code == EVT_CLOCK_STEP]

    def assert_numbers_are_the_straps(self) -> None:
        for group in self.groups():
            assert group.array()[0].tolist() == list(range(group.first_sample, group.end_sample))


def test_frames_follow_each_other_without_a_gap():
    worn = Worn()
    worn.frames(50)
    assert worn.groups()[-1].end_sample == 50 * FRAME_SAMPLES
    assert not worn.gaps()
    worn.assert_numbers_are_the_straps()


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4)), max_size=12))
def test_lost_notifications_become_one_gap_each_with_exact_numbers(runs: list[tuple[int, int]]):
    worn = Worn()
    expected: list[tuple[int, int, str]] = []
    worn.frames(1)
    for arrived, lost in runs:
        worn.frames(arrived)
        at = worn.strap.sample
        worn.frames(lost, lost=True)
        if lost:
            expected.append((at, at + lost * FRAME_SAMPLES, LINK_LOSS))
    worn.frames(1)
    assert worn.gaps() == expected
    worn.assert_numbers_are_the_straps()


@given(st.lists(st.integers(0, 6 * NS), min_size=5, max_size=30))
def test_arrivals_that_are_late_by_a_stalled_link_make_no_gap(lateness: list[int]):
    worn = Worn()
    for late_ns in lateness:
        worn.frames(1, late_ns=late_ns)
    assert not worn.gaps()
    assert not worn.steps()
    worn.assert_numbers_are_the_straps()


def test_a_lost_link_leaves_one_gap_of_the_exact_size():
    worn = Worn()
    worn.frames(10)
    worn.away(12_345)
    worn.frames(3)
    assert worn.gaps() == [(730, 730 + 12_345, LINK_LOSS)]
    gap = next(r for r in worn.out if isinstance(r, Gap))
    assert gap.to_ns - gap.from_ns == pytest.approx(12_345 * SAMPLE_NS, abs=1000)  # the test's clock is a float
    worn.assert_numbers_are_the_straps()


@pytest.mark.parametrize("drift", [-300e-6, 300e-6])
def test_a_crystal_that_is_off_makes_no_error_in_a_gap_of_ten_minutes(drift: float):
    # by the nominal rate the gap would be wrong by 23 samples
    worn = Worn(drift=drift)
    worn.frames(60)
    worn.away(600 * RATE_HZ)
    worn.frames(3)
    assert worn.gaps() == [(60 * FRAME_SAMPLES, 60 * FRAME_SAMPLES + 600 * RATE_HZ, LINK_LOSS)]
    worn.assert_numbers_are_the_straps()


@pytest.mark.parametrize("shift_ns", [-(10**17), -30 * NS, 30 * NS, 10**17])
def test_a_clock_that_is_set_while_the_strap_is_worn_loses_nothing(shift_ns: int):
    worn = Worn()
    worn.frames(5)
    worn.strap.clock_ns += shift_ns
    worn.frames(5)
    assert not worn.gaps()
    assert len(worn.steps()) == 1
    assert dict(worn.steps()[0].params)["shift_ns"] == pytest.approx(shift_ns, abs=NS)
    worn.assert_numbers_are_the_straps()


def test_a_strap_that_began_anew_leaves_a_gap_sized_by_arrival():
    worn = Worn()
    worn.frames(5)
    worn.away(20 * RATE_HZ)
    worn.strap.clock_ns = UNSET_CLOCK_NS
    worn.frames(2)
    assert worn.gaps() == [(365, 365 + 20 * RATE_HZ, DEVICE_RESTART)]
    assert len(worn.steps()) == 1


def test_behind_a_restart_of_the_agent_numbers_go_on():
    worn = Worn(resume={("ecg",): ResumePoint(5000, T0_NS - 10 * NS)})
    worn.frames(2)
    assert worn.gaps() == [(5000, 5000 + 10 * RATE_HZ, AGENT_RESTART)]
    assert worn.groups()[-1].end_sample == 5000 + 10 * RATE_HZ + 2 * FRAME_SAMPLES


def test_a_frame_that_comes_twice_is_refused_the_second_time():
    worn = Worn()
    worn.frames(2)
    (value,) = [v for u, v in worn.strap.due(FRAME_S) if u == DATA]
    first, second = (worn.decoder.feed(value, int(worn.now_ns), DATA) for _ in range(2))
    assert isinstance(first[0], WaveformGroup)
    assert isinstance(second[0], Fault)


def test_the_first_sample_is_as_much_older_as_the_frame_is_long():
    worn = Worn()
    worn.frames(1)
    (group,) = worn.groups()
    before_ns = round((FRAME_SAMPLES - 1) * SAMPLE_NS)
    assert group.times.gateway_ns == int(worn.now_ns) - before_ns
    assert group.times.device_ns is not None
    assert group.times.device_ns == worn.strap.clock_ns + BORN_CLOCK_NS - before_ns
