"""What a network sees of a lead: the same for half the amplitude, and soon again behind a step."""

from pathlib import Path

import numpy as np
import pytest

from models.signal import frames, front
from protocols.ecgfile.wfdb import read_record
from tests.unit.signal.signals import heartbeats, regular


def seen(samples: np.ndarray, fs_hz: float = 250) -> np.ndarray:
    state, out = front.begin(len(samples)), []
    for hop in frames.feed(frames.begin(len(samples), fs_hz), samples, fs_hz)[1]:
        state, _, x = front.step(state, hop.wide)
        out.append(x)
    return np.concatenate(out, axis=1)


def test_a_lead_of_half_the_amplitude_looks_the_same():
    lead = heartbeats(250, regular(70, 20), 20, noise_mv=0.0)
    one, half = seen(np.stack([lead, 0.5 * lead]))
    assert np.abs(one - half)[5 * 120 :].max() < 1e-5


def test_tall_complexes_of_a_lead_whose_gain_is_told_wrong_look_the_same(captures: Path):
    lead = read_record(captures / "mitdb-100-normal").physical()[0, : 20 * 360]
    tall = lead * 14 / np.ptp(lead)  # 3.5 mV by a gain that is four times too large
    assert np.abs(tall[9:] - tall[:-9]).max() > 10  # in 25 ms
    one, other = seen(np.stack([lead, tall]), 360)
    assert np.abs(one - other)[5 * 120 :].max() < 1e-5


def test_a_line_with_noise_alone_is_not_drawn_up_to_a_heart():
    lead = np.random.default_rng(3).normal(0, 0.01, 20 * 250)
    assert np.abs(seen(lead[None])).max() < 0.3


@pytest.mark.parametrize("step_mv", [4.0, -5.0, 155.0])
def test_behind_a_step_beats_look_as_ever_within_a_second(step_mv: float):
    lead = heartbeats(250, regular(70, 30), 30)
    stepped = lead.copy()
    stepped[15 * 250 :] += step_mv
    as_ever, after = seen(np.stack([lead, stepped]))
    settled = slice(round(16.2 * 120), None)
    assert np.abs(after[: 15 * 120] - as_ever[: 15 * 120]).max() < 1e-6
    assert np.abs(after[settled] - as_ever[settled]).max() < 0.35


def test_tall_beats_behind_a_lead_that_showed_nearly_none_are_seen_within_five_seconds():
    """As the first lead of mitdb 116 at 23:18: an electrode that hung sits again."""
    lead = heartbeats(250, regular(80, 40), 40)
    hung = 3.5 * lead / np.ptp(lead)
    assert np.abs(hung[6:] - hung[:-6]).max() > front.SMALL_JUMP_MV
    as_ever = seen(hung[None])
    hung[10 * 250 : 20 * 250] *= 0.01
    after = seen(hung[None])
    settled = slice(round(25.2 * 120), 28 * 120)
    assert after[0, settled].max() > 0.8 * as_ever[0, settled].max()
    assert np.abs(after - as_ever)[0, 33 * 120 :].max() < 0.05
