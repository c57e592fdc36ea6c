"""Episodes of rhythm, from a recording's beats to the events of the device."""

from pathlib import Path

import numpy as np
import pytest

from models.evaluation.played import START_NS, groups, seconds
from models.screening import chain, episodes
from models.signal.rhythm.atrial import Verdict
from models.signal.rhythm.patterns import Pattern, Seen
from protocols.ecgfile.wfdb import read_annotations, read_record
from protocols.nomenclature import (
    EVT_ATRIAL_FIB,
    EVT_BIGEMINY,
    EVT_COUPLET,
    EVT_V_RUN,
    RHYTHM_EPISODES,
    TERMS,
    lead,
)
from protocols.record import NS_PER_S, DeviceEvent, Scale, SourcePath, Times, WaveformGroup

CAPTURES = Path(__file__).parents[2] / "captures"
FS = 250
SOURCE = SourcePath("monitor-1", ("ecg",))


def second(number: int) -> WaveformGroup:
    """A second of nothing, the source's samples counted from 0."""
    times = Times(START_NS + number * NS_PER_S)
    flat = np.zeros(FS, "<i2").tobytes()
    return WaveformGroup(SOURCE, (lead("II"),), FS, number * FS, flat, "<i2", (Scale(1, 0, "uV"),), times)


def told(what: dict[int, tuple[Seen, ...]], atria: dict[int, Verdict] | None = None, until_s: int = 700):
    known, out = episodes.NO_EPISODES, list[DeviceEvent]()
    for at in range(until_s):
        verdicts = () if atria is None or at not in atria else (atria[at],)
        known, events = episodes.step(known, second(at), 0, what.get(at, ()), verdicts)
        out += events
    return known, out


def couplet(at_s: int) -> tuple[Seen, ...]:
    return (Seen(Pattern.COUPLET, at_s * FS, at_s * FS + 100, 2, 150.0),)


def test_an_episode_is_told_at_its_beginning_and_with_its_sum_five_minutes_behind_its_end():
    known, out = told({10: couplet(9), 40: couplet(39), 250: couplet(249)})
    assert known == {}
    began, ended = out
    assert (began.code, dict(began.params)["episode"], seconds(began.times.best_ns)) == (EVT_COUPLET, "began", 9.0)
    assert (ended.code, dict(ended.params)) == (
        EVT_COUPLET,
        {
            "episode": "ended", "since_ns": START_NS + 9 * NS_PER_S, "times": 3, "beats": 2, "beats_per_min": 150,
        },
    )  # fmt: skip
    assert seconds(ended.times.best_ns) == 249.4


def test_what_comes_more_than_five_minutes_later_is_another_one():
    _, out = told({10: couplet(9), 320: couplet(319)})
    assert [dict(e.params)["episode"] for e in out] == ["began", "ended", "began", "ended"]


def test_a_run_that_grows_is_one_run_with_its_greatest_length_and_rate():
    grows = {10 + i: (Seen(Pattern.RUN, 10 * FS, (10 + i) * FS, 3 + i, 140.0 + i),) for i in range(5)}
    _, (_, ended) = told(grows)
    assert {k: v for k, v in ended.params if k != "since_ns"} == {
        "episode": "ended", "times": 1, "beats": 7, "beats_per_min": 144,
    }  # fmt: skip


def test_atria_that_fibrillate_for_less_than_half_a_minute_are_not_told():
    def fibrillates(until_s: int) -> dict[int, Verdict]:
        return {at: Verdict((at - 3) * FS, at * FS, 2.0, fibrillation=True) for at in range(20, until_s, 3)}

    assert told({}, fibrillates(45))[1] == []
    began, ended = told({}, fibrillates(60))[1]
    assert (began.code, seconds(began.times.best_ns), seconds(ended.times.best_ns)) == (EVT_ATRIAL_FIB, 17.0, 59.0)
    assert dict(ended.params)["times"] == 1


def test_when_the_gateways_clock_is_set_an_episode_is_neither_longer_nor_shorter():
    known, _ = episodes.step(episodes.NO_EPISODES, second(10), 0, couplet(9), ())
    (one,) = episodes.stepped(known, 3600 * NS_PER_S).values()
    assert (one.since_ns, one.last_ns) == (START_NS + 3609 * NS_PER_S, START_NS + int(3609.4 * NS_PER_S))


def test_each_has_its_name_in_both_languages():
    for code in RHYTHM_EPISODES:
        assert TERMS[code].en
        assert TERMS[code].zh_hans
    assert set(episodes.CODES.values()) | {EVT_ATRIAL_FIB} == set(RHYTHM_EPISODES)


def events_of(name: str) -> list[DeviceEvent]:
    state, found = chain.begin(), list[DeviceEvent]()
    for group in groups(read_record(CAPTURES / name)):
        state, out = chain.step(state, group)
        found += [one for one in out if isinstance(one, DeviceEvent) and one.code in RHYTHM_EPISODES]
    return found


def test_a_recorded_bigeminy_its_couplets_and_its_run_are_told_where_annotators_saw_them():
    """mitdb 200: a couplet at 5.8 s, `(B` from 10.1 s on, three ventricular beats marked `(VT` at 78.9 s."""
    name = "mitdb-200-bigeminy"
    fs_hz = read_record(CAPTURES / name).fs_hz
    marks = read_annotations(CAPTURES / name)

    def first(aux: str) -> float:
        return next(mark.sample / fs_hz for mark in marks if mark.aux.rstrip("\0") == aux)

    beats = [mark for mark in marks if mark.symbol in "NVAF"]
    rows = zip(beats, beats[1:], beats[2:], beats[3:], strict=False)
    couplet_s = next(b.sample / fs_hz for a, b, c, d in rows if f"{a.symbol}{b.symbol}{c.symbol}{d.symbol}" == "NVVN")
    began = {e.code: seconds(e.times.best_ns) for e in events_of(name) if dict(e.params)["episode"] == "began"}
    assert began == {
        EVT_COUPLET: pytest.approx(couplet_s, abs=0.15),
        EVT_BIGEMINY: pytest.approx(first("(B"), abs=0.5),  # its mark stands before the first ventricular beat
        EVT_V_RUN: pytest.approx(first("(VT"), abs=0.5),
    }
