"""Tachycardia that turns into fibrillation: the worse alarm is a new one that calls, and the other ends in its favour.

docs/decisions/0117. Each of a nurse's red alarms is one event.
"""

from pathlib import Path

import numpy as np
import pytest

from models.screening import alarms, chain
from models.screening.alarms import LIVES, TURNED_INTO, AlarmsState, Condition
from protocols.ecgfile.wfdb import read_record
from protocols.nomenclature import ASYSTOLE, BRADY_EXTREME, TACHY_EXTREME, V_FIB, V_TACHY
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    AlarmKind,
    Presence,
    Priority,
    Quality,
    SourcePath,
    Times,
    WaveformGroup,
)
from tests.unit.screening.played import SOURCE, T0, groups, of_record, play, seconds

RED = {V_FIB, V_TACHY, ASYSTOLE, BRADY_EXTREME, TACHY_EXTREME}
# tests/captures/ATTRIBUTION.md
TURNS = "cinc2015-f545l-vf"
ONSET_S, NO_WAVE_LIKE_THE_OTHER_S = 22.0, 28.5
RUNS = "mitdb-205-vt"
FIRST_RUN_S = 58.8


def turning(captures: Path, from_s: float = 0, to_s: float = 60) -> list[WaveformGroup]:
    record = read_record(captures / TURNS)
    samples = record.physical()[:2, round(from_s * record.fs_hz) : round(to_s * record.fs_hz)]
    return list(groups(samples, record.fs_hz, first=round(from_s * record.fs_hz)))


def told(found: list[AlarmCondition]) -> list[tuple[str, Presence]]:
    return [(a.code, a.presence) for a in found if a.code in RED]


@pytest.mark.parametrize(("fs_hz", "leads"), [(360.0, 2), (250.0, 1), (130.0, 1)])
def test_two_runs_of_tachycardia_in_a_row_are_one_alarm_and_no_fibrillation(captures: Path, fs_hz: float, leads: int):
    record = read_record(captures / RUNS)
    own_hz, samples = record.fs_hz, record.physical()[:leads, : round(80 * record.fs_hz)]
    at_s = np.arange(int(samples.shape[1] * fs_hz / own_hz)) / fs_hz
    resampled = np.stack([np.interp(at_s, np.arange(len(lead)) / own_hz, lead) for lead in samples])
    red = [a for a in play(groups(resampled, fs_hz, size=13)).alarms if a.code in RED]
    assert told(red) == [(V_TACHY, Presence.PRESENT), (V_TACHY, Presence.LATCHED)]
    assert 0 < seconds(red[0].detected_ns) - FIRST_RUN_S < 9


def test_tachycardia_that_turns_into_fibrillation_ends_and_the_worse_alarm_is_a_new_one_with_its_own_strip(
    captures: Path,
):
    played = play(turning(captures))
    red = [a for a in played.alarms if a.code in RED]
    assert told(red) == [(V_TACHY, Presence.PRESENT), (V_FIB, Presence.PRESENT), (V_TACHY, Presence.ENDED)]
    tachycardia, fibrillation, ended = red
    assert 0 < seconds(tachycardia.detected_ns) - ONSET_S < 9
    assert 0 < seconds(fibrillation.detected_ns) - NO_WAVE_LIKE_THE_OTHER_S + 3 < 9
    assert fibrillation.id != tachycardia.id == ended.id
    assert ended.detected_ns == fibrillation.detected_ns
    assert dict(ended.params)[TURNED_INTO] == V_FIB
    for alarm in (tachycardia, fibrillation):
        assert alarm.evidence is not None
        assert alarm.evidence.strip is not None
        assert alarm.evidence.strip.end_sample == (alarm.evidence.deciding_sample or 0) + 1


def test_a_rate_is_not_shown_as_one_while_fewer_than_half_of_the_waves_are_beats(captures: Path):
    rates = play(turning(captures)).rates
    good = [seconds(r.times.best_ns) for r in rates if r.quality is Quality.GOOD]
    assert max(good) < NO_WAVE_LIKE_THE_OTHER_S


def test_an_acknowledged_tachycardia_does_not_silence_the_fibrillation_that_it_turns_into(captures: Path):
    whole = turning(captures)
    before = play([g for g in whole if g.end_sample <= 26.5 * g.fs_hz])
    (tachycardia,) = before.raised(V_TACHY)
    seen, answer = chain.acknowledge(before.state, tachycardia.id, Times(T0 + 26 * NS_PER_S))
    assert answer == ()
    behind = play([g for g in whole if g.end_sample > 26.5 * g.fs_hz], seen)
    assert told(behind.alarms) == [(V_FIB, Presence.PRESENT), (V_TACHY, Presence.ENDED)]
    assert all(a.acknowledged is None for a in behind.alarms)
    assert behind.state.alarms.seen == frozenset()


def test_an_agent_that_starts_again_ends_the_tachycardia_of_before_when_it_finds_fibrillation(captures: Path):
    before = play(turning(captures, 0, 27)).raised(V_TACHY)
    assert len(before) == 1
    behind = play(turning(captures, 100, 140), chain.begin(active=(before[0],)))
    assert told(behind.alarms) == [(V_FIB, Presence.PRESENT), (V_TACHY, Presence.ENDED)]
    assert [a.id for a in behind.alarms if a.code == V_TACHY] == [before[0].id]


def condition(code: str, at_s: float, source: SourcePath = SOURCE, *, present: bool = True) -> Condition:
    at_ns = T0 + round(at_s * NS_PER_S)
    return Condition(source, code, present, Priority.HIGH, AlarmKind.PHYSIOLOGICAL, at_ns, at_ns, "lethal")


def after(*conditions: Condition) -> tuple[AlarmsState, list[tuple[str, Presence]]]:
    """State and changes behind these, each settled as the chain does it."""
    state, out = AlarmsState(), list[AlarmCondition]()
    for one in conditions:
        times = Times(one.at_ns)
        state, change, raised = alarms.step(state, one, times)
        ended = None
        if raised is not None:
            state, ended = alarms.turned(state, raised, times)
        out += [a for a in (change, ended) if a is not None]
    return state, told(out)


GONE_S = 20.0
OFF_S = LIVES[V_TACHY].off_s


@pytest.mark.parametrize("passed_s", [0.5, OFF_S - 0.5])
def test_what_waits_for_its_end_has_turned_too(passed_s: float):
    begun = [condition(V_TACHY, 10), condition(V_TACHY, GONE_S, present=False)]
    state, changes = after(*begun, condition(V_FIB, GONE_S + passed_s))
    assert changes == [(V_TACHY, Presence.PRESENT), (V_FIB, Presence.PRESENT), (V_TACHY, Presence.ENDED)]
    assert not state.latched


def test_what_had_latched_is_another_event_and_waits_to_be_seen():
    gone = [condition(V_TACHY, GONE_S, present=False), condition(V_TACHY, GONE_S + OFF_S, present=False)]
    state, changes = after(condition(V_TACHY, 10), *gone, condition(V_FIB, GONE_S + OFF_S + 0.5))
    assert changes == [(V_TACHY, Presence.PRESENT), (V_TACHY, Presence.LATCHED), (V_FIB, Presence.PRESENT)]
    assert [a.code for a in state.latched.values()] == [V_TACHY]


@pytest.mark.parametrize("code", [V_FIB, ASYSTOLE])
def test_no_other_condition_and_no_other_source_ends_an_alarm(code: str):
    elsewhere = SOURCE if code == ASYSTOLE else SourcePath("bed-2-ecg", ("ecg",))
    state, changes = after(condition(V_TACHY, 10), condition(code, 12, elsewhere))
    assert changes == [(V_TACHY, Presence.PRESENT), (code, Presence.PRESENT)]
    assert state.holds(SOURCE, V_TACHY)


def test_the_excerpt_of_fibrillation_from_the_first_wave_on_is_one_alarm(captures: Path):
    assert told(play(of_record(read_record(captures / "vfdb-419-vf"), 40, 130)).alarms) == [(V_FIB, Presence.PRESENT)]
