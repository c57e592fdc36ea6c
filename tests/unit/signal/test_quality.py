"""What the lead-quality check says of signals with a known fault."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.signal import quality
from models.signal.quality import Use, Verdict
from tests.unit.signal.signals import heartbeats, regular

FS = 250.0
GOOD = heartbeats(FS, regular(70, 30), 30)
T = np.arange(len(GOOD)) / FS
NOISY = GOOD + np.random.default_rng(4).normal(0, 0.4, len(GOOD))


def verdicts(lead: np.ndarray) -> list[Verdict]:
    _, hops = quality.feed(quality.begin(1), lead[None, :], FS)
    return [hop[0] for hop in hops]


@pytest.mark.parametrize(
    ("lead", "verdict"),
    [
        (GOOD, Verdict.GOOD),
        (GOOD + 150, Verdict.GOOD),
        (np.zeros(7500), Verdict.FLAT),
        (np.full(7500, 187.5), Verdict.SATURATED),
        (GOOD + 400, Verdict.LEAD_OFF),
        (NOISY, Verdict.NOISE),
        (np.full(7500, np.nan), Verdict.MISSING),
        (GOOD + 0.8 * np.sin(2 * np.pi * 50.03 * T), Verdict.MAINS),  # mains wander by some hundredths of a hertz
        (GOOD + 0.8 * np.sin(2 * np.pi * 59.96 * T) + 0.05 * np.sin(2 * np.pi * 180 * T), Verdict.MAINS),
        (GOOD + 3 * np.sign(np.sin(2 * np.pi * 0.4 * T)), Verdict.MOTION),  # an electrode that is pressed and let go
        (GOOD + 1.5 * np.sin(2 * np.pi * 0.2 * T), Verdict.BASELINE),  # 3 mV in 2.5 s
        (GOOD + 0.3 * np.sin(2 * np.pi * 0.3 * T), Verdict.GOOD),  # breathing
        (5 * GOOD, Verdict.GOOD),
    ],
)
def test_a_lead_is_called_what_it_is(lead: np.ndarray, verdict: Verdict):
    assert verdicts(lead)[-1] is verdict


@pytest.mark.parametrize(
    ("verdict", "use"),
    [(Verdict.GOOD, Use.RHYTHM), (Verdict.MAINS, Use.RATE), (Verdict.MOTION, Use.RATE), (Verdict.FLAT, Use.NOTHING)],
)
def test_a_verdict_says_what_a_lead_can_be_used_for(verdict: Verdict, use: Use):
    assert verdict.use is use


@pytest.mark.parametrize("fs_hz", [100.0, 125.0, 500.0, 1000.0])
def test_what_a_rate_cannot_show_is_not_called_hum(fs_hz: float):
    """At 100 Hz no mains frequency can be told from muscle, at 125 Hz only that of 50 Hz."""
    lead = heartbeats(fs_hz, regular(70, 10), 10) + np.random.default_rng(4).normal(0, 0.5, round(10 * fs_hz))
    _, hops = quality.feed(quality.begin(1), lead[None, :], fs_hz)
    assert hops[-1] == (Verdict.NOISE,)


def test_a_clipped_qrs_is_not_saturation():
    assert set(verdicts(np.minimum(GOOD * 6, 4.5))) == {Verdict.GOOD}


def test_a_lead_that_comes_back_is_good_within_three_seconds():
    lead = GOOD.copy()
    lead[2500:5000] = 0.0
    found = verdicts(lead)
    assert found[19 + 6] is Verdict.FLAT
    assert found[40 + 6] is Verdict.GOOD


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 7500), max_size=30))
def test_verdicts_do_not_depend_on_cutting(cuts: list[int]):
    lead = np.concatenate([GOOD[:2000], np.full(1500, np.nan), NOISY[:2000], np.zeros(2000)])
    state = quality.begin(1)
    found: list[Verdict] = []
    for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), 7500], strict=True):
        state, hops = quality.feed(state, lead[None, a:b], FS)
        found += [hop[0] for hop in hops]
    assert found == verdicts(lead)
