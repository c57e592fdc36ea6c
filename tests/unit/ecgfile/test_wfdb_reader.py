"""Our WFDB reader against the published `wfdb` package, and against files that are wrong."""

import contextlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.ecgfile.wfdb import (
    Annotation,
    decode_annotations,
    decode_signals,
    encode_annotations,
    parse_header,
    read_annotations,
    read_record,
)
from protocols.errors import DecodeError

with warnings.catch_warnings():  # its use of pandas warns of a future version
    warnings.simplefilter("ignore")
    import wfdb

HEADER = b"r 2 250 3\nr.dat 16 200(10)/mV 12 10 7 6 0 one\nr.dat 16 100/uV 12 0 -1 65533 0 two\n"
SAMPLES = np.array([[7, -1], [8, -2], [-9, 0]], "<i2").tobytes()


def same_as_the_package(path: Path) -> None:
    ours = read_record(path)
    theirs: Any = wfdb.rdrecord(str(path.with_suffix("")), physical=False)
    assert np.array_equal(ours.raw, theirs.d_signal.T)
    assert ours.fs_hz == theirs.fs
    physical: Any = wfdb.rdrecord(str(path.with_suffix("")))
    assert np.allclose(ours.physical(), physical.p_signal.T, equal_nan=True)


def annotations_of_the_package(path: Path, annotator: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return wfdb.rdann(str(path), annotator)


def test_excerpts_read_as_the_published_package_reads_them(captures: Path):
    paths = sorted(captures.glob("*.hea"))
    assert paths
    for path in paths:
        same_as_the_package(path)


@pytest.mark.parametrize(
    "folder", [pytest.param(name, marks=pytest.mark.recordings(name)) for name in ("mitdb", "vfdb", "nstdb")]
)
def test_full_records_and_their_annotations_read_as_the_package_reads_them(recordings: Path, folder: str):
    paths = sorted((recordings / folder).glob("*.hea"))
    assert paths
    for path in paths:
        same_as_the_package(path)
        if path.with_suffix(".atr").exists():
            theirs = annotations_of_the_package(path.with_suffix(""), "atr")
            ours = read_annotations(path)
            assert [a.sample for a in ours] == theirs.sample.tolist()
            assert [a.symbol for a in ours] == theirs.symbol
            assert [a.aux for a in ours] == [text.rstrip("\0") for text in theirs.aux_note]
            assert [(a.subtype, a.channel, a.number) for a in ours] == list(
                zip(theirs.subtype.tolist(), theirs.chan.tolist(), theirs.num.tolist(), strict=True)
            )


def test_baseline_gain_and_unit_of_each_signal_are_used():
    record = decode_signals(parse_header(HEADER), {"r.dat": SAMPLES})
    assert np.allclose(record.physical(), [[-0.015, -0.01, -0.095], [-0.01, -0.02, 0]])
    assert [s.unit for s in record.header.signals] == ["mV", "uV"]


def test_skew_is_taken_out_and_what_it_uncovers_is_missing():
    header = parse_header(HEADER.replace(b"two", b"two").replace(b"r.dat 16 100", b"r.dat 16:1 100"))
    record = decode_signals(header, {"r.dat": SAMPLES})
    assert record.raw[1].tolist() == [-2, 0, -32768]
    assert np.isnan(record.physical()[1, 2])


@pytest.mark.parametrize(
    ("header", "samples", "says"),
    [
        (b"", SAMPLES, "empty header"),
        (b"r/3 2 250 3\n", SAMPLES, "single-segment"),
        (
            HEADER.replace(b"dat 16 200", b"dat 80 200"),
            SAMPLES,
            "line 2: expected a file name and one of the formats 212, 16",
        ),
        (HEADER.replace(b" 250 ", b" fast "), SAMPLES, "line 1: expected a sampling frequency, found fast"),
        (HEADER.replace(b"200(10)/mV", b"(10)"), SAMPLES, "line 2: expected a gain"),
        (HEADER, SAMPLES[:8], "expected 3 samples a signal, found 2"),
        (HEADER, b"\x08" + SAMPLES[1:], "signal 0 (one): expected a first sample of 7, found 8"),
        (HEADER, SAMPLES[:4] + b"\xff" + SAMPLES[5:], "expected checksum 6"),
        (HEADER.rpartition(b"r.dat")[0], SAMPLES, "expected 2 signal lines, found 1"),
    ],
)
def test_a_wrong_record_is_refused_with_place_and_reason(header: bytes, samples: bytes, says: str):
    with pytest.raises(DecodeError, match=r"expected|empty") as refusal:
        decode_signals(parse_header(header, "r.hea"), {"r.dat": samples})
    assert says in str(refusal.value)


def test_a_missing_signal_file_is_named():
    with pytest.raises(DecodeError, match=r"signal file r\.dat"):
        decode_signals(parse_header(HEADER), {})


@given(st.binary(max_size=200))
def test_annotation_bytes_of_any_kind_decode_or_are_refused(data: bytes):
    found = ()
    with contextlib.suppress(DecodeError):
        found = decode_annotations(data)
    assert len(found) <= len(data) // 2


@given(st.binary(max_size=300))
def test_header_bytes_of_any_kind_parse_or_are_refused(data: bytes):
    with contextlib.suppress(DecodeError):
        assert len(parse_header(b"r 1 250\n" + data).signals) == 1


def test_an_annotation_file_cut_short_is_refused(captures: Path):
    data = (captures / "mitdb-100-normal.atr").read_bytes()
    with pytest.raises(DecodeError, match="closing zero"):
        decode_annotations(data[:-2])


def test_annotations_that_were_written_are_read_by_the_package_and_by_us(captures: Path, tmp_path: Path):
    """Of every excerpt, and one with long pauses, texts of both parities, sub-types and channels."""
    many = [
        Annotation(0, "+", aux="(N"),
        Annotation(1023, "N"),
        Annotation(2047, "V", subtype=-3, channel=1, number=2),
        Annotation(70_000, "~", channel=1, number=2, aux="odd"),
        Annotation(70_000, "N"),
        Annotation(9_000_000, "/", number=-1),
    ]
    for number, annotations in enumerate([many, *(read_annotations(p) for p in sorted(captures.glob("*.atr")))]):
        path = tmp_path / f"r{number}"
        path.with_suffix(".wlk").write_bytes(encode_annotations(annotations))
        assert read_annotations(path, "wlk") == tuple(annotations)
        theirs = annotations_of_the_package(path, "wlk")
        told = [a for a in annotations if not a.aux.startswith("## ")]  # definitions, which the package keeps to itself
        assert list(zip(theirs.sample.tolist(), theirs.symbol, strict=True)) == [(a.sample, a.symbol) for a in told]
        assert [text.rstrip("\0") for text in theirs.aux_note] == [a.aux for a in told]


@pytest.mark.parametrize(
    "wrong",
    [[Annotation(5, "N"), Annotation(4, "N")], [Annotation(1, "beat")], [Annotation(1, "+", aux="x" * 256)]],
)
def test_what_the_format_cannot_hold_is_refused_when_it_is_written(wrong: list[Annotation]):
    with pytest.raises(ValueError, match="expected a symbol"):
        encode_annotations(wrong)
