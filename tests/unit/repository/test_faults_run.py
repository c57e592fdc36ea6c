"""A run of faults goes on whatever one of them does, and no wait is for ever."""

import signal
import time

import pytest

from tests.faults.__main__ import counted
from tests.faults.entry import LOAD, Result
from tests.faults.possible import Caught, NotPossibleError, within


def test_what_takes_too_long_is_ended_in_whatever_it_waits_and_leaves_no_alarm_behind():
    before = signal.getsignal(signal.SIGALRM)
    began_s = time.monotonic()
    with Caught() as caught, within(0.1, "a wait"):
        time.sleep(30)
    assert time.monotonic() - began_s < 5
    assert caught.told == "TookTooLongError: a wait has not ended within 0 s"
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


@pytest.mark.parametrize("error", [KeyError("column"), AssertionError("sample 7"), NotPossibleError("no root")])
def test_an_error_of_any_kind_is_told_and_ends_nothing(error: Exception):
    with Caught() as caught:
        raise error
    assert caught.error is error
    assert caught.told == f"{type(error).__name__}: {error}"
    with Caught() as nothing:
        pass
    assert nothing.error is None


def test_an_end_that_somebody_asked_for_is_one():
    with pytest.raises(KeyboardInterrupt), Caught():
        raise KeyboardInterrupt


def test_what_was_not_run_is_not_counted_as_an_injection():
    def result(fault: str, not_run: str = "") -> Result:
        return Result(fault, "live", 1, 0.0, 0.0, 0, {}, not_run=not_run)

    results = [
        result("agent-kill"),
        result("network-cut"),
        result("network-loss", "no nft"),
        result(LOAD),
        result("ward"),
    ]
    assert counted(results) == "2 injections, 1 of them kills, 1 not run"
