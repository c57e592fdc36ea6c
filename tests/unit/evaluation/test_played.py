"""Recordings played through the screening: what is written of them is what a reader of WFDB annotations finds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.evaluation.beats import BY_SYMBOL, BeatClass
from models.evaluation.folder import Job, LeftOut, judge, records
from models.evaluation.played import ecg_of, groups, lead_code, play
from models.evaluation.report import Result
from protocols.ecgfile.wfdb import decode_annotations, encode_annotations, read_annotations, read_record
from protocols.nomenclature import V_FIB, lead

NORMAL, BIGEMINY, FIBRILLATION = "mitdb-100-normal", "mitdb-200-bigeminy", "vfdb-419-vf"


def test_beats_with_their_classes_are_in_the_annotations_as_they_were_found(captures: Path):
    record = read_record(captures / BIGEMINY)
    played = play(record)
    read = decode_annotations(encode_annotations(played.annotations()), "wl")
    beats = {mark.sample: BY_SYMBOL[mark.symbol] for mark in read if mark.symbol in BY_SYMBOL}
    assert beats == dict(played.beats)
    truth = [BY_SYMBOL[mark.symbol] for mark in read_annotations(captures / BIGEMINY) if mark.symbol in BY_SYMBOL]
    for kind in (BeatClass.N, BeatClass.V):
        assert list(beats.values()).count(kind) == pytest.approx(truth.count(kind), abs=3)


def test_fibrillation_stands_between_brackets_in_the_annotations(captures: Path):
    """By eye and by its annotation from 60 s on (tests/captures/ATTRIBUTION.md)."""
    record = read_record(captures / FIBRILLATION)
    played = play(record)
    [(from_s, to_s), *_] = played.holding[V_FIB]
    assert from_s == pytest.approx(60, abs=3)
    marks = decode_annotations(encode_annotations(played.annotations()), "wl")
    first = next(mark for mark in marks if mark.symbol == "[")
    last = next(mark for mark in marks if mark.symbol == "]")
    assert (first.sample, last.sample) == (round(from_s * record.fs_hz), round(to_s * record.fs_hz))
    assert [mark.sample for mark in marks] == sorted(mark.sample for mark in marks)


@pytest.mark.parametrize(
    ("name", "row", "code"),
    [("MLII", 0, "II"), ("V5", 1, "V5"), ("ECG1", 0, "II"), ("ECG2", 1, "V1"), ("lead x", 7, "V1"), ("avf", 0, "AVF")],
)
def test_a_signal_is_taken_for_the_lead_that_its_header_names(name: str, row: int, code: str):
    assert lead_code(name, row) == lead(code)


def test_the_waves_beside_an_ecg_are_left_out_and_a_record_without_one_is_refused(captures: Path):
    record = read_record(captures / "cinc2015-a306s-artefact")
    assert [signal.description for signal in record.header.signals] == ["II", "V", "PLETH"]
    assert [signal.description for signal in ecg_of(record).header.signals] == ["II", "V"]
    pleth = replace(record, header=replace(record.header, signals=record.header.signals[2:]), raw=record.raw[2:])
    with pytest.raises(ValueError, match="none of PLETH"):
        play(pleth)


def test_groups_hold_every_sample_once(captures: Path):
    record = read_record(captures / NORMAL)
    played = list(groups(record, group_s=0.7))
    assert np.array_equal(np.concatenate([group.array() for group in played], axis=1), record.raw)


def test_a_record_is_judged_whose_reference_is_what_was_found(captures: Path, tmp_path: Path):
    """Annotated by the screening itself it agrees with itself to the last beat; a beat taken away is a false one, a class changed is counted."""
    for suffix in (".hea", ".dat"):
        (tmp_path / f"{BIGEMINY}{suffix}").write_bytes((captures / f"{BIGEMINY}{suffix}").read_bytes())
    marks = play(read_record(captures / BIGEMINY)).annotations()
    ventricular = next(mark for mark in marks if mark.symbol == "V")
    (tmp_path / f"{BIGEMINY}.own").write_bytes(encode_annotations(marks))
    (tmp_path / f"{BIGEMINY}.less").write_bytes(encode_annotations(mark for mark in marks if mark is not ventricular))
    changed = [replace(mark, symbol="N") if mark is ventricular else mark for mark in marks]
    (tmp_path / f"{BIGEMINY}.other").write_bytes(encode_annotations(changed))
    own, less, other = (judge(Job(tmp_path / BIGEMINY, name, 0.0)) for name in ("own", "less", "other"))
    assert isinstance(own, Result)
    assert isinstance(less, Result)
    assert isinstance(other, Result)
    beats = sum(mark.symbol in BY_SYMBOL for mark in marks)
    assert (own.beats.matched, own.beats.missed, own.beats.false) == (beats, 0, 0)
    assert (less.beats.matched, less.beats.missed, less.beats.false) == (beats - 1, 0, 1)
    assert own.beats.ventricular.positive_predictivity == 100
    assert (other.beats.ventricular.false_positive, other.beats.counts[BeatClass.N, BeatClass.V]) == (1, 1)


def test_each_lead_is_judged_alone_where_that_is_asked(captures: Path):
    result = judge(Job(captures / NORMAL, from_s=0.0, each_lead=True))
    assert isinstance(result, Result)
    assert set(result.by_lead) == set(result.leads) == {"MLII", "V5"}
    assert all(score.detection.sensitivity > 99 for score in result.by_lead.values())


@pytest.mark.parametrize(
    ("name", "from_s", "why"),
    [
        ("bidmc-11-desaturation", 0.0, "there is no bidmc-11-desaturation.atr"),
        (NORMAL, 300.0, "is 120 s long, and the first 300 s"),
        ("nothing", 0.0, "there is no nothing.hea"),
    ],
)
def test_what_cannot_be_judged_is_left_out_with_its_reason(captures: Path, name: str, from_s: float, why: str):
    found = judge(Job(captures / name, from_s=from_s))
    assert isinstance(found, LeftOut)
    assert why in found.why


def test_a_record_that_cannot_be_read_or_screened_is_left_out_too(captures: Path, tmp_path: Path):
    for suffix in (".hea", ".dat", ".atr"):
        (tmp_path / f"{NORMAL}{suffix}").write_bytes((captures / f"{NORMAL}{suffix}").read_bytes())
    header = (tmp_path / f"{NORMAL}.hea").read_text()
    (tmp_path / f"{NORMAL}.hea").write_text(header.replace(" 360 ", " 50 ", 1))
    slow = judge(Job(tmp_path / NORMAL, from_s=0.0))
    (tmp_path / f"{NORMAL}.hea").write_text("nonsense\n")
    broken = judge(Job(tmp_path / NORMAL, from_s=0.0))
    assert isinstance(slow, LeftOut)
    assert isinstance(broken, LeftOut)
    assert "50" in slow.why
    assert "cannot be read" in broken.why
    assert [path.name for path in records(tmp_path)] == [NORMAL]
