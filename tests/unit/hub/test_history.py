"""When a database counts as another than the one from which ids were learnt: on what connections answer alone.

With real servers: tests/integration/test_hub_put_back.py.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self, cast

import pytest

from hub.core.history import History, OtherHistoryError

if TYPE_CHECKING:
    from hub.core.db import Connection

BEGAN = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
LATER = BEGAN + timedelta(microseconds=1)


class Answers:
    """As a connection answers `server`; `held` back until it is let go."""

    def __init__(self, began: datetime, transactions: int, database: int = 16384) -> None:
        self.row = (began, database, transactions)
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.closed = False

    def held(self) -> Self:
        self.let_go.clear()
        return self

    async def execute(self, _: bytes) -> Self:
        await self.let_go.wait()
        return self

    async def fetchone(self) -> tuple[object, ...]:
        return self.row

    async def close(self) -> None:
        self.closed = True


class Met:
    """A history, and how often it told that it is another."""

    def __init__(self) -> None:
        self.history = History()
        self.told = 0
        self.history.on_another(self._another)

    def _another(self) -> None:
        self.told += 1

    async def meet(self, answers: Answers) -> int:
        await self.history.meet(cast("Connection", answers))
        return self.history.number


async def test_connections_to_one_run_of_a_server_are_of_one_history():
    met = Met()
    assert [await met.meet(Answers(BEGAN, n)) for n in (700, 700, 750)] == [0, 0, 0]
    assert met.told == 0


async def test_a_server_that_was_started_again_is_another_history_however_far_it_has_come():
    met = Met()
    assert [await met.meet(Answers(BEGAN, 700)), await met.meet(Answers(LATER, 900))] == [0, 1]
    assert await met.meet(Answers(LATER, 900, database=16999)) == 2, "it was dropped and made again under the same name"
    assert met.told == 2


async def test_transactions_that_count_from_farther_back_are_another_history():
    met = Met()
    await met.meet(Answers(BEGAN, 700))
    name = met.history.name
    assert await met.meet(Answers(BEGAN, 699)) == 1
    assert (met.told, met.history.name != name) == (1, True)


async def test_connections_that_meet_at_once_tell_once_in_whatever_order_they_answer():
    met = Met()
    await met.meet(Answers(BEGAN, 700))
    later, sooner = Answers(LATER, 701).held(), Answers(LATER, 705).held()
    meeting = [asyncio.create_task(met.meet(one)) for one in (later, sooner)]
    await asyncio.sleep(0)
    for one in (sooner, later):
        one.let_go.set()
    await asyncio.gather(*meeting)
    slow, fast = Answers(LATER, 705).held(), Answers(LATER, 720)
    asked = asyncio.create_task(met.meet(slow))
    await asyncio.sleep(0)
    await met.meet(fast)
    slow.let_go.set()
    assert await asked == 1
    assert met.told == 1


async def test_a_late_answer_of_the_server_before_changes_nothing_and_its_connection_is_let_go():
    met = Met()
    await met.meet(Answers(BEGAN, 700))
    old, new = Answers(BEGAN, 710).held(), Answers(LATER, 690)
    asked = asyncio.create_task(met.meet(old))
    await asyncio.sleep(0)
    assert await met.meet(new) == 1
    old.let_go.set()
    assert await asked == 1
    with pytest.raises(OtherHistoryError):
        await met.history.keep(cast("Connection", old))
    await met.history.keep(cast("Connection", new))
    assert (old.closed, new.closed, met.told) == (True, False, 1)


async def test_ids_hold_for_the_history_that_they_are_of():
    met = Met()
    await met.meet(Answers(BEGAN, 700))
    met.history.check(0)
    await met.meet(Answers(LATER, 700))
    with pytest.raises(OtherHistoryError):
        met.history.check(0)
