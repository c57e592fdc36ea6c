"""A disturbance does to a signal what its name says, and what is stored is what a device would send."""

import numpy as np
import pytest

from models.training.corpus import DS2
from protocols.ecgfile.wfdb import Annotation
from tests.figures import robustness
from tests.figures.robustness import DISTURBANCES, Beside, Signal

FS_HZ = 360.0
LENGTH_S = 300
RNG = np.random.default_rng(1)
T = np.arange(round(LENGTH_S * FS_HZ)) / FS_HZ
PEAKS = np.arange(180, len(T) - 180, 288)


def heart() -> Signal:
    """Two leads of one spike of 1 mV each 0.8 s."""
    one = sum(np.exp(-(((T - at / FS_HZ) / 0.02) ** 2)) for at in PEAKS)
    return Signal(np.stack([one, 0.5 * one]), FS_HZ)


def beside() -> Beside:
    marks = [Annotation(int(at), "N") for at in PEAKS]
    return Beside(marks, RNG.normal(0, 3.0, (2, len(T))), np.random.default_rng(2))


HEART = heart()


def disturbed(what: str) -> Signal:
    return DISTURBANCES[what](HEART, beside())


def arrays(signal: Signal) -> np.ndarray:
    groups = list(robustness.stored(signal, ("a", "b")))
    raw = np.concatenate([group.array() for group in groups], axis=1)
    missing = raw == np.iinfo(np.int32).min
    return np.where(missing, np.nan, raw * groups[0].scales[0].gain)


@pytest.mark.parametrize("db", [24, 6, -6])
def test_noise_has_the_power_that_its_ratio_says(db: int):
    """A spike of 1 mV is a sine of 1 mV from top to bottom: 1/8 mV^2 (nst of the WFDB package)."""
    added = disturbed(f"moving electrodes, {db} dB").samples - HEART.samples
    assert 10 * np.log10((1 / 8) / added[0].var()) == pytest.approx(db, abs=0.7)


def test_leads_are_lost_as_said():
    assert np.isnan(disturbed("second lead lost").samples[1]).all()
    assert not np.isnan(disturbed("second lead lost").samples[0]).any()
    turns = np.isnan(disturbed("one lead lost, in turns of 10 s").samples)
    assert (turns.sum(axis=0) == 1).all()
    assert turns[0].mean() == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("share", [1, 5])
def test_so_many_packets_are_lost(share: int):
    lost = np.isnan(disturbed(f"{share} % of packets lost").samples)
    assert (lost[0] == lost[1]).all()
    assert 100 * lost[0].mean() == pytest.approx(share, rel=0.4)  # 3,000 packets


@pytest.mark.parametrize("fs_hz", [100, 250, 1000])
def test_a_rate_keeps_the_shape(fs_hz: int):
    other = disturbed(f"{fs_hz} samples a second")
    assert (other.fs_hz, other.samples.shape[1]) == (fs_hz, LENGTH_S * fs_hz)
    at = np.arange(LENGTH_S * fs_hz) / fs_hz
    assert np.abs(other.samples[0] - np.interp(at, T, HEART.samples[0])).max() < 0.1


def test_what_is_stored_has_the_steps_and_the_ends_of_its_bits():
    eight = arrays(disturbed("8 bits of 10 mV"))
    assert len(np.unique(eight[0])) <= 1 + 1 / (10 / 256)
    assert np.abs(eight - HEART.samples).max() <= 5 / 256 + 1e-9
    assert np.abs(arrays(disturbed("24 bits of 375 mV")) - HEART.samples).max() < 3e-5
    tall = DISTURBANCES["gain x 4"](Signal(3 * HEART.samples, FS_HZ), beside())
    assert arrays(DISTURBANCES["8 bits of 10 mV"](tall, beside())).max() == pytest.approx(5.0, abs=0.04)
    assert np.isnan(arrays(disturbed("second lead lost"))[1]).all()


def test_the_records_are_of_the_test_split():
    assert set(robustness.BEATS) <= set(DS2)
