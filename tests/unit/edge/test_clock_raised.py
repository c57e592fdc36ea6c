"""A machine that starts in 1970: its clock is raised so that TLS works, and is not taken for the time. Clocks are simulated here."""

import time
from pathlib import Path

import pytest

from edge.clock import GatewayClock, TimeLedger
from edge.clock.raising import is_raised, raise_clock
from edge.identity import save_identity
from protocols.record import NS_PER_S
from tests.fixtures.hub_peer import Authority

HOUR_NS = 3600 * NS_PER_S
Y2099_NS = 4_070_908_800 * NS_PER_S


class Machine:
    """A system's clock that starts anywhere and goes on with the machine."""

    def __init__(self, system_ns: int) -> None:
        self._set_ns, self._at_ns = system_ns, time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def system_ns(self) -> int:
        return self._set_ns + time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self._at_ns

    def set_ns(self, to_ns: int) -> None:
        self._set_ns, self._at_ns = to_ns, time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize("wrong_ns", [0, Y2099_NS])
def test_a_clock_that_cannot_be_right_is_raised_to_the_last_known_time_and_is_none_until_it_is_learned(
    tmp_path: Path, wrong_ns: int
):
    save_identity(tmp_path, Authority().identity("127.0.0.1:1"))
    known_ns = time.time_ns()
    ledger = TimeLedger(tmp_path / "clock.json")
    ledger.keep(known_ns)
    ledger.save()
    machine = Machine(wrong_ns)
    assert raise_clock(tmp_path, machine.set_ns, machine.system_ns, lambda: False) == known_ns
    assert known_ns <= machine.system_ns() < known_ns + HOUR_NS
    clock = GatewayClock(
        machine.system_ns,
        not_before_ns=TimeLedger(tmp_path / "clock.json").last_known_ns,
        is_synchronised=lambda: False,
        is_raised=lambda: is_raised(tmp_path, machine.system_ns),
    )
    assert not clock.is_known
    assert clock.look() is None, "nobody has set it since"
    machine.set_ns(known_ns + 48 * HOUR_NS)
    step = clock.look()
    assert step is not None
    assert step.learned
    assert clock.is_known


def test_the_hub_teaches_the_time_where_the_clock_was_raised(tmp_path: Path):
    known_ns = time.time_ns()
    ledger = TimeLedger(tmp_path / "clock.json")
    ledger.keep(known_ns)
    ledger.save()
    machine = Machine(0)
    raise_clock(tmp_path, machine.set_ns, machine.system_ns, lambda: False)
    clock = GatewayClock(
        machine.system_ns, lambda: 0, not_before_ns=known_ns, is_synchronised=lambda: False,
        is_raised=lambda: is_raised(tmp_path, machine.system_ns),
    )  # fmt: skip
    step = clock.follow_hub(known_ns + HOUR_NS, 1_000_000)
    assert step is not None
    assert (step.learned, step.by_hub, clock.now_ns()) == (True, True, known_ns + HOUR_NS)


def test_without_a_known_time_the_begin_of_the_certificate_is_one_that_has_been(tmp_path: Path):
    identity = Authority().identity("127.0.0.1:1")
    save_identity(tmp_path, identity)
    machine = Machine(0)
    begin, _ = identity.life()
    assert raise_clock(tmp_path, machine.set_ns, machine.system_ns, lambda: False) == int(begin.timestamp()) * NS_PER_S
    identity.check(begin)


def test_a_clock_that_may_be_right_stays(tmp_path: Path):
    ledger = TimeLedger(tmp_path / "clock.json")
    ledger.keep(time.time_ns() - HOUR_NS)
    ledger.save()
    machine = Machine(time.time_ns())
    before_ns = machine.system_ns()
    assert raise_clock(tmp_path, machine.set_ns, machine.system_ns, lambda: False) == 0
    assert 0 <= machine.system_ns() - before_ns < HOUR_NS
    assert not is_raised(tmp_path, machine.system_ns)


@pytest.mark.parametrize("shown_ns", [0, Y2099_NS])
def test_a_clock_that_something_disciplines_stays_whatever_was_known(tmp_path: Path, shown_ns: int):
    TimeLedger(tmp_path / "clock.json").keep(time.time_ns())
    machine = Machine(shown_ns)
    assert raise_clock(tmp_path, machine.set_ns, machine.system_ns, lambda: True) == 0
    assert 0 <= machine.system_ns() - shown_ns < HOUR_NS
    assert not is_raised(tmp_path, machine.system_ns)
