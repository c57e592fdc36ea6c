"""What waits for a transaction, taken in turns: a gateway that sends much waits for itself and holds nobody up.

Who has taken least so far is next (start-time fair queueing, Goyal, Vin and Cheng 1996: a gateway that was quiet begins where the
others are now). Leaves the transactions to `writer`.
"""

import asyncio
import heapq
import itertools
from collections import deque
from typing import Generic, Protocol, TypeVar

from hub.core.queues import QUEUES

_ROW = QUEUES["ingest-batches"]
_BATCHES = QUEUES["ingest-batches"].bound
_SHARE = 4  # one gateway fills a quarter of the queue at most
_REMEMBERED = 10_000  # gateways whose turn is kept


class Waits(Protocol):
    """What can wait: whose it is, and what it will cost."""

    @property
    def gateway_id(self) -> int:
        """Whose it is."""
        ...

    @property
    def records(self) -> int:
        """What storing it costs."""
        ...

    @property
    def size_bytes(self) -> int:
        """What it takes while it waits."""
        ...


T = TypeVar("T", bound=Waits)


class Turns(Generic[T]):
    """The queue of one writer, bounded by batches and by bytes. What one gateway puts comes out in its order."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[T]] = {}
        self._next: list[
            tuple[int, int, int]
        ] = []  # when its turn is, a number, gateway: of each that has something here
        self._numbers = itertools.count()
        self._paid: dict[int, int] = {}  # up to when a gateway has had its turns
        self._now = 0  # records that were taken, as the one sees it who had least
        self._room, self._filled = asyncio.Event(), asyncio.Event()
        self.batches = self.size_bytes = 0

    async def put(self, one: T) -> None:
        """Add one; waits while the queue, or this gateway's share of it, is full."""
        while not self._has_room(one):
            self._room.clear()
            await self._room.wait()
        mine = self._waiting.get(one.gateway_id)
        if mine is None:
            mine = self._waiting[one.gateway_id] = deque(maxlen=_BATCHES)
            self._stand_in(one.gateway_id)
        mine.append(one)
        self.batches += 1
        self.size_bytes += one.size_bytes
        self._filled.set()

    async def filled(self) -> None:
        """Return when something waits."""
        while not self.batches:
            self._filled.clear()
            await self._filled.wait()

    def take(self, batches: int, records: int, size_bytes: int) -> list[T]:
        """What is next, within these bounds; the first in any case."""
        taken: list[T] = []
        while self._next and len(taken) < batches:
            gateway_id = self._next[0][2]
            one = self._waiting[gateway_id][0]
            records, size_bytes = records - one.records, size_bytes - one.size_bytes
            if taken and (records < 0 or size_bytes < 0):
                break
            taken.append(self._pop(gateway_id))
        self._room.set()
        return taken

    def _pop(self, gateway_id: int) -> T:
        self._now, _, _ = heapq.heappop(self._next)
        mine = self._waiting[gateway_id]
        one = mine.popleft()
        self.batches -= 1
        self.size_bytes -= one.size_bytes
        self._paid[gateway_id] = self._now + one.records
        if mine:
            self._stand_in(gateway_id)
        else:
            del self._waiting[gateway_id]
        if len(self._paid) > _REMEMBERED:
            self._paid = {gateway: paid for gateway, paid in self._paid.items() if paid > self._now}
        return one

    def _stand_in(self, gateway_id: int) -> None:
        turn = max(self._now, self._paid.get(gateway_id, 0))
        heapq.heappush(self._next, (turn, next(self._numbers), gateway_id))

    def _has_room(self, one: T) -> bool:
        mine = self._waiting.get(one.gateway_id, ())
        own_bytes = sum(other.size_bytes for other in mine)
        return (
            self.batches < _BATCHES
            and len(mine) < _BATCHES // _SHARE
            and (not self.batches or self.size_bytes + one.size_bytes <= _ROW.bound_bytes)
            and (not mine or own_bytes + one.size_bytes <= _ROW.bound_bytes // _SHARE)
        )
