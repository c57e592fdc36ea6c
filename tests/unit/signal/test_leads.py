"""Swapped limb leads of a heart that was made up: dipoles that point where a sinus rhythm points, seen by electrodes of known places."""

import warnings

import numpy as np
import pytest

from models.signal import delineate, leads
from models.signal.leads import Doubt, Finding, Swap
from tests.unit.signal.beats import Drawn, one_lead

FS_HZ = 500.0
PEAKS_S = [0.7 + 0.85 * i for i in range(9)]
LENGTH_S = 8.5
P, LEFT_ATRIUM, Q, R, S, T = range(6)
ANGLE = {
    P: 70,
    LEFT_ATRIUM: 25,
    Q: 150,
    R: 45,
    S: -80,
    T: 40,
}  # degrees in the frontal plane; the right atrium comes first
FRONT = {P: 0.3, LEFT_ATRIUM: -0.3, Q: 0.7, R: -0.35, S: -0.2, T: 0.5}  # towards the chest
PLACES = {  # (left, down, front) directions of V1-V6
    6: (-0.25, 0.0, 1.0),
    7: (0.15, 0.0, 1.0),
    8: (0.5, 0.1, 0.85),
    9: (0.8, 0.2, 0.6),
    10: (1.0, 0.2, 0.25),
    11: (1.0, 0.2, 0.0),
}


def _wave(number: int) -> np.ndarray:
    nothing = (0.0, 0.0, 0.0, 0.0, 0.0)
    heights = {
        P: (0.16, *nothing[:4]),
        LEFT_ATRIUM: (0.12, *nothing[:4]),
        Q: (0, 0.2, 0, 0, 0),
        R: (0, 0, 1.2, 0, 0),
        S: (0, 0, 0, 0.3, 0),
        T: (0, 0, 0, 0, 0.35),
    }[number]
    spans = {P: (-0.20, -0.12), LEFT_ATRIUM: (-0.16, -0.09)}
    drawn = Drawn(p=spans.get(number), heights=heights)
    return one_lead(FS_HZ, PEAKS_S, LENGTH_S, drawn)


def heart(*, mirrored: bool = False, atrium: bool = True, wide: bool = False) -> np.ndarray:
    """Right arm, left arm, left leg, right leg and V1-V6 as potentials, (10, n)."""
    chance = np.random.default_rng(3)
    n = round(LENGTH_S * FS_HZ)
    dipole = np.zeros((3, n))
    for number, degrees in ANGLE.items():
        if (number in (P, LEFT_ATRIUM) and not atrium) or (number in (Q, R, S) and wide):
            continue
        way = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), FRONT[number]])
        dipole += way[:, None] * _wave(number)
    if wide:
        dipole += np.array([0.7, -0.6, -0.3])[:, None] * one_lead(
            FS_HZ, PEAKS_S, LENGTH_S, Drawn(p=None, qrs=(-0.151, 0.11), heights=(0, 0, 1.3, -0.4, 0))
        )
    if mirrored:
        dipole[0] *= -1
    limbs = np.array([[-0.5, -0.29, 0], [0.5, -0.29, 0], [0.0, 0.58, 0], [-0.02, 0.58, 0]]) @ dipole
    chest = np.array(list(PLACES.values())) @ dipole
    if mirrored:  # the heart lies under V1 and V2, and each electrode further to the left is further from it
        chest *= np.array([1.0, 0.9, 0.7, 0.5, 0.35, 0.25])[:, None]
    return np.concatenate([limbs, chest]) + 0.003 * chance.standard_normal((10, n))


def recorded(body: np.ndarray, ra: int = 0, la: int = 1, ll: int = 2) -> np.ndarray:
    """The 12 leads with the cables RA, LA and LL on these limbs."""
    right, left, leg = body[ra], body[la], body[ll]
    middle = (right + left + leg) / 3
    limb = [left - right, leg - right, leg - left]
    augmented = [1.5 * (right - middle), 1.5 * (left - middle), 1.5 * (leg - middle)]
    return np.concatenate([limb, augmented, body[4:] - middle])


def judged(samples: np.ndarray) -> Finding:
    peaks = [round(at * FS_HZ) for at in PEAKS_S]
    beats = delineate.delineate(samples, peaks, FS_HZ, delineate.load())
    return leads.judge(samples, beats, FS_HZ, leads.load())


def test_a_recording_that_is_right_is_left_alone():
    finding = judged(recorded(heart()))
    assert finding.swap is Swap.NONE
    assert finding.sure


@pytest.mark.parametrize(
    ("on", "swap"),
    [((1, 0, 2), Swap.RA_LA), ((2, 1, 0), Swap.RA_LL), ((1, 2, 0), Swap.RA_LA_LL), ((2, 0, 1), Swap.RA_LL_LA)],
)
def test_an_exchange_that_moves_the_right_arm_is_found(on: tuple[int, int, int], swap: Swap):
    finding = judged(recorded(heart(), *on))
    assert finding.sure
    assert finding.swap not in (Swap.NONE, Swap.LA_LL)
    if swap is Swap.RA_LA:
        assert finding.swap is swap


def test_features_of_an_exchange_undone_are_those_of_the_recording_without_it():
    weights = leads.load()
    peaks = [round(at * FS_HZ) for at in PEAKS_S]
    right = recorded(heart())
    beats = delineate.delineate(right, peaks, FS_HZ, delineate.load())  # the same ends: only the cables differ
    as_it_is = leads.features(leads.shapes(right, beats, FS_HZ), Swap.NONE, weights.frontal)
    assert len(as_it_is) == len(weights.factors)
    for swap, on in leads.ON.items():
        seen = leads.shapes(recorded(heart(), *on), beats, FS_HZ)
        # Medians over beats are taken lead by lead: noise of 3 uV moves them by parts of a microvolt, a wave's share by a hundredth.
        assert np.abs(leads.features(seen, swap, weights.frontal) - as_it_is).max() < 0.1


@pytest.mark.parametrize(
    ("on", "swap"), [((3, 1, 2), Swap.RA_RL), ((0, 3, 2), Swap.LA_RL), ((3, 2, 1), Swap.ARMS_LEGS)]
)
def test_a_leg_in_place_of_an_arm_is_told_by_the_flat_lead(on: tuple[int, int, int], swap: Swap):
    assert judged(recorded(heart(), *on)).swap is swap


def test_it_is_not_sure_without_p_with_a_wide_complex_or_with_the_heart_on_the_right():
    for body, doubt in (
        (heart(atrium=False), Doubt.NO_P),
        (heart(wide=True), Doubt.WIDE_QRS),
        (heart(mirrored=True), Doubt.RIGHT_HEART),
    ):
        finding = judged(recorded(body))
        assert not finding.sure
        assert doubt in finding.doubts


def test_limb_leads_that_are_not_of_three_electrodes_are_doubted():
    samples = recorded(heart())
    samples[2] = samples[8]
    assert Doubt.INCONSISTENT in judged(samples).doubts


@pytest.mark.parametrize("value", [np.nan, 0.0, 4.0, np.inf, 1e300])
def test_no_recording_makes_it_raise_or_warn(value: float):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finding = judged(np.full((12, 2000), value))
    assert not finding.sure
    assert finding.doubts == (Doubt.FEW_BEATS,)


def test_a_recording_of_other_leads_is_refused():
    with pytest.raises(ValueError, match="expected the 12"):
        leads.judge(np.zeros((3, 2000)), (), FS_HZ, leads.load())
