"""Asks gateways again for what they still keep of a stretch of time, and opens their positions for it.

Somebody has asked for it (`hub.gateways.service`, which checked and wrote it down). The stream then ends: the next hello states
what is to come, which is how a gateway hears of positions that went back anyhow.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from hub.core.errors import InvalidError, UnavailableError
from hub.core.sql import load_queries
from hub.ingest.writer import position_of, ranges_of
from protocols.link import MAX_N, MAX_RESENDABLE, RESEND, Lane, Position, Ranges
from protocols.record import NS_PER_S
from protocols.uplink_pb2 import HubMessage, Resend, Resendable

if TYPE_CHECKING:
    from hub.core.db import Database
    from hub.ingest.streams import Stream, Streams

_QUERIES = load_queries("hub.ingest")


class Resends:
    """For the streams of this process."""

    def __init__(self, database: "Database", streams: "Streams") -> None:
        self._database, self._streams = database, streams

    async def ask(self, gateway_id: int | None) -> None:
        """Ask a gateway (all, when None) for what nobody has answered yet; a gateway that is away is asked when it comes."""
        streams = self._streams.asked_for(gateway_id, RESEND, hubs=True)
        if not streams:
            return
        async with self._database.connection() as connection:
            rows = await (await connection.execute(_QUERIES["resend_requests"], {"gateway": gateway_id})).fetchall()
        for request, gateway, lane, begin, end in rows:
            stream = streams.get(gateway)
            if stream is not None:
                asked = Resend(request=request, lane=Lane(lane).wire, from_ns=_ns(begin), to_ns=_ns(end))
                stream.send(HubMessage(resend=asked))

    async def answered(self, stream: "Stream", answer: Resendable) -> None:
        """Open what the gateway has; InvalidError for an answer that breaks the protocol."""
        lane, ranges = _checked(stream, answer)
        identity = stream.link.identity
        values: dict[str, object] = {
            "gateway": identity.gateway_id,
            "epoch": stream.link.epoch,
            "lane": int(lane),
            "request": answer.request,
            "kept_from": datetime.fromtimestamp(answer.kept_from_ns / NS_PER_S, UTC) if answer.kept_from_ns else None,
        }
        async with self._database.transaction(of=identity.history) as connection:
            row = await (await connection.execute(_QUERIES["lock_position"], values)).fetchone()
            position = Position() if row is None else position_of(int(row[0]), row[1])
            reopened = Ranges() if row is None else ranges_of(row[2])
            opened = [part for first, last in ranges for part in position.within(first, last)]
            for first, last in opened:
                position.remove(first, last)
                reopened.add(first, last)
            values["batches"] = sum(last - first + 1 for first, last in opened)
            if await (await connection.execute(_QUERIES["resend_answered"], values)).fetchone() is None:
                return  # it was answered before
            if opened:
                values["cumulative"] = position.cumulative
                values["stored"] = Multirange([Range(first, last + 1) for first, last in position.above])
                values["reopened"] = Multirange([Range(first, last + 1) for first, last in reopened])
                await connection.execute(_QUERIES["write_position"], values)
        structlog.get_logger().info(
            "positions-opened", gateway_id=identity.gateway_id, lane=lane.name.lower(), batches=values["batches"]
        )
        if opened:
            raise UnavailableError("Batches are asked for again.", "Connect again.", reason="positions-opened")


def _checked(stream: "Stream", answer: Resendable) -> tuple[Lane, Ranges]:
    ranges = [(r.first, r.last) for r in answer.ranges[: MAX_RESENDABLE + 1]]
    in_order = all(1 <= first <= last <= MAX_N for first, last in ranges)
    if answer.lane not in set(stream.connection.lanes) or len(ranges) > MAX_RESENDABLE or not in_order:
        raise InvalidError(
            f"Resendable: lane {answer.lane}, {len(answer.ranges)} ranges.",
            "Update the agent.",
            reason="protocol",
        )
    return Lane(answer.lane), Ranges(ranges)


def _ns(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000) * 1000
