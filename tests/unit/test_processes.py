"""Child processes end together and quickly, whatever comes meanwhile."""

import os
import signal
import time
from pathlib import Path

import pytest

from wardlink.processes import ENDING, Processes, undisturbed

ENDS_AFTER_S = 0.4
SLOW_TO_END = ["sh", "-c", f"trap 'sleep {ENDS_AFTER_S}; exit' TERM; echo ready; while :; do sleep 0.05; done"]
DEAF = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]


def started(processes: Processes, command: list[str], count: int) -> list[int]:
    names = [f"p{n}" for n in range(count)]
    pids = [processes.start(name, command) for name in names]
    until_s = time.monotonic() + 10
    while not all(processes.log(name).read_text() for name in names):
        assert time.monotonic() < until_s
        time.sleep(0.01)
    return pids


def test_all_are_told_to_end_before_the_first_is_waited_for(tmp_path: Path):
    processes = Processes(tmp_path)
    started(processes, SLOW_TO_END, 5)
    began_s = time.monotonic()
    processes.stop_all()
    assert ENDS_AFTER_S <= time.monotonic() - began_s < 3 * ENDS_AFTER_S  # one behind the other: five times as long


def test_one_that_does_not_hear_is_killed_when_patience_ends(tmp_path: Path):
    processes = Processes(tmp_path)
    pids = started(processes, DEAF, 2)
    processes.stop_all(patience_s=0.5)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_comes_meanwhile_does_not_break_the_end_and_is_heard_again_afterwards(number: signal.Signals):
    before = signal.getsignal(number)
    with undisturbed():
        os.kill(os.getpid(), number)
        time.sleep(0)
    assert signal.getsignal(number) is before
