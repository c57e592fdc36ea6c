"""A resting ECG as a whole: intervals as they were drawn, levels, swapped limb leads, and what cannot be read."""

from pathlib import Path

import numpy as np
import pytest

from models.signal import resting
from models.signal.leads import Swap
from protocols.ecgfile.wfdb import read_record
from tests.unit.signal.beats import Drawn, one_lead, twelve

CAPTURES = Path(__file__).parents[2] / "captures"
EVERY_S = 0.9
PEAKS_S = [0.5 + EVERY_S * i for i in range(11)]
LENGTH_S = 10.0


@pytest.mark.parametrize("fs_hz", [250.0, 500.0, 1000.0])
def test_intervals_are_those_that_were_drawn(fs_hz: float):
    """P begins 0.20 s before the R wave, the complex 0.045 s before, and ends 0.05 s behind; T ends at 0.36 s (tests/unit/signal/beats.py)."""
    reading = resting.read(twelve(fs_hz, PEAKS_S, LENGTH_S, Drawn()), resting.ORDER, fs_hz)
    assert reading is not None
    assert reading.rate_per_min == pytest.approx(60 / EVERY_S, rel=0.01)
    assert reading.beats >= 9
    # as near as in test_delineate: a raised cosine leaves the line slowly
    for measured, drawn in ((reading.pr_ms, 155), (reading.qrs_ms, 95), (reading.qt_ms, 405), (reading.p_ms, 100)):
        assert measured == pytest.approx(drawn, abs=45)
    assert reading.qt_ms is not None
    assert reading.qtc_bazett_ms == pytest.approx(reading.qt_ms / EVERY_S**0.5, rel=0.005)
    assert reading.qtc_fridericia_ms == pytest.approx(reading.qt_ms / EVERY_S ** (1 / 3), rel=0.005)
    assert set(reading.st_mv) == set(resting.ORDER)


def test_leads_are_known_by_their_names_in_any_order_and_others_are_left_out():
    whole = twelve(500, PEAKS_S, LENGTH_S, Drawn())
    one = resting.read(whole, resting.ORDER, 500)
    turned = resting.read(
        np.concatenate([whole[::-1], whole[:1]]), [*(name.lower() for name in resting.ORDER[::-1]), "vector"], 500
    )
    assert turned == one


def test_an_elevation_stands_in_the_lead_that_has_it():
    whole = twelve(500, PEAKS_S, LENGTH_S, Drawn())
    whole[7] = one_lead(500, PEAKS_S, LENGTH_S, Drawn(t=(0.24, 0.44), st_mv=0.3))
    reading = resting.read(whole, resting.ORDER, 500)
    assert reading is not None
    assert reading.st_mv["V2"] == pytest.approx(0.3, abs=0.05)
    assert abs(reading.st_mv["V5"]) < 0.05


def test_swapped_arms_of_a_recording_are_told_and_the_recording_itself_is_left_alone():
    record = read_record(CAPTURES / "ecg12-A0005-pvc")
    names = [signal.description for signal in record.header.signals]
    as_it_is = record.physical()
    reading = resting.read(as_it_is, names, record.fs_hz)
    assert reading is not None
    assert reading.swap is not None
    assert (reading.swap.swap, reading.swap.sure) == (Swap.NONE, True)
    # right arm on the left one: I is turned over, II and III change places, so do aVR and aVL; the chest stays
    at = {name.upper(): row for row, name in enumerate(names)}
    swapped = as_it_is.copy()
    swapped[at["I"]] = -as_it_is[at["I"]]
    for one, other in (("II", "III"), ("AVR", "AVL")):
        swapped[at[one]], swapped[at[other]] = as_it_is[at[other]], as_it_is[at[one]]
    reading = resting.read(swapped, names, record.fs_hz)
    assert reading is not None
    assert reading.swap is not None
    assert (reading.swap.swap, reading.swap.sure) == (Swap.RA_LA, True)


def test_fewer_leads_are_measured_and_nothing_is_said_of_their_electrodes():
    reading = resting.read(twelve(500, PEAKS_S, LENGTH_S, Drawn())[:3], resting.ORDER[:3], 500)
    assert reading is not None
    assert reading.qrs_ms is not None
    assert reading.swap is None


def test_fibrillating_atria_have_no_pr():
    record = read_record(CAPTURES / "ludb-101-af")
    reading = resting.read(record.physical(), [s.description for s in record.header.signals], record.fs_hz)
    assert reading is not None
    assert (reading.p_ms, reading.pr_ms) == (None, None)
    assert reading.qrs_ms is not None


@pytest.mark.parametrize(
    ("samples", "names", "fs_hz"),
    [
        (np.zeros((12, 5000)), resting.ORDER, 500.0),
        (np.full((12, 5000), np.nan), resting.ORDER, 500.0),
        (np.random.default_rng(3).normal(size=(12, 500)), resting.ORDER, 500.0),  # a second
        (twelve(500, PEAKS_S, LENGTH_S, Drawn()), ["X"] * 12, 500.0),
        (twelve(500, PEAKS_S, LENGTH_S, Drawn()), resting.ORDER, 50.0),
        (np.zeros((0, 5000)), (), 500.0),
    ],
)
def test_what_cannot_be_read_is_not(samples: np.ndarray, names: list[str], fs_hz: float):
    assert resting.read(samples, names, fs_hz) is None
