"""The event stream of a ward (WHATWG HTML, 9.2 server-sent events): alarms by their place in the log, numbers and links as they are.

A browser that comes back names the last alarm event that it had and gets every later one, once; one that the log does not
know, or that is too far behind, is told to fetch the whole state. One that hears of another history of the database fetches it too: ids
that it has may be another's.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Gauge

from hub.accounts.domain import Person
from hub.alarms.domain import Published
from hub.alarms.follower import AlarmFollower, Cursor
from hub.alarms.present import alarm_json, people
from hub.core.history import History, OtherHistoryError
from hub.placement.domain import Ward
from hub.wards.clients import EventClient
from hub.wards.present import link_json, numeric_json

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.wards.room import Room

BEAT_S = 2.0
_CHECK_S = 10.0
_STREAMS = Gauge("hub_web_event_streams", "Open event streams")
_RESETS = Counter("hub_web_event_resets_total", "Streams that were told to fetch the whole state")


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stream begins. `reset`: the browser is told to fetch the whole state. `history`: from which its ids are."""

    person: Person
    secret: str
    ward: Ward
    after: int
    newest: int
    reset: bool
    history: str


class EventStreams:
    """Makes the streams of one process."""

    def __init__(
        self, room: "Room", follower: AlarmFollower, accounts: "Accounts", version: str, history: History
    ) -> None:
        """`version` is told to pages, which load themselves again when it changes; of another `history` they fetch all anew."""
        self._history = history
        self._room = room
        self._follower = follower
        self._accounts = accounts
        self._version = version

    async def start(self, person: Person, secret: str, ward: Ward, last_event_id: str | None) -> Start:
        """Find out where to go on."""
        tenant = person.principal.tenant_id or 0
        await self._room.layout(tenant)  # read now, so that a change from here on is seen as one
        newest, after, reset = await self._follower.newest(tenant), None, False
        if last_event_id is not None:
            reset = not last_event_id.isdecimal() or not await self._follower.can_resume(tenant, int(last_event_id))
            after = None if reset else int(last_event_id)
        if reset:
            _RESETS.inc()
        return Start(person, secret, ward, newest if after is None else after, newest, reset, self._history.name)

    async def stream(self, start: Start) -> AsyncIterator[str]:
        """Yield the stream's text until the browser goes, the session ends or the process stops."""
        tenant = start.person.principal.tenant_id or 0
        client = EventClient(start.ward.ward_id)
        if start.history != self._history.name:
            return  # nobody may follow a log from a place in another
        with (
            self._room.events(client),
            self._follower.following(tenant, start.after) as cursor,
            _STREAMS.track_inprogress(),
        ):
            yield self._hello(start.newest)
            if start.reset:
                yield event("reset", {})
            with suppress(OtherHistoryError):  # `begin_anew` has closed the client
                async for text in self._while_open(tenant, start, cursor, client):
                    yield text
            if self._history.name != start.history:
                yield self._hello(None)  # the browser shall not go on with what it has until it has come back

    async def _while_open(self, tenant: int, start: Start, cursor: Cursor, client: EventClient) -> AsyncIterator[str]:
        checked_s = beat_s = time.monotonic()
        while not (client.closed or self._room.closing):
            grown = cursor.grown
            async for text in self._news(tenant, start, cursor, client):
                yield text
            now_s = time.monotonic()
            if now_s - beat_s >= BEAT_S:
                beat_s = now_s
                yield ": beat\n\n"
            if now_s - checked_s >= _CHECK_S:
                checked_s = now_s
                if not await self._may_go_on(start):
                    return
            await first_of(grown, client.ready, timeout=max(0.0, beat_s + BEAT_S - now_s))

    def _hello(self, newest: int | None) -> str:
        now_ms = time.time_ns() // 1_000_000
        told: dict[str, object] = {
            "now_ms": now_ms,
            "last_event_id": newest,
            "version": self._version,
            "history": self._history.name,
        }
        return event("hello", told)

    async def _news(self, tenant: int, start: Start, cursor: Cursor, client: EventClient) -> AsyncIterator[str]:
        client.ready.clear()
        while published := await cursor.read():
            layout = await self._room.layout(tenant)
            if any(p.alarm.point_of_care_id not in layout.beds for p in published):
                layout = await self._room.look_again(tenant)
            names = await self._accounts.names(start.person.principal, people(p.alarm for p in published))
            for one in published:
                bed = layout.beds.get(one.alarm.point_of_care_id or 0)
                if bed is not None and bed.point.ward.ward_id == start.ward.ward_id:
                    yield _alarm(one, bed.point.bed, names)
                    self._room.traces.sent(("alarm", one.event_id))
        if client.reset:
            client.reset = False
            _RESETS.inc()
            yield event("reset", {})
        layout = await self._room.layout(tenant)
        numerics, client.numerics = client.numerics, {}
        for (key, _), number in numerics.items():
            if key in layout.beds:
                yield event("numeric", {"bed": layout.beds[key].point.bed, **numeric_json(number)})
                self._room.traces.sent(("numeric", key, number))
        links, client.links = client.links, {}
        for key, link in links.items():
            if key in layout.beds:
                yield event("link", {"bed": layout.beds[key].point.bed, "link": link_json(link)})

    async def _may_go_on(self, start: Start) -> bool:
        """Whether the session still stands and still sees this ward; looking is what keeps a watching page's session alive."""
        person = await self._accounts.sessions.who(start.secret)
        if person is None:
            structlog.get_logger().info("event-stream-ended", principal=str(start.person.principal), reason="session")
            return False
        wards = await self._accounts.wards(person.principal)
        return wards is None or start.ward.ward_id in wards


def event(name: str, data: dict[str, object], event_id: int | None = None) -> str:
    """The text of one event."""
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {name}\n{head}data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def first_of(*events: asyncio.Event, timeout: float) -> None:  # noqa: ASYNC109  the beat is the rule, not a failure
    """Wait until one is set, or for `timeout` seconds."""
    waiting = [asyncio.ensure_future(one.wait()) for one in events]
    try:
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def _alarm(published: Published, bed: str, names: dict[int, str]) -> str:
    return event("alarm", alarm_json(published.alarm, bed, names), published.event_id)
