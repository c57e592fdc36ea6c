"""A door in a host process: what it takes in goes to the agent, and its `take` returns when the agent has answered."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edge.host.messages import message_frame, reply_of
from edge.host.wire import Json
from firmware_adapters.door import DoorConfig, DoorError, Message, Reply
from firmware_adapters.door_registry import make_door

if TYPE_CHECKING:
    from firmware_adapters.adapter import OptionValue

Send = Callable[[bytes], Awaitable[None]]


class HostedDoorEnd:
    """The door of this process."""

    def __init__(self, told: Json, send: Send, now_ns: Callable[[], int]) -> None:
        """`told`: the settings; ConfigError when they cannot be used."""
        self._send = send
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._number = 0
        options = cast("Mapping[str, OptionValue]", told["options"])
        devices = cast("Mapping[str, Mapping[str, OptionValue]]", told["devices"])
        names = (str(told["name"]), str(told["door"]), str(told["url"]))
        self._door = make_door(DoorConfig(*names, now_ns, Path(str(told["folder"])), options, devices))

    async def serve(self) -> None:
        """Take messages in until cancelled; DoorError when the door says that it cannot, or ends."""
        await self._door.serve(self._take)
        msg = "it has ended by itself"
        raise DoorError(msg)

    def replied(self, body: bytes) -> None:
        """The agent has answered."""
        number, reply = reply_of(body)
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    async def _take(self, message: Message) -> Reply:
        self._number += 1
        number = self._number
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send(message_frame(number, message))
            return await waiting
        finally:
            del self._waiting[number]
