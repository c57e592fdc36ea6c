"""Corrected times against a clock whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from models.screening import align
from protocols.nomenclature import EVT_CLOCK_STEP, EVT_CLOCK_WRONG
from protocols.record import NS_PER_S, DeviceEvent, Times, WaveformGroup
from tests.unit.screening.played import T0, groups
from tests.unit.wire.examples import EXAMPLES

MS = 1_000_000
EMPTY = np.zeros((1, 250 * 300))


def aligned(played: list[WaveformGroup]) -> tuple[list[WaveformGroup], list[DeviceEvent]]:
    state, out, events = align.AlignState(), [], []
    for group in played:
        state, told = align.step(state, group)
        out += [r for r in told if isinstance(r, WaveformGroup)]
        events += [r for r in told if isinstance(r, DeviceEvent)]
    return out, events


def arriving(played: list[WaveformGroup], late_ns: "list[float]") -> list[WaveformGroup]:
    return [
        replace(g, times=replace(g.times, gateway_ns=g.times.gateway_ns + round(n)))
        for g, n in zip(played, late_ns, strict=True)
    ]


@pytest.mark.parametrize("ppm", [-50, 0, 50])
def test_a_crystal_off_by_50_ppm_with_20_ms_of_jitter_stays_within_20_ms(ppm: float):
    played = list(groups(EMPTY))
    random = np.random.default_rng(7)
    truth = [g.times.gateway_ns + (g.times.gateway_ns - T0) * ppm * 1e-6 for g in played]
    late = [t - g.times.gateway_ns + random.uniform(0, 20 * MS) for t, g in zip(truth, played, strict=True)]
    out, events = aligned(arriving(played, late))
    errors = np.array([g.times.best_ns - t for g, t in zip(out, truth, strict=True)])
    assert np.percentile(np.abs(errors), 95) < 20 * MS
    assert np.mean(np.abs(errors) <= [g.times.uncertainty_ns for g in out]) >= 0.95
    assert not events
    assert {g.times.clock_segment for g in out} == {1}


def test_times_of_successive_groups_do_not_run_backwards():
    random = np.random.default_rng(8)
    played = list(groups(EMPTY))
    out, _ = aligned(arriving(played, list(random.uniform(0, 60 * MS, len(played)))))
    assert np.diff([g.times.best_ns for g in out]).min() > 0


def test_a_stall_of_the_link_is_no_step_of_the_clock():
    played = list(groups(EMPTY))
    late = [0.0] * len(played)
    for i in range(50):
        late[1000 + i] = (50 - i) * 100.0 * MS
    out, events = aligned(arriving(played, late))
    assert not events
    assert abs(out[1010].times.best_ns - played[1010].times.gateway_ns) < 20 * MS


@pytest.mark.parametrize("step_s", [-5, 5])
def test_a_step_of_the_clock_opens_a_new_segment_and_is_reported(step_s: int):
    played = list(groups(EMPTY))
    out, events = aligned(arriving(played, [0.0] * 1500 + [step_s * 1.0 * NS_PER_S] * 1500))
    assert [e.code for e in events] == [EVT_CLOCK_STEP]
    assert {g.times.clock_segment for g in out} == {1, 2}
    assert abs(out[-1].times.best_ns - played[-1].times.gateway_ns - step_s * NS_PER_S) < 20 * MS


def test_a_device_clock_of_2099_is_kept_as_seen_reported_once_and_not_used():
    wrong_ns = 4_070_908_800 * NS_PER_S
    played = [replace(g, times=replace(g.times, device_ns=wrong_ns)) for g in groups(EMPTY[:, :2500])]
    out, events = aligned(played)
    assert [e.code for e in events] == [EVT_CLOCK_WRONG]
    assert {g.times.device_ns for g in out} == {wrong_ns}
    assert all(abs(g.times.best_ns - p.times.gateway_ns) < MS for g, p in zip(out, played, strict=True))


@pytest.mark.parametrize("record", EXAMPLES.values(), ids=EXAMPLES)
def test_a_record_that_is_given_another_time_keeps_all_else(record: align.TimedRecord):
    times = Times(T0, 1, T0 + 2, 3, 4)
    assert align.timed(record, times) == replace(record, times=times)
