"""The gateway's time: whom it believes, what it remembers over a restart, and what the hub's stamps tell. Clocks are simulated here."""

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from edge.clock import Exchange, GatewayClock, HubClock, TimeLedger
from edge.clock.ledger import EARLIEST_NS
from edge.clock.timekeeper import Timekeeper
from edge.spool import Spool
from protocols.link import Lane
from protocols.nomenclature import HEART_RATE, V_FIB
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    AlarmKind,
    Gap,
    Observation,
    Presence,
    Priority,
    Record,
    SourcePath,
    Times,
)
from protocols.wire import decode_batch, decode_record, encode_batch
from protocols.wire.moved import TIME_UNCERTAIN
from tests.fixtures.waiting import until, until_asked

S = NS_PER_S
NOW = 1_800_000_000 * S
EPOCH = bytes(16)
MONITOR = SourcePath("monitor-1")


class Machine:
    """A system's clock and a monotonic one; `set_ns` is what the system's clock is ahead by."""

    def __init__(self, system_ns: int) -> None:
        self.up_ns, self.set_ns, self.synchronised = 0, system_ns, False

    def clock(self, last_known_ns: int) -> GatewayClock:
        return GatewayClock(
            lambda: self.set_ns + self.up_ns,
            lambda: self.up_ns,
            not_before_ns=last_known_ns,
            is_synchronised=lambda: self.synchronised,
        )


def test_a_time_before_the_last_known_one_is_no_time_and_the_clock_runs_on_from_there():
    machine = Machine(0)
    clock = machine.clock(NOW)
    assert not clock.is_known
    machine.up_ns = 5 * S
    assert clock.look() is None
    assert clock.now_ns() == NOW + 5 * S
    machine.set_ns = NOW + 3600 * S
    step = clock.look()
    assert step is not None
    assert step.learned
    assert clock.is_known
    assert clock.now_ns() == NOW + 3605 * S


def test_the_hub_tells_the_time_until_something_disciplines_the_systems_clock():
    machine = Machine(0)
    clock = machine.clock(NOW)
    step = clock.follow_hub(NOW + 100 * S, S)
    assert step is not None
    assert (step.by_ns, step.learned, step.by_hub) == (100 * S, True, True)
    machine.up_ns = 60 * S
    assert clock.look() is None, "the machine still shows 1970"
    assert clock.now_ns() == NOW + 160 * S
    machine.set_ns, machine.synchronised = NOW + 103 * S, True
    step = clock.look()
    assert step is not None
    assert not step.learned
    assert clock.now_ns() == NOW + 163 * S


@pytest.mark.parametrize(
    ("synchronised", "ahead_s", "taken"), [(True, 3600, False), (False, 3600, True), (False, 1, False)]
)
def test_a_hub_that_disagrees_is_believed_where_nothing_disciplines_the_machines_clock(
    synchronised: bool, ahead_s: int, taken: bool
):
    machine = Machine(NOW)
    machine.synchronised = synchronised
    clock = machine.clock(NOW - S)
    assert (clock.follow_hub(NOW + ahead_s * S, 10_000_000) is not None) == taken
    assert clock.now_ns() == NOW + (ahead_s * S if taken else 0)


@pytest.mark.parametrize(
    ("wrong_s", "taken"), [(0, False), (4_070_908_799, True), (4_070_908_800, False), (2**33, False)]
)
async def test_a_hub_that_says_1970_or_2099_is_not_believed(tmp_path: Path, wrong_s: int, taken: bool):
    clock = Machine(0).clock(NOW)
    spool = await Spool.open(tmp_path / "spool", clock.now_ns)
    try:
        keeper = Timekeeper(clock, TimeLedger(tmp_path / "clock.json"), spool, MONITOR)
        keeper.answered(0, wrong_s * S, wrong_s * S, 0)
        assert (clock.is_known, keeper.hub_time() is not None) == (taken, taken)
        if not taken:
            keeper.answered(0, NOW + S, wrong_s * S, 0)
            assert clock.now_ns() == NOW, "half of it is no better"
            keeper.answered(0, NOW + S, NOW + S, 0)
            assert (clock.is_known, clock.now_ns()) == (True, NOW + S)
    finally:
        await spool.close()


YEARS = 365 * 86_400


@pytest.mark.parametrize("synchronised", [True, False])
@pytest.mark.parametrize("by_s", [73 * YEARS, -56 * YEARS, 2 * YEARS])
def test_a_running_gateway_does_not_believe_a_jump_of_years_until_somebody_confirms_it(by_s: int, synchronised: bool):
    machine = Machine(NOW)
    machine.synchronised = synchronised
    clock = machine.clock(NOW - S)
    machine.up_ns, machine.set_ns = 10 * S, NOW + by_s * S
    step = clock.look()
    assert step is not None
    assert (step.by_ns, step.doubted) == (0, True)
    assert (clock.is_known, clock.now_ns()) == (False, NOW + 10 * S)
    machine.up_ns = 20 * S
    assert clock.look() is None
    step = clock.follow_hub(NOW + S, 10_000_000)
    assert step is not None
    assert (step.by_ns, step.learned, step.by_hub) == (S, True, True)
    for machine.up_ns in range(21 * S, 200 * S, S):
        assert clock.look() is None, "the machine goes on to say so"
    assert (clock.is_known, clock.now_ns() // S) == (True, NOW // S + 200)


def test_a_clock_that_comes_back_from_a_jump_is_known_again_with_the_times_that_it_had():
    machine = Machine(NOW)
    clock = machine.clock(NOW - S)
    machine.set_ns = 0
    clock.look()
    machine.up_ns, machine.set_ns = 8 * S, NOW
    step = clock.look()
    assert step is not None
    assert (step.by_ns, step.learned) == (0, True)
    assert (clock.is_known, clock.now_ns()) == (True, NOW + 8 * S)


def test_ntp_confirms_a_possible_time_and_no_other():
    for by_s, confirmed in ((-2 * YEARS, True), (3 * YEARS, True), (73 * YEARS, False), (-30 * YEARS, False)):
        machine = Machine(NOW)
        machine.synchronised = True
        clock = machine.clock(NOW - S)
        machine.set_ns = NOW + by_s * S
        assert clock.look() is not None
        machine.up_ns = 61 * S
        step = clock.look()
        assert (step is not None and step.learned and step.by_ns == by_s * S) == confirmed


@pytest.mark.parametrize(
    ("synchronised", "by_s", "doubted"),
    [(False, -600, True), (True, -600, False), (False, 3600, False), (True, 3600, False)],
)
def test_a_small_step_is_believed_unless_it_goes_back_and_nothing_disciplines_the_clock(
    synchronised: bool, by_s: int, doubted: bool
):
    machine = Machine(NOW)
    machine.synchronised = synchronised
    clock = machine.clock(NOW - S)
    machine.set_ns = NOW + by_s * S
    step = clock.look()
    assert step is not None
    assert step.doubted == doubted
    assert clock.now_ns() == NOW + (0 if doubted else by_s * S)


def test_a_gateway_that_starts_in_2099_does_not_know_the_time():
    clock = Machine(4_070_908_800 * S).clock(NOW)
    assert (clock.is_known, clock.now_ns()) == (False, NOW)


def test_batches_of_a_time_that_was_doubted_are_put_right_by_what_is_learned_and_stay_when_nothing_is(tmp_path: Path):
    reading = Observation(MONITOR, HEART_RATE, 60.0, "/min", Times(NOW + S))
    for end, at_ns in (("learned", NOW + 3601 * S), ("nothing", NOW + S)):
        ledger = TimeLedger(tmp_path / f"{end}.json")
        ledger.keep(NOW)
        ledger.begin(EPOCH, newest(3), NOW, known=True)
        ledger.doubt(EPOCH, newest(7), NOW)
        ledger.save()
        data = batch_of(8, Lane.NUMERIC, NOW + S, reading)
        if end == "learned":
            ledger.learned(3600 * S, 5, newest(8), NOW + 3610 * S)
        else:
            ledger = TimeLedger(tmp_path / f"{end}.json")
            ledger.begin(EPOCH, newest(8), NOW + 86_400 * S, known=True)
        moved = decode_record(decode_batch(ledger.right(EPOCH, Lane.NUMERIC, 8, data)).records[0].record)
        assert moved.times.gateway_ns == at_ns
        assert ledger.right(EPOCH, Lane.NUMERIC, 7, data) == data


@pytest.mark.parametrize("ppm", [-50, 0, 50])
def test_what_is_stated_of_the_hubs_clock_holds_and_its_drift_is_learned(ppm: int, seed: random.Random):
    """Ways of 2 ms and up, now and then of seconds and one-sided: the truth is never outside."""
    rng = np.random.default_rng(seed.randrange(2**32))
    hub, at_ns = HubClock(), 0
    told = hub.add(Exchange(0, NOW + 2 * 10**6, NOW + 2 * 10**6, 4 * 10**6))
    for _ in range(200):
        at_ns += 15 * S
        there, back = (
            round((0.002 + rng.exponential(0.01) + (3.0 if rng.uniform() < 0.1 else 0)) * S) for _ in range(2)
        )
        received = NOW + at_ns + there + round((at_ns + there) * ppm * 1e-6)
        told = hub.add(Exchange(at_ns, received, received + 50_000, at_ns + there + back + 50_000))
        later_ns = at_ns + round(rng.uniform(5, 15) * S)
        now = hub.at(later_ns)
        assert now is not None
        for moment, known in ((at_ns + there + back, told), (later_ns, now)):
            assert abs(known.offset_ns - NOW - moment * ppm * 1e-6) <= known.uncertainty_ns
    assert told.uncertainty_ns < 0.02 * S
    assert told.drift * 1e6 == pytest.approx(ppm, abs=25)
    assert hub.steps == 0


def test_drift_is_learned_though_the_two_shortest_exchanges_stand_side_by_side():
    """Nothing can be told of drift from fifteen seconds: others, longer but far apart, tell it."""
    hub = HubClock()
    for n in range(64):
        sent_ns, way_ns = n * 15 * S, 2 * 10**6 if n in (31, 32) else 5 * 10**6
        received_ns = NOW + sent_ns + way_ns + round((sent_ns + way_ns) * 50e-6)
        hub.add(Exchange(sent_ns, received_ns, received_ns, sent_ns + 2 * way_ns))
    told = hub.at(64 * 15 * S)
    assert told is not None
    assert told.drift * 1e6 == pytest.approx(50, abs=0.5)


def test_a_hub_whose_clock_is_set_is_followed_from_the_next_exchange():
    hub = HubClock()
    for second in range(20):
        hub.add(Exchange(second * S, NOW + second * S + 10**6, NOW + second * S + 10**6, second * S + 2 * 10**6))
    told = hub.add(Exchange(30 * S, NOW + 3630 * S, NOW + 3630 * S, 30 * S + 2 * 10**6))
    assert abs(told.offset_ns - NOW - 3600 * S) < 2 * 10**6
    assert hub.steps == 1


def batch_of(n: int, lane: Lane, at_ns: int, *records: Record) -> bytes:
    return encode_batch(lane, n, at_ns, records)


def newest(n: int) -> Callable[[Lane], int]:
    def of(_: Lane) -> int:
        return n

    return of


def test_batches_of_a_run_without_a_time_are_put_right_when_it_is_learned_and_others_are_not(tmp_path: Path):
    ledger = TimeLedger(tmp_path / "clock.json")
    ledger.keep(NOW)
    ledger.save()
    ledger = TimeLedger(tmp_path / "clock.json")
    assert ledger.last_known_ns == NOW
    ledger.begin(EPOCH, newest(7), NOW, known=False)
    times = Times(NOW + S, NOW - 5, NOW + S - 20, 30, 4)
    reading = Observation(MONITOR, HEART_RATE, 60.0, "/min", times)
    hole = Gap(MONITOR, NOW, NOW + S, "link_loss", recoverable=False, times=Times(NOW + S))
    alarm = AlarmCondition(
        UUID(int=1), MONITOR, V_FIB, Priority.HIGH, AlarmKind.PHYSIOLOGICAL, Presence.PRESENT, NOW + S, NOW + 2 * S,
        Times(NOW + 2 * S), ((TIME_UNCERTAIN, True), ("heart_rate", 300)),
    )  # fmt: skip
    made = {
        lane: batch_of(8, lane, NOW + 3 * S, r)
        for lane, r in ((Lane.NUMERIC, reading), (Lane.EVENT, hole), (Lane.ALARM, alarm))
    }
    assert all(ledger.right(EPOCH, lane, 8, data) == data for lane, data in made.items()), "nobody knows yet"
    ledger.learned(3600 * S, 5, newest(8), NOW + 3610 * S)
    ledger.save()
    for reader in (ledger, TimeLedger(tmp_path / "clock.json")):
        sent = {lane: decode_batch(reader.right(EPOCH, lane, 8, data)) for lane, data in made.items()}
        assert {b.closed_ns for b in sent.values()} == {NOW + 3603 * S}
        moved = {lane: decode_record(b.records[0].record) for lane, b in sent.items()}
        seen = moved[Lane.NUMERIC].times
        assert (seen.gateway_ns, seen.device_ns, seen.corrected_ns, seen.uncertainty_ns) == (
            NOW + 3601 * S, NOW - 5, NOW + 3601 * S - 20, 35,
        )  # fmt: skip
        gap, told = moved[Lane.EVENT], moved[Lane.ALARM]
        assert isinstance(gap, Gap)
        assert (gap.from_ns, gap.to_ns) == (NOW + 3600 * S, NOW + 3601 * S)
        assert isinstance(told, AlarmCondition)
        assert (told.id, told.onset_ns, told.params) == (alarm.id, NOW + 3601 * S, (("heart_rate", 300),))
        for n, epoch in ((7, EPOCH), (9, EPOCH), (8, bytes(15) + b"1")):
            assert reader.right(epoch, Lane.NUMERIC, n, made[Lane.NUMERIC]) == made[Lane.NUMERIC]


def test_a_run_that_ended_without_a_time_lies_between_the_last_known_one_and_the_next(tmp_path: Path):
    first = TimeLedger(tmp_path / "clock.json")
    first.begin(EPOCH, newest(0), EARLIEST_NS, known=False)
    first.save()
    data = batch_of(
        1, Lane.NUMERIC, EARLIEST_NS + S, Observation(MONITOR, HEART_RATE, 60.0, "/min", Times(EARLIEST_NS))
    )
    later = TimeLedger(tmp_path / "clock.json")
    later.begin(EPOCH, newest(1), NOW, known=True)
    times = decode_record(decode_batch(later.right(EPOCH, Lane.NUMERIC, 1, data)).records[0].record).times
    assert times.gateway_ns - times.uncertainty_ns <= EARLIEST_NS
    assert times.gateway_ns + times.uncertainty_ns >= NOW


def test_many_starts_without_a_time_forget_no_batch_that_may_still_be_sent(tmp_path: Path):
    reading = Observation(MONITOR, HEART_RATE, 60.0, "/min", Times(NOW))
    data = batch_of(1, Lane.NUMERIC, NOW, reading)
    made, held = [0], [(1, 40)]
    ledger = TimeLedger(tmp_path / "clock.json")
    for start in range(80):  # each second one makes a batch before the power goes
        made[0] += start % 2
        ledger = TimeLedger(tmp_path / "clock.json")
        ledger.begin(EPOCH, lambda _: made[0], NOW, known=False, held=lambda _: held)
        if start == 2:
            ledger.learned(3600 * S, 0, lambda _: made[0] + 1, NOW + 3600 * S)
            made[0] += 1
        ledger.save()
    assert made[0] == 41
    right = decode_record(decode_batch(ledger.right(EPOCH, Lane.NUMERIC, 2, data)).records[0].record)
    assert right.times.gateway_ns == NOW + 3600 * S
    assert len(ledger._kept.runs) <= 43, "a run that made nothing is not kept"
    held[0] = (30, 41)
    ledger = TimeLedger(tmp_path / "clock.json")
    ledger.begin(EPOCH, lambda _: made[0], NOW, known=False, held=lambda _: held)
    ledger.save()
    assert len(TimeLedger(tmp_path / "clock.json")._kept.runs) <= 14, "nor one whose batches are gone"


def test_a_disk_that_takes_nothing_keeps_nobody_from_learning_the_time(tmp_path: Path):
    folder = tmp_path / "state"
    ledger = TimeLedger(folder / "clock.json")  # which is not there
    ledger.begin(EPOCH, newest(0), NOW, known=False)
    ledger.learned(3600 * S, 0, newest(1), NOW + 3600 * S)
    ledger.save()
    data = batch_of(1, Lane.NUMERIC, NOW, Observation(MONITOR, HEART_RATE, 60.0, "/min", Times(NOW)))
    assert decode_batch(ledger.right(EPOCH, Lane.NUMERIC, 1, data)).closed_ns == NOW + 3600 * S
    assert ledger.is_unsaved
    folder.mkdir()
    ledger.save()
    assert not ledger.is_unsaved
    assert (
        decode_batch(TimeLedger(folder / "clock.json").right(EPOCH, Lane.NUMERIC, 1, data)).closed_ns == NOW + 3600 * S
    )


@asynccontextmanager
async def doubted(tmp_path: Path, ledger: TimeLedger) -> AsyncGenerator[Timekeeper]:
    """A gateway whose clock has just jumped by ten years."""
    machine = Machine(NOW)
    clock = machine.clock(NOW - S)
    spool = await Spool.open(tmp_path / "spool", clock.now_ns)
    try:
        keeper = Timekeeper(clock, ledger, spool, SourcePath("ward3"))
        await keeper.look()
        assert clock.is_known
        machine.set_ns += 10 * 365 * 86_400 * S
        await keeper.look()
        assert not clock.is_known
        yield keeper
    finally:
        await spool.close()


async def test_a_doubt_that_the_disk_refused_is_written_when_it_can_be_though_the_time_is_still_not_known(
    tmp_path: Path,
):
    path = tmp_path / "state" / "clock.json"
    async with doubted(tmp_path, TimeLedger(path)) as keeper:
        path.parent.mkdir()

        async def written() -> bool:
            await keeper.look()
            return path.exists()

        await until_asked(written, within_s=10)
    (run,) = TimeLedger(path)._kept.runs
    assert run.doubted


async def test_nobody_waits_for_a_disk_that_hangs_under_the_ledger(tmp_path: Path):
    path = tmp_path / "clock.json"
    ledger = TimeLedger(path)
    with ledger._lock:  # as the thread holds it that stands in a write
        async with doubted(tmp_path, ledger) as keeper:
            await keeper.look()
            assert not path.exists()
    await until(path.exists, within_s=10)


def test_a_ledger_that_cannot_be_read_is_begun_anew(tmp_path: Path):
    (tmp_path / "clock.json").write_bytes(b'{"runs": [{"a": 1}]')
    ledger = TimeLedger(tmp_path / "clock.json")
    assert ledger.last_known_ns == EARLIEST_NS
    ledger.keep(NOW)
    ledger.save()
    assert TimeLedger(tmp_path / "clock.json").last_known_ns == NOW
