"""The arithmetic of the alarm path on numbers that can be counted by hand, and the recording that makes the alarms."""

import numpy as np
import pytest

from tests.figures import alarm_path
from tests.figures.alarm_path import Way, arrival_s, entries, failing, percentile


@pytest.mark.parametrize(
    ("n", "share", "expected"),
    [(1, 0.5, 1), (2, 0.5, 1), (3, 0.5, 2), (50, 0.99, 50), (100, 0.99, 99), (101, 0.99, 100), (200, 0.99, 198)],
)
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(n: int, share: float, expected: int):
    assert percentile(reversed(range(1, n + 1)), share) == expected


def test_a_sample_arrives_as_far_behind_the_first_of_its_group_as_the_device_measures():
    # the last of 25 samples at 250 Hz: 24 periods of 4 ms
    assert arrival_s(1000.0, 500, 250.0, 524) == pytest.approx(1000.096)
    assert arrival_s(1000.0, 500, 250.0, 500) == 1000.0


def test_both_figures_are_of_the_whole_way_and_say_that_one_bed_is_not_the_load_asked_for():
    ways = [Way("WDL_EVT_SATURATED", 10.0, 10.01, 10.03, 10.0 + total, 10.0) for total in (0.05, 0.07, 0.4)]
    p50, p99 = entries(ways)
    assert (p50.id, p50.value, p50.n) == ("alarm-path-p50", 0.07, 3)
    assert (p99.id, p99.value, p99.interval) == ("alarm-path-p99", 0.4, pytest.approx((0.05, 0.4)))
    assert p50.details["stored to shown, P50 / max"] == "0.040 / 0.370 s"
    assert p50.passes
    assert not p50.reaches
    assert "maximum" in p99.note


def test_what_the_clock_of_the_page_was_ahead_by_is_taken_off():
    way = Way("MDC_EVT_SIG_LO", 10.0, 10.01, 10.03, 10.08, 10.0, page_clock_error_s=0.02)
    assert way.total_s == pytest.approx(0.06)
    assert way.moments == pytest.approx((10.0, 10.01, 10.03, 10.06))


def test_with_a_hundred_alarms_the_longest_is_no_longer_p99():
    ways = [Way("WDL_EVT_SATURATED", 0.0, 0.01, 0.02, 5.0 if n == 0 else 0.06, 0.0) for n in range(100)]
    _, p99 = entries(ways)
    assert p99.value == 0.06
    assert "maximum" not in p99.note


def test_leads_fail_in_turn_and_never_before_the_clock_has_settled():
    fs_hz = 100.0
    raw = np.arange(2 * 700, dtype=np.int32).reshape(2, 700)
    played = failing(raw, fs_hz, 3)
    assert played.shape == (2, round((alarm_path.SETTLE_S + 3 * alarm_path.EVERY_S) * fs_hz))
    settled = round(alarm_path.SETTLE_S * fs_hz)
    assert not (played[0, :settled] == alarm_path.RAIL).any()
    assert np.array_equal(played[:, 700:1400], raw)
    assert (played[0] == alarm_path.RAIL).sum() == pytest.approx(3 * 280)
    still = np.diff(played[1]) == 0
    assert still.sum() == pytest.approx(3 * 259)
    assert still[:settled].sum() == 0
