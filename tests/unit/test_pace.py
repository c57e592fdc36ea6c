"""The token bucket by which devices and gateways are held to their pace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.pace import Bucket


@given(st.lists(st.floats(0, 2), min_size=1, max_size=200), st.floats(0.5, 50), st.floats(0.5, 20))
def test_never_more_passes_in_any_time_than_the_rate_and_one_burst(pauses: list[float], rate: float, burst_s: float):
    bucket, now_s, passed = Bucket(rate, burst_s), 1000.0, 0
    for pause in pauses:
        now_s += pause
        passed += bucket.take(1, now_s)
    assert passed <= rate * (burst_s + now_s - 1000.0) + 1


def test_who_keeps_the_rate_is_never_held_back():
    bucket = Bucket(5.0, 2.0)
    assert all(bucket.take(1, 0.2 * n) for n in range(1000))


def test_what_is_larger_than_the_bucket_passes_once_and_is_paid_for():
    bucket = Bucket(10.0, 1.0)
    assert bucket.take(100, 0.0)
    assert not bucket.take(1, 8.9)
    assert bucket.take(1, 9.2)


def test_a_debt_tells_how_long_to_wait():
    bucket = Bucket(100.0, 1.0)
    assert bucket.owe(100, 0.0) == 0.0
    assert bucket.owe(50, 0.0) == pytest.approx(0.5)
    assert bucket.owe(0, 0.5) == pytest.approx(0.0)


def test_what_would_take_too_long_to_pay_for_is_let_off():
    bucket = Bucket(50.0, 10.0)
    assert bucket.owe(1500, 0.0) == pytest.approx(20.0)
    assert bucket.forgive(3.0) == pytest.approx(850.0)
    assert bucket.owe(0, 1.0) == pytest.approx(2.0)
    assert bucket.forgive(3.0) == 0.0
