"""From the outbox of a hub into the spool of its way up: each batch once, alarms by themselves.

A row leaves the outbox when its batch is durable in the spool and noted as passed. Ended between these, the next start finds the
batch by the mark that was written with it, and repeats only the note.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import psycopg
import structlog

from edge.doors.known import Known
from edge.pipeline.fitting import fitted
from hub.core.errors import DomainError
from hub.upstream.intake import NO_NUMBER
from protocols.errors import DecodeError
from protocols.link import Connection, Lane, LinkSender, connection_of
from protocols.uplink_pb2 import Envelope
from protocols.wire import Arrival, TooLargeError, decode_record, encode_record, lane_of

if TYPE_CHECKING:
    from edge.spool import Spool
    from hub.upstream.outbox import Outbox, Waiting
    from wardlink.upstream.passed import Passed

LOOK_EVERY_S: Final = 0.1
AT_ONCE: Final = 128  # less than the spool lets wait, so that none becomes a Gap, and than it knows again (1024)
_AGAIN_S: Final = 1.0

_log = structlog.get_logger()


class Forwarder:
    """`run` is one task for alarms and another for the rest."""

    def __init__(
        self, outbox: "Outbox", spool: "Spool", link: LinkSender, wake: Callable[[Connection], None], passed: "Passed"
    ) -> None:
        self._outbox, self._spool, self._link, self._wake, self._passed = outbox, spool, link, wake, passed
        self._known = Known(spool.arrivals())

    async def run(self, *, alarms: bool) -> None:
        """Until cancelled; a database that fails is asked again."""
        while True:
            try:
                rows = await self._outbox.look(alarms=alarms, most=AT_ONCE)
                if rows:
                    await self._pass_on(rows)
                    continue
            except (psycopg.Error, OSError, DomainError) as error:
                _log.warning("outbox-not-read", error=type(error).__name__, detail=str(error))
                await asyncio.sleep(_AGAIN_S)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _pass_on(self, rows: "Sequence[Waiting]") -> None:
        writing = [future for row in rows for future in self._append(row)]
        await asyncio.gather(*writing)
        numbers = [((r.gateway, r.epoch, r.lane), r.first, r.last) for r in rows if r.first != NO_NUMBER]
        await asyncio.to_thread(self._passed.note, numbers)
        await self._outbox.done(rows)

    def _append(self, row: "Waiting") -> "list[asyncio.Future[int]]":
        arrival = Arrival(row.gateway, _mark(row))
        key = (row.gateway, row.epoch, row.lane)
        has_passed = row.first != NO_NUMBER and not self._passed.missing(key, row.first, row.last)
        if not row.records or has_passed or row.lane in self._known.lanes(arrival):
            return []
        try:
            envelopes = row.envelopes()
        except ValueError as error:
            _log.error("outbox-row-damaged", reason=str(error), what_to_do="see the log of the database server")
            return []
        return self._append_parts(row.lane, envelopes, [arrival])

    def _append_parts(
        self, lane: Lane, envelopes: "Sequence[Envelope]", arrivals: Sequence[Arrival]
    ) -> "list[asyncio.Future[int]]":
        """As one batch, or as several where their origins make it too large; the mark stands in the last of `lane`, where it is looked for."""
        try:
            return [self._put(lane, envelopes, arrivals)]
        except TooLargeError:
            half = len(envelopes) // 2
            parts = [(lane, envelopes[:half]), (lane, envelopes[half:])] if half else _smaller(envelopes[0])
        own = [part for where, part in parts if where is lane]
        writing = [one for where, part in parts if where is not lane for one in self._append_parts(where, part, ())]
        for part in own[:-1]:
            writing += self._append_parts(lane, part, ())
        if own:
            writing += self._append_parts(lane, own[-1], arrivals)
        elif arrivals:
            writing.append(self._put(lane, (), arrivals))
        return writing

    def _put(self, lane: Lane, envelopes: "Sequence[Envelope]", arrivals: Sequence[Arrival]) -> "asyncio.Future[int]":
        durable = self._spool.append(lane, envelopes, arrivals)
        durable.add_done_callback(lambda future: self._durable(lane, arrivals, future))
        return durable

    def _durable(self, lane: Lane, arrivals: Sequence[Arrival], future: "asyncio.Future[int]") -> None:
        if future.cancelled() or future.exception() is not None:
            return  # `_pass_on` sees it
        for arrival in arrivals:
            self._known.note(lane, arrival)
        self._link.batch_ready(lane, future.result())
        self._wake(connection_of(lane))


def _smaller(envelope: "Envelope") -> "list[tuple[Lane, Sequence[Envelope]]]":
    """What stands for a record that its origin makes too large for any batch; nothing for one that is damaged, which the log tells."""
    try:
        records = fitted(decode_record(envelope.record))
    except DecodeError as error:
        _log.error("outbox-record-damaged", reason=str(error), what_to_do="it is in this hub's quarantine")
        return []
    return [(lane_of(one), [Envelope(record=encode_record(one), origin=envelope.origin)]) for one in records]


def _mark(row: "Waiting") -> bytes:
    """Name the row by what its batch was, so that it is the same when the batch comes again.

    What has no number is named by its own and by what is in it: a database that was put back gives numbers of rows again.
    """
    is_released = row.first == NO_NUMBER
    name = f"{row.lane:d} {row.first} {row.last} {row.id if is_released else ''}".encode()
    return hashlib.blake2b(row.epoch + name + (row.records if is_released else b""), digest_size=16).digest()
