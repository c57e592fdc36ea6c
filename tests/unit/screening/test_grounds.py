"""What an alarm of rhythm is founded on, as its evidence tells it: stretches, reasons, model; and how sure it is."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models.screening import chain
from models.screening.chain import Chain
from models.screening.rhythm import LETHAL_ON
from models.signal import card, weights
from protocols.ecgfile.wfdb import read_record
from protocols.nomenclature import ASYSTOLE, BRADY_EXTREME, TACHY_EXTREME, V_FIB, V_TACHY, lead
from protocols.record import AlarmCondition, Evidence, Model, WaveformGroup
from tests.unit.screening.played import groups, of_record, play
from tests.unit.signal.signals import fibrillation, heartbeats, regular

HASH_DIGITS = 12
SINUS_THEN_WAVES = np.concatenate([heartbeats(250, regular(75, 20), 20), fibrillation(250, 15)])


def evidence_of(alarm: AlarmCondition) -> tuple[Evidence, WaveformGroup]:
    assert alarm.evidence is not None
    assert alarm.evidence.strip is not None
    return alarm.evidence, alarm.evidence.strip


def lethal_alarm(played: Iterable[WaveformGroup], state: Chain | None = None) -> AlarmCondition:
    records = play(played, state)
    (alarm,) = [*records.raised(V_FIB), *records.raised(V_TACHY)]
    return alarm


def two(samples: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    return np.vstack([samples, 0.6 * samples])


@pytest.mark.req("AIQ-6.3", surface="protocol")
def test_fibrillation_tells_its_window_what_was_seen_in_it_and_the_model_that_weighed_it(captures: Path):
    record = read_record(captures / "vfdb-419-vf")
    (alarm,) = play(of_record(record, 30, 75)).raised(V_FIB)
    evidence, strip = evidence_of(alarm)
    window, judged = evidence.spans
    assert (window.kind, judged.kind) == ("window", "judged")
    assert window.to_sample - window.from_sample == 4 * 250
    assert strip.first_sample <= judged.from_sample <= window.from_sample < window.to_sample <= judged.to_sample
    assert judged.to_sample <= strip.end_sample
    assert set(window.leads) < set(judged.leads) == {lead("II"), lead("V1")}
    (model,) = evidence.models
    assert (model.name, model.version, model.sha256) == (
        "lethal",
        "1",
        card.of("lethal").sha256["lethal.json"][:HASH_DIGITS],
    )
    score = sum(reason.weight for reason in evidence.reasons)
    assert LETHAL_ON <= score <= 1
    assert evidence.reasons[0].code == "base"
    assert [r.weight for r in evidence.reasons[1:]] == sorted((r.weight for r in evidence.reasons[1:]), reverse=True)
    assert evidence.confidence is not None
    assert 0.5 < evidence.confidence < score, (
        "a score is surer than it is right (docs/reference/figures/calibration.md)"
    )


@pytest.mark.parametrize("size", [10, 125, 1250])
def test_the_same_evidence_comes_of_chunks_of_any_size(size: int):
    alarm = lethal_alarm(groups(two(SINUS_THEN_WAVES), size=size))
    usual = lethal_alarm(groups(two(SINUS_THEN_WAVES)))
    found, expected = alarm.evidence, usual.evidence
    assert found is not None
    assert expected is not None
    assert (found.spans, found.reasons, found.confidence) == (expected.spans, expected.reasons, expected.confidence)


def test_weights_without_a_meaning_state_no_confidence_and_no_reasons():
    alarm = lethal_alarm(groups(two(SINUS_THEN_WAVES)), chain.begin(models=weights.without("ds1-0", None)))
    evidence, _ = evidence_of(alarm)
    assert (evidence.confidence, evidence.reasons) == (None, ())
    assert [span.kind for span in evidence.spans] == ["window", "judged"]


def test_asystole_tells_the_stretch_without_a_beat_and_states_no_probability():
    beats_s = regular(75, 30)
    (alarm,) = play(groups(two(heartbeats(250, beats_s, 45)))).raised(ASYSTOLE)
    evidence, strip = evidence_of(alarm)
    (pause,) = evidence.spans
    assert pause.kind == "pause"
    assert pause.from_sample / 250 == pytest.approx(beats_s[-1], abs=0.05)
    assert 4 <= (pause.to_sample - pause.from_sample) / 250 <= 5
    assert strip.first_sample < pause.from_sample < pause.to_sample <= strip.end_sample
    assert not any(pause.from_sample < beat < pause.to_sample for beat in evidence.beats)
    assert (evidence.confidence, evidence.reasons) == (None, ())
    stated = card.of("qrs")
    assert evidence.models == (Model("qrs", stated.version, stated.sha256["qrs.tflite"][:HASH_DIGITS]),)
    assert dict(alarm.params)["limit_s"] == 4.0


def test_what_rules_have_found_names_no_model():
    samples = two(heartbeats(250, regular(75, 30), 45))
    (alarm,) = play(groups(samples), chain.begin(models=weights.by_rules())).raised(ASYSTOLE)
    assert evidence_of(alarm)[0].models == ()


@pytest.mark.parametrize(("rate", "code", "limit"), [(34, BRADY_EXTREME, 40), (190, TACHY_EXTREME, 150)])
def test_a_rate_tells_the_beats_that_it_was_counted_from(rate: float, code: str, limit: float):
    samples = two(np.concatenate([heartbeats(250, regular(75, 20), 20), heartbeats(250, regular(rate, 40), 40)]))
    (alarm,) = play(groups(samples)).raised(code)
    evidence, _ = evidence_of(alarm)
    (span,) = evidence.spans
    assert span.kind == "intervals"
    counted = [b for b in evidence.beats if span.from_sample <= b < span.to_sample]
    assert len(counted) >= 4
    intervals = sorted(b - a for a, b in pairwise(counted))
    assert 60 * 250 / intervals[len(intervals) // 2] == pytest.approx(dict(alarm.params)["heart_rate"], rel=0.06)
    assert dict(alarm.params)["limit_per_min"] == limit


def test_the_class_of_each_beat_is_told_with_an_alarm_and_none_without_a_model_of_classes():
    played = list(groups(two(SINUS_THEN_WAVES)))
    evidence, _ = evidence_of(lethal_alarm(played))
    assert len(evidence.classes) == len(evidence.beats) > 5
    assert set(evidence.classes[:-2]) == {"N"}
    assert evidence_of(lethal_alarm(played, chain.begin(models=weights.by_rules())))[0].classes == ""
