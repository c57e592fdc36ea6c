"""The whole screening: what a nurse would be told of signals whose truth is known."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.screening import chain
from models.screening.placement import AgeGroup, Limit, Placement
from models.screening.rhythm import LETHAL_ON
from models.signal import weights
from protocols.ecgfile.wfdb import read_record
from protocols.nomenclature import (
    ASYSTOLE,
    BRADY_EXTREME,
    ECG_NOISE,
    HEART_RATE,
    HI_GT_LIM,
    LEADS_OFF,
    LINK_LOSS,
    SATURATED,
    SIGNAL_LOW,
    SPO2,
    TACHY_EXTREME,
    V_FIB,
    V_TACHY,
)
from protocols.nomenclature import lead as lead_of
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    AlarmKind,
    Gap,
    Observation,
    Presence,
    Priority,
    Quality,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
    alarm_id,
)
from tests.unit.screening.played import SOURCE, T0, groups, of_record, play, seconds
from tests.unit.signal.signals import fibrillation, heartbeats, regular

RED = {V_FIB, V_TACHY, ASYSTOLE, BRADY_EXTREME, TACHY_EXTREME}
SINUS = heartbeats(250, regular(75, 60), 60)


def two(lead: np.ndarray) -> np.ndarray:
    return np.stack([lead, 0.6 * lead])


def test_the_excerpt_alarms_fibrillation_within_nine_seconds_and_is_quiet_before(captures: Path):
    played = play(of_record(read_record(captures / "vfdb-419-vf"), 0, 100))
    red = [a for a in played.alarms if a.code in RED]
    assert red[0].code == V_FIB
    assert red[0].priority is Priority.HIGH
    assert 60 <= seconds(red[0].detected_ns) <= 69
    assert not [a for a in played.alarms if seconds(a.detected_ns) < 60]


def test_the_normal_excerpt_raises_nothing_and_shows_its_rate(captures: Path):
    played = play(of_record(read_record(captures / "mitdb-100-normal")))
    assert not played.alarms
    assert len(played.rates) == pytest.approx(115, abs=5)
    assert all(70 <= float(r.value) <= 82 for r in played.rates)
    assert {(r.code, r.unit, r.quality) for r in played.rates} == {(HEART_RATE, "/min", Quality.GOOD)}


def test_an_alarm_carries_the_strip_that_decided_it(captures: Path):
    record = read_record(captures / "vfdb-419-vf")
    alarm = play(of_record(record, 0, 80)).raised(V_FIB)[0]
    evidence = alarm.evidence
    assert evidence is not None
    assert evidence.strip is not None
    assert evidence.deciding_sample is not None
    assert evidence.strip.end_sample == evidence.deciding_sample + 1
    assert evidence.strip.n == 2500
    uv = np.rint(record.physical()[:, evidence.strip.first_sample : evidence.strip.end_sample] * 1000)
    assert np.array_equal(evidence.strip.array(), uv)
    assert all(evidence.strip.first_sample <= b <= evidence.deciding_sample for b in evidence.beats)
    assert len(evidence.beats) > 8
    assert alarm.detected_ns == pytest.approx(T0 + evidence.deciding_sample / 250 * NS_PER_S, abs=1e6)
    assert alarm.id == alarm_id(SOURCE, V_FIB, alarm.onset_ns)
    assert evidence.confidence is not None
    score = sum(reason.weight for reason in evidence.reasons)
    assert score >= LETHAL_ON
    meaning = weights.lethal().meaning
    assert meaning is not None
    assert evidence.confidence == pytest.approx(meaning.chance(score)), "how likely it is right, not the score itself"


def test_asystole_is_alarmed_at_the_pause_plus_two_seconds_at_most():
    samples = two(heartbeats(250, regular(75, 30), 45))
    alarm = play(groups(samples)).raised(ASYSTOLE)
    last = regular(75, 30)[-1]
    assert len(alarm) == 1
    assert 4 <= seconds(alarm[0].detected_ns) - last <= 6
    assert seconds(alarm[0].onset_ns) == pytest.approx(last, abs=0.1)


def test_a_neonate_is_alarmed_after_a_shorter_pause():
    samples = two(heartbeats(250, regular(120, 30), 45))
    state = chain.begin(Placement(age_group=AgeGroup.NEONATE, limits=()))
    alarm = play(groups(samples), state).raised(ASYSTOLE)
    assert 3 <= seconds(alarm[0].detected_ns) - regular(120, 30)[-1] <= 5


@pytest.mark.parametrize(("rate", "code"), [(34, BRADY_EXTREME), (190, TACHY_EXTREME)])
def test_extreme_rates_are_red(rate: float, code: str):
    samples = two(np.concatenate([heartbeats(250, regular(75, 20), 20), heartbeats(250, regular(rate, 40), 40)]))
    red = [a for a in play(groups(samples)).alarms if a.code in RED]
    assert [(a.code, a.priority, a.presence) for a in red] == [(code, Priority.HIGH, Presence.PRESENT)]


def test_a_gap_in_the_samples_never_becomes_asystole():
    before = list(groups(two(SINUS)[:, : 20 * 250]))
    after = list(groups(two(SINUS), first=80 * 250))
    gap = Gap(
        SOURCE, T0 + 20 * NS_PER_S, T0 + 80 * NS_PER_S, LINK_LOSS, recoverable=False, times=Times(T0 + 80 * NS_PER_S)
    )
    played = play([*before, gap, *after])
    assert not played.alarms
    assert gap.reason in {r.reason for r in played.records if isinstance(r, Gap)}
    assert {round(float(r.value)) for r in played.rates} == {75}


def test_short_holes_neither_alarm_nor_stop_the_heart_rate():
    kept = [g for i, g in enumerate(groups(two(SINUS))) if i % 40 != 7]
    played = play(kept)
    assert not played.alarms
    assert len(played.rates) > 40


def test_fibrillation_is_found_although_packets_are_lost():
    lead = np.concatenate([SINUS[: 30 * 250], fibrillation(250, 20)])
    kept = [g for i, g in enumerate(groups(two(lead))) if i % 40 != 7]
    alarm = play(kept).raised(V_FIB)
    assert 30 <= seconds(alarm[0].detected_ns) <= 39


@pytest.mark.parametrize(("level", "code"), [(0.0, SIGNAL_LOW), (187.5, SATURATED), (400.0, LEADS_OFF)])
def test_a_lead_that_measures_nothing_is_a_technical_alarm_and_no_asystole(level: float, code: str):
    lead = SINUS.copy()
    lead[20 * 250 :] = level
    if code == LEADS_OFF:
        lead[20 * 250 :] += 0.02 * np.sin(np.arange(40 * 250))
    played = play(groups(np.stack([lead, lead])))
    assert {(a.code, a.kind, a.priority) for a in played.alarms} == {(code, AlarmKind.TECHNICAL, Priority.MEDIUM)}
    assert all(seconds(a.detected_ns) < 25 for a in played.alarms)


def test_one_lead_off_is_a_low_alarm_and_the_other_goes_on():
    off = SINUS.copy()
    off[20 * 250 :] = 187.5
    played = play(groups(np.stack([off, SINUS])))
    assert [(a.code, a.priority) for a in played.alarms] == [(SATURATED, Priority.LOW)]
    assert round(float(played.rates[-1].value)) == 75
    assert seconds(played.rates[-1].times.best_ns) > 58


def failing_in_turn(lead: np.ndarray, fs_hz: float, rail_mv: float) -> np.ndarray:
    """Two leads of which, every 5.6 s from the tenth on, the first is at the rail and then the second stands still."""
    samples = np.stack([lead, 0.6 * lead])
    for begin_s in np.arange(10, len(lead) / fs_hz - 6, 5.6):
        samples[0, round(begin_s * fs_hz) : round((begin_s + 2.8) * fs_hz)] = rail_mv
        still = slice(round((begin_s + 2.4) * fs_hz), round((begin_s + 5) * fs_hz))
        samples[1, still] = samples[1, still.start]
    return samples


@pytest.mark.parametrize("rail_mv", [5.0, 155.0, -187.5])
@pytest.mark.parametrize("rate", [62, 75, 90])
def test_steps_to_the_rail_and_back_are_no_slow_heart(rate: float, rail_mv: float):
    samples = failing_in_turn(heartbeats(250, regular(rate, 180), 180), 250, rail_mv)
    played = play(groups(samples))
    assert {a.code for a in played.alarms} <= {SATURATED, SIGNAL_LOW}
    shown = [float(r.value) for r in played.rates]
    assert len(shown) > 170
    assert min(shown) > 0.75 * rate
    assert np.median(shown) == pytest.approx(rate, rel=0.02)


def test_the_other_lead_takes_over_with_the_beats_that_the_first_one_lost():
    first = SINUS.copy()
    first[20 * 250 :] = 155.0
    rates = play(groups(np.stack([first, SINUS]))).rates
    assert [float(r.value) for r in rates] == pytest.approx([75.0] * len(rates), rel=0.02)


def lost(samples: np.ndarray, lead: int, from_s: float, to_s: float | None = None) -> np.ndarray:
    """The samples with a lead at its rail for a while, 250 Hz."""
    out = samples.copy()
    out[lead, round(from_s * 250) : None if to_s is None else round(to_s * 250)] = 155.0
    return out


def test_a_third_lead_is_watched_when_the_first_two_cannot_be():
    """The technical alarm of a lead that is off says that others are still watched: so they are."""
    stopped = heartbeats(250, [at for at in regular(75, 60) if at < 45], 60)
    three = lost(lost(np.stack([stopped, 0.6 * stopped, 0.8 * stopped]), 0, 15), 1, 20)
    played = play(groups(three))
    shown = {seconds(r.times.best_ns): float(r.value) for r in played.rates}
    assert max(b - a for a, b in pairwise(sorted(at for at in shown if at < 44))) < 7
    assert all(value == pytest.approx(75, rel=0.02) for at, value in shown.items() if at < 45)
    (alarm,) = played.raised(ASYSTOLE)
    assert 48 < seconds(alarm.detected_ns) < 51


def test_leads_that_come_back_are_watched_on_with_what_is_known_of_them():
    both = np.stack([SINUS, 0.6 * SINUS])
    for lead in (0, 1):
        both = lost(both, lead, 20, 26)
    state = chain.begin()
    for group in groups(both):
        state, _ = chain.step(state, group)
    assert state.rhythm.watches[SOURCE].base == 0


def test_fibrillation_goes_on_as_one_alarm_when_its_leads_are_lost_and_a_third_is_watched():
    waves = np.concatenate([heartbeats(250, regular(75, 30), 30), fibrillation(250, 50)])
    three = lost(lost(np.stack([waves, 0.7 * waves, 0.9 * waves]), 0, 50), 1, 50)
    played = play(groups(three))
    told = [a for a in played.alarms if a.code in (V_FIB, V_TACHY)]
    assert {a.code for a in told if seconds(a.detected_ns) < 50} >= {V_FIB}
    assert not [a for a in told if seconds(a.detected_ns) > 50]
    assert played.state.rhythm.watches[SOURCE].watched == (lead_of("V5"),)


def test_a_heart_that_slows_down_behind_a_step_is_still_alarmed():
    lead = np.concatenate([heartbeats(250, regular(75, 30), 30), heartbeats(250, regular(34, 40), 40)])
    lead[29 * 250 : 30 * 250] = 155.0
    alarm = play(groups(two(lead))).raised(BRADY_EXTREME)
    assert 30 < seconds(alarm[0].detected_ns) < 45


def test_a_lead_that_the_device_calls_off_is_not_judged():
    stated = [
        WaveformGroup(
            g.source, g.leads, g.fs_hz, g.first_sample, g.samples, g.dtype, g.scales, g.times, (Quality.LEAD_OFF,) * 2
        )
        for g in groups(two(heartbeats(250, [], 20, noise_mv=0.05)))
    ]
    assert {a.code for a in play(stated).alarms} == {LEADS_OFF}


def test_noise_is_said_and_marks_the_rate():
    noisy = SINUS + np.random.default_rng(5).normal(0, 0.3, len(SINUS))
    played = play(groups(two(np.concatenate([SINUS[:5000], noisy]) * 2)))
    assert ECG_NOISE in {a.code for a in played.alarms}
    assert Quality.NOISE in played.qualities()
    assert played.rates[-1].quality is Quality.QUESTIONABLE


def test_why_leads_are_noisy_is_said():
    hum = np.sin(2 * np.pi * 50 * np.arange(len(SINUS)) / 250)
    told = [a for a in play(groups(two(SINUS + hum))).alarms if a.code == ECG_NOISE]
    assert dict(told[0].params) == {"leads": f"{lead_of('II')} {lead_of('V1')}", "reason": "mains"}


def test_a_lethal_alarm_latches_when_its_rhythm_ends_and_ends_when_it_was_seen():
    lead = np.concatenate([SINUS[:5000], fibrillation(250, 15), SINUS])
    played = play(groups(two(lead)))
    life = [a for a in played.alarms if a.code == V_FIB]
    assert [a.presence for a in life] == [Presence.PRESENT, Presence.LATCHED]
    assert len({a.id for a in life}) == 1
    _, ended = chain.acknowledge(played.state, life[0].id, Times(T0 + 100 * NS_PER_S))
    assert [(a.id, a.presence) for a in ended if isinstance(a, AlarmCondition)] == [(life[0].id, Presence.ENDED)]
    assert chain.acknowledge(chain.begin(), life[0].id, Times(T0))[1] == ()


def test_an_alarm_that_was_acknowledged_while_present_ends_without_latching():
    lead = np.concatenate([SINUS[:5000], fibrillation(250, 15), SINUS])
    all_groups = list(groups(two(lead)))
    first = play(all_groups[:300])
    seen, told = chain.acknowledge(first.state, first.raised(V_FIB)[0].id, Times(T0 + 30 * NS_PER_S))
    assert told == ()
    assert [a.presence for a in play(all_groups[300:], seen).alarms if a.code == V_FIB] == [Presence.ENDED]


def test_an_alarm_goes_on_under_its_id_when_the_agent_starts_again():
    lead = np.concatenate([SINUS[:5000], fibrillation(250, 30), SINUS])
    all_groups = list(groups(two(lead)))
    first = play(all_groups[:300]).raised(V_FIB)[0]
    again = play(all_groups[300:], chain.begin(active=(first,)))
    assert [(a.id, a.presence) for a in again.alarms if a.code == V_FIB] == [(first.id, Presence.LATCHED)]


def test_a_limit_alarm_waits_for_its_delay_and_ends_behind_its_hysteresis():
    limit = Limit(SPO2, low=90, delay_s=5, hysteresis=2)
    probe = SourcePath("monitor-1", ("spo2",))
    values = [97] * 5 + [88] * 3 + [97] * 3 + [88] * 10 + [91] * 5 + [93] * 5
    readings = [Observation(probe, SPO2, float(v), "%", Times(T0 + i * NS_PER_S)) for i, v in enumerate(values)]
    changes = play(readings, chain.begin(Placement(limits=(limit,)))).alarms
    assert [(a.presence, seconds(a.detected_ns)) for a in changes] == [(Presence.PRESENT, 16), (Presence.ENDED, 28)]
    assert dict(changes[0].params) == {"measure": SPO2, "value": 88.0, "limit": 90, "unit": "%"}


def test_new_limits_apply_from_the_next_record_on():
    state = play(groups(two(SINUS))).state
    state = chain.configure(state, Placement(limits=(Limit(HEART_RATE, high=70, delay_s=1),)))
    assert [a.code for a in play(groups(two(SINUS), first=60 * 250), state).raised(HI_GT_LIM)] == [HI_GT_LIM]


def test_a_step_from_the_same_state_gives_the_same_and_leaves_the_state_alone(captures: Path):
    record = list(of_record(read_record(captures / "vfdb-419-vf"), 40, 75))
    state = play(record[:150]).state
    assert play(record[150:], state).records == play(record[150:], state).records


@settings(deadline=None, max_examples=8)
@given(st.integers(5, 400))
def test_the_same_alarms_come_whatever_the_size_of_the_groups(size: int):
    lead = two(np.concatenate([SINUS[:5000], fibrillation(250, 12)]))
    found = play(groups(lead, size=size)).raised(V_FIB)
    expected = play(groups(lead, size=25)).raised(V_FIB)
    assert [(a.id, a.detected_ns) for a in found] == [(a.id, a.detected_ns) for a in expected]


def test_other_waveforms_and_readings_pass_through():
    reading = Observation(SourcePath("monitor-1"), "MDC_TEMP_BODY", 36.8, "Cel", Times(T0))
    out = play([reading]).records
    assert len(out) == 1
    assert out[0].times.corrected_ns == T0


@pytest.mark.recordings("mitdb")
def test_ten_minutes_of_a_normal_record_raise_nothing_red(recordings: Path):
    played = play(of_record(read_record(recordings / "mitdb" / "100"), 0, 600))
    assert not [a for a in played.alarms if a.code in RED]


def test_a_recording_raises_no_alarm_and_leaves_the_screening_as_it_was():
    cart = SourcePath("cart", ("recorded", "ecg"))
    samples = np.zeros((1, 5000), "<i2").tobytes()  # ten seconds of a flat line
    group = WaveformGroup(cart, (lead_of("II"),), 500.0, 0, samples, "<i2", (Scale(1.0, 0.0, "uV"),), Times(0))
    rate = Observation(SourcePath("cart", ("recorded", "measurements")), HEART_RATE, 190.0, "/min", Times(0))
    state = chain.begin()
    for record in (group, rate):
        after, out = chain.step(state, record)
        assert after is state
        assert out == (record,)
