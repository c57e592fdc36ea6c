"""Who waits for a transaction is served in turns, and what waits is bounded by number and by bytes."""

import asyncio
from dataclasses import dataclass

from hub.core.queues import QUEUES
from hub.ingest.turns import Turns

MANY = 10**9
MIB = 1024 * 1024


@dataclass(frozen=True)
class Batch:
    gateway_id: int
    number: int
    records: int = 1
    size_bytes: int = 1000


async def filled(*batches: Batch) -> Turns[Batch]:
    turns: Turns[Batch] = Turns()
    for batch in batches:
        await turns.put(batch)
    return turns


async def is_full_for(turns: Turns[Batch], batch: Batch) -> bool:
    try:
        async with asyncio.timeout(0.05):
            await turns.put(batch)
    except TimeoutError:
        return True
    return False


def numbers(taken: list[Batch]) -> list[tuple[int, int]]:
    return [(one.gateway_id, one.number) for one in taken]


async def test_a_gateway_that_was_quiet_is_next_however_much_another_has_waiting():
    turns = await filled(*(Batch(1, n, records=200) for n in range(20)))
    assert numbers(turns.take(MANY, 50, MANY)) == [(1, 0)], "the first in any case"
    await turns.put(Batch(2, 0))
    assert numbers(turns.take(MANY, 50, MANY)) == [(2, 0)]
    assert numbers(turns.take(MANY, 50, MANY)) == [(1, 1)]


async def test_those_who_have_much_take_turns_by_what_it_costs_and_each_keeps_its_order():
    heavy, light = [Batch(1, n, records=30) for n in range(4)], [Batch(2, n, records=10) for n in range(12)]
    turns = await filled(*heavy, *light)
    taken = turns.take(16, MANY, MANY)
    assert [n for gateway, n in numbers(taken) if gateway == 1] == list(range(4))
    assert [n for gateway, n in numbers(taken) if gateway == 2] == list(range(12))
    cost = {1: 0, 2: 0}
    for one in taken:
        cost[one.gateway_id] += one.records
        assert abs(cost[1] - cost[2]) <= 30


async def test_what_is_taken_is_bounded_by_number_records_and_bytes():
    turns = await filled(*(Batch(n, 0, records=20) for n in range(10)))
    assert len(turns.take(3, MANY, MANY)) == 3
    assert len(turns.take(MANY, 50, MANY)) == 2
    assert len(turns.take(MANY, MANY, 2500)) == 2
    assert (turns.batches, turns.size_bytes) == (3, 3000)


async def test_the_queue_is_full_by_bytes_before_it_is_by_number_and_a_share_is_all_that_one_gateway_gets():
    row = QUEUES["ingest-batches"]
    turns: Turns[Batch] = Turns()
    put = 0
    while not await is_full_for(turns, Batch(1, put, size_bytes=MIB)):
        put += 1
    assert put == row.bound_bytes // MIB // 4, "one gateway"
    gateway = 2
    while not await is_full_for(turns, Batch(gateway, 0, size_bytes=MIB)):
        gateway += 1
    assert turns.size_bytes == row.bound_bytes
    assert turns.batches < row.bound
    waiting = asyncio.create_task(turns.put(Batch(1, put, size_bytes=MIB)))
    while not waiting.done():
        assert turns.take(1, MANY, MANY)
        await asyncio.sleep(0)
    assert turns.size_bytes <= row.bound_bytes
