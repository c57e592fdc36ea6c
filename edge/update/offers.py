"""Releases that the hub offers: their bytes come in chunks over the data connection, one asked for when the one before is here.

A chunk is as large as the way carries in a quarter of a second, and after each the way is left alone for as long as it took: live data and
their acknowledgements have at least half of a slow way, and never stand behind more than one chunk. Alarms have a connection of their own.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from edge.update.state import APPLIED, REFUSED, ROLLED_BACK, Answer
from edge.update.updater import Offer, Updater, WithdrawnError
from protocols.link import MAX_UPDATE_CHUNK_BYTES, UpdateChunkReceived, UpdateOffered
from protocols.uplink_pb2 import (
    UPDATE_OUTCOME_APPLIED,
    UPDATE_OUTCOME_REFUSED,
    UPDATE_OUTCOME_ROLLED_BACK,
    GatewayMessage,
    UpdateAnswer,
    UpdateRequest,
)

if TYPE_CHECKING:
    from edge.trial import Life

MIN_CHUNK_BYTES, _START_CHUNK_BYTES = 4 * 1024, 16 * 1024
_CHUNK_S = 0.25
_FORM = "hub-"  # of the name of a wish: behind it the rollout's number and the digest
_AGAIN_S = 15.0  # a chunk that has not come: the connection may be another one
_OUTCOMES = {
    APPLIED: UPDATE_OUTCOME_APPLIED,
    REFUSED: UPDATE_OUTCOME_REFUSED,
    ROLLED_BACK: UPDATE_OUTCOME_ROLLED_BACK,
}


class LinkSource:
    """The bytes of one rollout's release."""

    def __init__(self, rollout: int, say: Callable[[GatewayMessage], None]) -> None:
        self._rollout, self._say = rollout, say
        self._chunk_bytes = _START_CHUNK_BYTES
        self._asked = -1
        self._came: asyncio.Future[bytes] | None = None
        self._is_withdrawn = False

    async def read(self, offset: int, most: int) -> bytes:
        """Ask until they come; WithdrawnError when the hub has none for now."""
        length = min(most, self._chunk_bytes)
        request = UpdateRequest(rollout=self._rollout, offset=offset, length=length)
        began_s, data = time.monotonic(), b""
        while not self._is_withdrawn:
            self._asked, self._came = offset, asyncio.get_running_loop().create_future()
            began_s = time.monotonic()
            self._say(GatewayMessage(update_request=request))
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S):
                    data = await self._came
                break
        if not data:
            msg = "the hub has nothing of it now"
            raise WithdrawnError(msg)
        took_s = max(1e-3, time.monotonic() - began_s)
        self._chunk_bytes = min(MAX_UPDATE_CHUNK_BYTES, max(MIN_CHUNK_BYTES, round(len(data) * _CHUNK_S / took_s)))
        await asyncio.sleep(min(took_s, _AGAIN_S))
        return data[:most]

    def received(self, offset: int, data: bytes) -> None:
        """A chunk has come, or word that there is none."""
        if self._came is not None and not self._came.done() and (offset == self._asked or not data):
            self._came.set_result(data)

    def withdraw(self) -> None:
        """Nothing comes any more: the hub wants another release."""
        self._is_withdrawn = True
        self.received(0, b"")


class Offers:
    """Between uplink and updater."""

    def __init__(self, updater: Updater) -> None:
        self.updater = updater
        self._say: Callable[[GatewayMessage], None] | None = None
        self._sources: dict[int, LinkSource] = {}

    async def run(self, life: "Life", configured: Collection[str], say: Callable[[GatewayMessage], None]) -> None:
        """Go with one life until cancelled; `say` tells the hub."""
        self._say, self._sources = say, {}
        await self.updater.run(life, configured, self.tell)

    def received(self, event: UpdateOffered | UpdateChunkReceived) -> None:
        """The hub offers a release, or sends what was asked for."""
        source = self._sources.get(event.rollout)
        if isinstance(event, UpdateChunkReceived):
            if source is not None:
                source.received(event.offset, event.data)
            return
        if source is None:
            for other in self._sources.values():
                other.withdraw()
            self._sources = {event.rollout: (source := LinkSource(event.rollout, self._tell_hub))}
        digest = event.digest.hex()
        self.updater.offered(Offer(f"{_FORM}{event.rollout}-{digest}", source, digest))

    def _tell_hub(self, message: GatewayMessage) -> None:
        if self._say is not None:
            self._say(message)

    def tell(self, answer: Answer) -> None:
        """Answer the hub, when it was the hub that asked."""
        rollout = _rollout(answer.request)
        if rollout:
            message = UpdateAnswer(
                rollout=rollout,
                digest=bytes.fromhex(answer.digest),
                outcome=_OUTCOMES[answer.outcome],
                reason=answer.reason,
            )
            self._tell_hub(GatewayMessage(update_answer=message))


def _rollout(request: str) -> int:
    """The number of a rollout in the name of a wish; 0: a person's."""
    number = request.removeprefix(_FORM).partition("-")[0]
    return int(number) if request.startswith(_FORM) and number.isdecimal() else 0
