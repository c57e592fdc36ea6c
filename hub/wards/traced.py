"""Follows one message from the push of ingest to the screens of this web process, when somebody asked (`wardlink trace`).

Ingest announces it on the push, just before it. While nothing is announced this costs a look at an empty dict. Leaves the hops
before that to `hub.ingest.traced`.
"""

import asyncio
import json
import time
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import psycopg
import structlog
from psycopg.types.json import Jsonb
from psycopg_pool import PoolTimeout

from hub.core.sql import load_queries

if TYPE_CHECKING:
    from hub.core.db import Database
    from hub.core.live import LiveMessage

_QUERIES = load_queries("hub.wards")
WAIT_S = 4.0  # for what a page says it has painted: it says so every 2 s
_MOST = 16

_Key: TypeAlias = tuple[int, str, str, int]  # tenant, source, kind, time of the record


@dataclass(slots=True, eq=False)
class _Followed:
    trace_id: int
    tenant_id: int
    source: str
    told: dict[str, object] = field(default_factory=dict[str, object])
    numbers: dict[object, int] = field(default_factory=dict[object, int])  # by connection, of the frame that it got
    is_whole: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class PageTraces:
    """For one web process. `database` as the role web."""

    database: "Database"
    now_ns: Callable[[], int] = time.time_ns
    _announced: dict[_Key, _Followed] = field(default_factory=dict[_Key, _Followed])
    _here: _Followed | None = None  # what the room works on in this turn of the loop
    _waiting: dict[Hashable, _Followed] = field(default_factory=dict[Hashable, _Followed])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def announced(self, message: "LiveMessage") -> None:
        """The next message of this source, kind and time is followed."""
        body = json.loads(message.payload)
        key = (message.tenant_id, str(body["source"]), str(body["kind"]), int(body["record_ns"]))
        while len(self._announced) >= _MOST:
            del self._announced[next(iter(self._announced))]
        self._announced[key] = _Followed(int(body["trace"]), message.tenant_id, key[1])

    @property
    def awaits(self) -> bool:
        """Whether anything is announced: else nobody need say what came."""
        return bool(self._announced)

    def came(self, tenant_id: int, source: str, kind: str, record_ns: int) -> None:
        """The room has taken a message from the push, and says next to whom it is handed."""
        self._here = self._announced.pop((tenant_id, source, kind, record_ns), None)
        if self._here is not None:
            self._here.told["web_ns"] = self.now_ns()

    def handed(self, keys: Collection[Hashable], screens: int) -> None:
        """What came is now waiting for so many screens, which know it by any of `keys`."""
        if self._here is None:
            return
        followed, self._here = self._here, None
        followed.told["screens"] = screens
        if screens and keys:
            self._waiting |= dict.fromkeys(keys, followed)
        else:
            followed.is_whole.set()
        self._spawn(followed)

    def not_handed(self, why: str) -> None:
        """What came goes to no screen, if it was not handed to any."""
        if self._here is not None:
            followed, self._here = self._here, None
            followed.told |= {"screens": 0, "why": why}
            followed.is_whole.set()
            self._spawn(followed)

    def sent(self, key: Hashable, connection: object = None, number: int = -1) -> None:
        """A screen has got it; `number` is its frame's there, by which the screen says later what it has painted."""
        followed = self._waiting.get(key) if self._waiting else None
        if followed is not None:
            followed.told.setdefault("sent_to_page_ns", self.now_ns())
            if connection is None:
                followed.is_whole.set()
            else:
                followed.numbers.setdefault(connection, number)

    def painted(self, connection: object, number: int, at_ms: float) -> None:
        """A screen says that it has painted a frame, and so those before it."""
        for followed in set(self._waiting.values()) if self._waiting else ():
            if connection in followed.numbers and number >= followed.numbers[connection]:
                followed.told.setdefault("painted_ns", int(at_ms * 1e6))
                followed.is_whole.set()

    def _spawn(self, followed: _Followed) -> None:
        task = asyncio.create_task(self._write(followed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, followed: _Followed) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                await followed.is_whole.wait()
        except TimeoutError:
            followed.told["waited_s"] = WAIT_S
        for key in [key for key, one in self._waiting.items() if one is followed]:
            del self._waiting[key]
        told = Jsonb({"of": followed.trace_id, **followed.told})
        values = {"tenant": followed.tenant_id, "device": followed.source.partition("/")[0], "told": told}
        try:
            async with self.database.transaction(followed.tenant_id) as connection:
                await connection.execute(_QUERIES["traced"], values)
        except (psycopg.Error, PoolTimeout, OSError) as error:
            structlog.get_logger().warning("trace-not-written", error=type(error).__name__)
