"""A paced beat is told at its pacing pulse, whatever the rate of the samples and however they were cut."""

import numpy as np
import pytest

from models.signal import monitor, weights
from models.signal.qrs import pulse
from models.signal.rhythm.patterns import Pattern
from tests.unit.signal.signals import heartbeats, regular

MODELS = weights.by_rules()
LENGTH_S = 12
PULSES_S = regular(71, LENGTH_S, 0.61)


def paced(
    fs_hz: float, delay_s: float, mv: float = 8.0, pulses_s: list[float] = PULSES_S, lost: tuple[int, ...] = ()
) -> np.ndarray:
    """Beats whose middle comes `delay_s` behind a pulse of 2 ms, as samples that are means of their time see it.

    `lost`: numbers of the pulses that no beat answers.
    """
    answered = [at + delay_s for i, at in enumerate(pulses_s) if i not in lost]
    x = heartbeats(fs_hz, answered, pulses_s[-1] + 1)
    t = np.arange(len(x)) / fs_hz
    for at in pulses_s:
        edges = np.clip(t[:, None] + [0, 1 / fs_hz], at, at + 0.002)
        x += mv * (edges[:, 1] - edges[:, 0]) * fs_hz
    return x


@pytest.mark.parametrize("fs_hz", [250, 360, 500, 1000])
@pytest.mark.parametrize("delay_s", [0.06, 0.09, 0.12])
def test_a_beat_behind_a_pulse_is_told_at_it(fs_hz: int, delay_s: float):
    found = np.array(monitor.find_beats(paced(fs_hz, delay_s), fs_hz, MODELS)) / fs_hz
    expected = PULSES_S[: len(found)]
    assert len(found) >= len(PULSES_S) - 1  # the last one may not be decided yet
    assert np.abs(found - expected).max() < 2.5 / fs_hz  # a pulse is known to its sample and the one beside it


def test_a_beat_too_far_behind_a_pulse_is_no_answer_to_it():
    """An atrial pulse comes 150 ms and more before the ventricles answer."""
    found = np.array(monitor.find_beats(paced(500, 0.18), 500, MODELS)) / 500
    assert np.abs(found - np.array(PULSES_S[: len(found)]) - 0.18).max() < 0.03


def test_findings_do_not_depend_on_how_the_samples_were_cut():
    x = paced(360, 0.1)
    state, whole = monitor.feed(monitor.begin(1, 360, MODELS), x[None], 360, MODELS)
    for size in (1, 77, 361):
        state, parts = monitor.begin(1, 360, MODELS), list[monitor.Finding]()
        for at in range(0, len(x), size):
            state, more = monitor.feed(state, x[None, at : at + size], 360, MODELS)
            parts += more
        assert tuple(parts) == whole
    assert max(len(state.pulses.pulses), len(state.pulses.beats)) <= pulse.KEPT


@pytest.mark.parametrize("fs_hz", [250, 500, 1000])
def test_pulses_that_the_heart_does_not_answer_are_told_as_a_loss_of_capture(fs_hz: int):
    pulses_s = regular(71, 40, 0.61)
    lost = (24, 25, 26)
    x = paced(fs_hz, 0.08, pulses_s=pulses_s, lost=lost)
    _, findings = monitor.feed(monitor.begin(1, fs_hz, MODELS), x[None], fs_hz, MODELS)
    told = [one for finding in findings for one in finding.seen]
    assert [(one.pattern, one.beats) for one in told] == [(Pattern.NO_CAPTURE, 2), (Pattern.NO_CAPTURE, 3)]
    assert abs(told[-1].first / fs_hz - pulses_s[24]) < 2.5 / fs_hz
    assert abs(told[-1].last / fs_hz - pulses_s[26]) < 2.5 / fs_hz
    whole = paced(fs_hz, 0.08, pulses_s=pulses_s)
    _, findings = monitor.feed(monitor.begin(1, fs_hz, MODELS), whole[None], fs_hz, MODELS)
    assert not any(finding.seen for finding in findings)


def test_a_rate_is_even_where_the_recorder_shows_two_pulses_of_five():
    """A beat is told at its pulse, 0.12 s before its complex, where there is one: intervals between the two kinds are no heart's."""
    pulses_s = regular(71, 40, 0.61)
    shown = paced(500, 0.12, pulses_s=pulses_s)
    answers = heartbeats(500, [at + 0.12 for at in pulses_s], pulses_s[-1] + 1)
    for i, at in enumerate(pulses_s):
        if i % 5 > 1:
            hidden = slice(round((at - 0.01) * 500), round((at + 0.015) * 500))
            shown[hidden] = answers[hidden]
    _, findings = monitor.feed(monitor.begin(1, 500, MODELS), shown[None], 500, MODELS)
    beats = np.array([beat for finding in findings for beat in finding.beats])[8:] / 500
    intervals = np.diff(beats)
    assert intervals.max() - intervals.min() > 0.1  # told at pulses and at complexes
    rates = [one.rate_per_min for one in findings if one.end > 10 * 500 and one.rate_per_min is not None]
    assert len(rates) > 50
    assert max(abs(rate - 71) for rate in rates) < 1
