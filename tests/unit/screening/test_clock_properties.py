"""What holds for whatever clocks and links do: order, what was seen, bounds, and the stated interval. The truth is drawn here."""

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.screening import align, envelope
from models.screening.align import AlignState
from protocols.nomenclature import EVT_CLOCK_STEP, SPO2
from protocols.record import NS_PER_S, DeviceEvent, Observation, Record, SourcePath, Times, WaveformGroup
from tests.figures.clock import KINDS, LAWS, device, score
from tests.unit.screening.played import T0, groups

PROBE = SourcePath("patch-4", ("probe",))
INT64 = st.integers(-(2**63), 2**63 - 1)


def taken(message: list[Record], state: AlignState) -> tuple[AlignState, list[Record]]:
    state, told = align.arrived(state, message)
    out = list(told)
    for record in message:
        state, records = align.step(state, record)
        out += records
    return state, out


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(INT64, st.none() | INT64), min_size=1, max_size=40))
def test_any_stamps_are_survived_and_kept_as_seen_in_their_order(stamps: list[tuple[int, int | None]]):
    state = AlignState()
    for value, (gateway_ns, device_ns) in enumerate(stamps):
        reading = Observation(PROBE, SPO2, float(value), "%", Times(gateway_ns, device_ns))
        state, out = taken([reading], state)
        [kept] = [r for r in out if isinstance(r, Observation)]
        assert (kept.value, kept.times.gateway_ns, kept.times.device_ns) == (value, gateway_ns, device_ns)
        assert kept.times.best_ns <= gateway_ns
        assert kept.times.uncertainty_ns >= 0


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.001, 0.02, 0.1, 0.4]), st.integers(-150, 150), st.booleans())
def test_samples_stay_in_their_order_and_apart_whatever_the_link_does(
    seed: int, jitter_s: float, ppm: int, stalls: bool
):
    rng = np.random.default_rng(seed)
    played = list(groups(np.zeros((1, 250 * 60))))
    state, out = AlignState(), list[WaveformGroup]()
    stall_s = 0.0
    for group in played:
        stall_s = rng.uniform(0, 4) if stalls and rng.uniform() < 0.005 else max(0.0, stall_s - 0.1)
        off = (group.times.gateway_ns - T0) * ppm * 1e-6 + (stall_s + rng.uniform(0, jitter_s)) * NS_PER_S
        sent = replace(group, times=Times(group.times.gateway_ns + round(off)))
        state, records = taken([sent], state)
        out += [r for r in records if isinstance(r, WaveformGroup)]
    assert [g.first_sample for g in out] == [g.first_sample for g in played]
    for a, b in pairwise(out):
        if a.times.clock_segment == b.times.clock_segment:
            assert b.times.best_ns - a.times.best_ns > 0.98 * 0.1 * NS_PER_S


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.floats(-100, 100), st.floats(0.001, 0.3), st.floats(0.5, 20))
def test_times_lie_within_what_is_stated(seed: int, ppm: float, jitter_s: float, every_s: float):
    """A steady clock and any jitter: of the readings of a device, 95 of 100 at least."""
    rng = np.random.default_rng(seed)
    state, inside = AlignState(), list[bool]()
    for i in range(300):
        measured_ns = T0 + round(i * every_s * NS_PER_S)
        shown_ns = measured_ns + round((measured_ns - T0) * ppm * 1e-6) - 5 * 3600 * NS_PER_S
        came_ns = measured_ns + round(rng.uniform(0, jitter_s) * NS_PER_S)
        state, out = taken([Observation(PROBE, SPO2, 97.0, "%", Times(came_ns, shown_ns))], state)
        times = out[0].times
        inside.append(abs(times.best_ns - measured_ns) <= times.uncertainty_ns)
    assert np.mean(inside) >= 0.95


def test_an_estimate_takes_the_same_memory_after_a_day_as_after_an_hour():
    line = envelope.begin(0.0, 0.0)
    rng = np.random.default_rng(4)
    for i, late in enumerate(rng.exponential(20e6, 8_640)):
        line = envelope.add(line, i * 10.0 * NS_PER_S, late + i * 10.0 * NS_PER_S * 40e-6)
        assert len(line.closed) <= envelope.BUCKETS + 1
    assert abs(line.fit.drift * 1e6 - 40) < 2
    assert line.restarts == 0


def test_the_drift_of_a_crystal_is_learned_to_a_few_parts_per_million():
    rng = np.random.default_rng(5)
    state = AlignState()
    for i in range(900):
        measured_ns = T0 + i * NS_PER_S
        shown_ns = measured_ns - round(i * NS_PER_S * 50e-6)
        state, _ = taken(
            [Observation(PROBE, SPO2, 97.0, "%", Times(measured_ns + round(rng.uniform(0, 20e6)), shown_ns))], state
        )
    assert abs(state.clock.drift * 1e6 - 50) < 5


def test_a_gateway_that_is_set_forward_by_years_moves_no_sample_of_a_device_against_another():
    """As when a gateway without a known time learns it: what comes next goes on at the new time at once, in a new segment."""
    by_ns = 10 * 365 * 86400 * NS_PER_S
    state, out = AlignState(), list[Record]()
    for i, group in enumerate(groups(np.zeros((1, 250 * 60)))):
        set_ns = by_ns if i >= 300 else 0
        if i == 300:
            state = align.stepped(state, by_ns)
        at_ns = group.times.gateway_ns + set_ns
        reading = Observation(PROBE, SPO2, 97.0, "%", Times(at_ns, group.times.gateway_ns - 7 * NS_PER_S))
        state, records = taken([replace(group, times=Times(at_ns)), reading], state)
        out += [
            replace(r, times=replace(r.times, corrected_ns=r.times.best_ns - set_ns))
            for r in records
            if not isinstance(r, DeviceEvent)
        ]
        assert [r for r in records if isinstance(r, DeviceEvent) and r.code == EVT_CLOCK_STEP] == []
    starts = [r.times.best_ns for r in out if isinstance(r, WaveformGroup)]
    assert abs(np.diff(starts) / NS_PER_S - 0.1).max() < 0.002
    segments = [r.times.clock_segment for r in out]
    assert set(segments[200:600]).isdisjoint(segments[600:])


def test_devices_whose_clocks_are_set_are_timed_to_20_ms_and_what_is_stated_holds(seed: random.Random):
    """The short form of the figure `clock`: a device of each kind, of which each is set three times in half an hour."""
    number = seed.randrange(2**32)
    for kind in KINDS[1:]:
        result = score(device(number, kind, LAWS[0]))
        assert np.percentile(np.abs(result.error_s), 95) < 0.020
        assert np.mean(np.abs(result.error_s) <= result.stated_s) >= 0.95
