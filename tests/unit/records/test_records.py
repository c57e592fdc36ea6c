"""The records themselves: what they refuse, what they derive, and what may never change about them."""

from dataclasses import FrozenInstanceError, fields
from typing import Any, get_args
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.nomenclature import GAP_REASONS, TERMS, TermKind, lead
from protocols.record import Record, Scale, SourcePath, Times, WaveformGroup, alarm_id, concatenate

NS = 1_000_000_000
part = st.text(
    st.characters(codec="utf-8", exclude_characters="/|", exclude_categories=("Z", "C")), min_size=1, max_size=12
)


def group(rows: list[list[int]], first_sample: int = 0, **changes: Any) -> WaveformGroup:
    given: dict[str, Any] = {
        "source": SourcePath("amp", ("ecg",)),
        "leads": tuple(lead(n) for n in ("I", "II", "III")[: len(rows)]),
        "fs_hz": 250.0,
        "first_sample": first_sample,
        "samples": np.array(rows, "<i2").tobytes(),
        "dtype": "<i2",
        "scales": (Scale(2.0, 1.0, "uV"),) * len(rows),
        "times": Times(NS + first_sample * 4_000_000),
    }
    return WaveformGroup(**{**given, **changes})


def test_the_seven_kinds_are_frozen() -> None:
    assert len(get_args(Record)) == 7
    for kind in get_args(Record):
        assert kind.__dataclass_params__.frozen
        assert {"source", "times"} <= {f.name for f in fields(kind)}
    with pytest.raises(FrozenInstanceError):
        group([[1]]).fs_hz = 1.0  # type: ignore[misc]


@given(st.lists(part, min_size=1, max_size=4))
def test_a_source_path_comes_back_from_its_text(parts: list[str]) -> None:
    path = SourcePath(parts[0], tuple(parts[1:]))
    assert SourcePath.parse(str(path)) == path


@pytest.mark.parametrize("text", ["", "/", "amp/", "amp//ecg", "a b", "amp|x"])
def test_a_source_path_that_would_be_ambiguous_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="source path part"):
        SourcePath.parse(text)


def test_two_probes_of_one_monitor_are_two_sources() -> None:
    assert SourcePath("mon", ("temp", "1")) != SourcePath("mon", ("temp", "2"))


def test_samples_have_leads_by_time_and_their_units() -> None:
    g = group([[1, 2, 3], [4, 5, 6]], first_sample=100)
    assert g.n == 3
    assert g.end_sample == 103
    assert g.physical().tolist() == [[3, 5, 7], [9, 11, 13]]
    assert g.time_of(102) == g.times.best_ns + 8_000_000


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": ">i2"},
        {"samples": b"123"},
        {"scales": ()},
        {"fs_hz": 0.0},
        {"fs_hz": float("nan")},
        {"leads": (), "scales": ()},
    ],
)
def test_a_group_whose_shape_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"dtype|bytes|scales|fs_hz"):
        group([[1], [2]], **changes)


def test_groups_that_follow_each_other_are_joined_and_others_are_refused() -> None:
    joined = concatenate([group([[1, 2]]), group([[3]], 2)])
    assert joined.array().tolist() == [[1, 2, 3]]
    with pytest.raises(ValueError, match="does not follow"):
        concatenate([group([[1, 2]]), group([[3]], 3)])


def test_corrected_time_wins_over_the_gateways() -> None:
    assert Times(5).best_ns == 5
    assert Times(5, corrected_ns=4).best_ns == 4


def test_the_id_of_an_alarm_is_the_same_on_every_hop_and_release() -> None:
    source = SourcePath("amp", ("ecg",))
    first = alarm_id(source, "MDC_EVT_ECG_ASYSTOLE", NS)
    assert first == alarm_id(source, "MDC_EVT_ECG_ASYSTOLE", NS)
    assert first != alarm_id(source, "MDC_EVT_ECG_ASYSTOLE", NS + 1)
    # RFC 9562 section 5.5, computed from SHA-1 of namespace and "amp/ecg|MDC_EVT_ECG_ASYSTOLE|1000000000" without uuid5:
    # the alarms that are stored hang on it
    assert first == UUID("2cd10fa6-cf61-542f-893b-1191e01dd9e1")


def test_every_term_has_both_names_and_a_code_of_a_known_origin() -> None:
    for term in TERMS.values():
        assert term.code.startswith(("MDC_", "WDL_"))
        assert term.en
        assert any("\u4e00" <= c <= "\u9fff" for c in term.zh_hans)
        assert term.number is None or term.code.startswith("MDC_")


@pytest.mark.parametrize(
    ("code", "number"),
    # ISO/IEEE 11073-10101: partition * 65536 + code, from the reference's verified rows
    [("MDC_ECG_HEART_RATE", 147842), ("MDC_PULS_OXIM_SAT_O2", 150456), (lead("II"), 131330), (lead("aVF"), 131392)],
)
def test_numbers_are_those_of_the_standard(code: str, number: int) -> None:
    assert TERMS[code].number == number


def test_no_two_terms_share_a_number() -> None:
    numbers = [t.number for t in TERMS.values() if t.number is not None]
    assert len(numbers) == len(set(numbers))


def test_a_number_that_is_not_verified_is_not_invented() -> None:
    assert TERMS["MDC_EVT_ECG_V_FIB"].number is None
    assert TERMS["MDC_EVT_ECG_V_FIB"].kind is TermKind.ALARM


def test_gap_reasons_are_a_closed_list() -> None:
    assert "link_loss" in GAP_REASONS
    with pytest.raises(ValueError, match="ECG lead 'XX'"):
        lead("XX")
