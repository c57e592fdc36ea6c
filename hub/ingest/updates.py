"""Hands releases to gateways whose turn it is (`hub.updates.turns` knows): the offer, chunk by chunk what they ask for, and takes the answer."""

import asyncio
from typing import TYPE_CHECKING

import psycopg
import structlog

from hub.core.errors import InvalidError
from hub.updates.domain import GatewayPart
from protocols.link import MAX_UPDATE_CHUNK_BYTES, UPDATE, UPDATE_DIGEST_BYTES
from protocols.uplink_pb2 import (
    UPDATE_OUTCOME_APPLIED,
    UPDATE_OUTCOME_REFUSED,
    UPDATE_OUTCOME_ROLLED_BACK,
    HubMessage,
    Update,
    UpdateAnswer,
    UpdateChunk,
    UpdateRequest,
)

if TYPE_CHECKING:
    from hub.ingest.streams import Stream, Streams
    from hub.updates.turns import Turns

ADVANCE_EVERY_S = 2.0
_STATES = {
    UPDATE_OUTCOME_APPLIED: GatewayPart.APPLIED,
    UPDATE_OUTCOME_REFUSED: GatewayPart.REFUSED,
    UPDATE_OUTCOME_ROLLED_BACK: GatewayPart.ROLLED_BACK,
}
_REASON = 1000  # characters that are kept


class Updates:
    """For the streams of this process."""

    def __init__(self, turns: "Turns", streams: "Streams") -> None:
        self._turns, self._streams = turns, streams

    async def send(self, gateway_id: int | None) -> None:
        """Offer a gateway (all, when None or 0) what it is to go over to; one that is away hears of it when it comes."""
        streams = self._streams.asked_for(gateway_id or None, UPDATE)
        if not streams:
            return
        for due in await self._turns.due(list(streams)):
            offer = Update(rollout=due.rollout_id, digest=due.digest, version=due.version)
            streams[due.gateway_id].send(HubMessage(update=offer))

    async def requested(self, stream: "Stream", asked: UpdateRequest) -> None:
        """Put a chunk behind what waits: one a stream, so that who asks without reading fills nothing. InvalidError."""
        if not asked.rollout or asked.rollout >= 1 << 31 or asked.offset >= 1 << 40:
            raise _broken(f"UpdateRequest: rollout {asked.rollout}, offset {asked.offset}")
        length = min(asked.length, MAX_UPDATE_CHUNK_BYTES)
        gateway_id = stream.link.identity.gateway_id
        data = await self._turns.chunk(gateway_id, asked.rollout, asked.offset, length)
        stream.update_chunk = UpdateChunk(rollout=asked.rollout, offset=asked.offset, data=data)
        stream.wake.set()

    async def answered(self, stream: "Stream", answer: UpdateAnswer) -> None:
        """Write down what became of a release; InvalidError for an answer that breaks the protocol."""
        state = _STATES.get(answer.outcome)
        if state is None or not 1 <= answer.rollout < 1 << 31 or len(answer.digest) != UPDATE_DIGEST_BYTES:
            raise _broken(f"UpdateAnswer: rollout {answer.rollout}, outcome {answer.outcome}")
        identity, reason = stream.link.identity, answer.reason.replace("\0", " ")[:_REASON]
        if await self._turns.answered(identity.gateway_id, answer.rollout, answer.digest, state, reason):
            structlog.get_logger().info(
                "update-answered", gateway_id=identity.gateway_id, rollout=answer.rollout, state=state, reason=reason
            )
            await self._turns.advance()

    async def run(self) -> None:
        """Do the next step of each rollout every ADVANCE_EVERY_S, until cancelled."""
        while True:
            await asyncio.sleep(ADVANCE_EVERY_S)
            try:
                await self._turns.advance()
            except (psycopg.Error, OSError) as error:
                structlog.get_logger().warning("rollouts-not-looked-at", error=type(error).__name__)


def _broken(what: str) -> InvalidError:
    return InvalidError(f"{what}.", "Update the agent.", reason="protocol")
