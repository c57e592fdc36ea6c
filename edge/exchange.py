"""Plays commands on the open link of a device: sends their steps, hands them what the device says, gives up after their patience.

Used by the device's pipeline and, for an adapter in a process of its own, by that process.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from firmware_adapters.adapter import Link, LinkError
from firmware_adapters.commanding import ChannelLink, Exchange, NotTakenError, Pause, Read, Send, Step
from protocols.device_command import Outcome, Reason, Result


class Exchanging:
    """For one link; one exchange at a time."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._active: Exchange | None = None
        self._next: list[Step] = []
        self._news = asyncio.Event()
        self._is_lost = False

    @property
    def is_busy(self) -> bool:
        """Whether an exchange is on its way."""
        return self._active is not None

    async def play(self, exchange: Exchange, *, only_read: bool, quiet: Callable[[], None] | None = None) -> Result:
        """What became of it; LinkError when the link broke before that was known. `quiet` is called before its last steps."""
        if self._active is not None:
            return Result(Outcome.REFUSED, Reason.BUSY)
        self._active, self._next = exchange, []
        try:
            return await self._played(exchange, only_read=only_read)
        finally:
            self._active = None
            if quiet is not None:
                quiet()
            with suppress(LinkError):
                await self._do(exchange.end(), None)

    def heard(self, data: bytes, channel: str) -> None:
        """The device said something."""
        if self._active is not None:
            self._next += self._active.feed(data, channel)
            self._news.set()

    def lost(self) -> None:
        """The link is gone: nothing more is heard."""
        self._is_lost = True
        self._news.set()

    async def _played(self, exchange: Exchange, *, only_read: bool) -> Result:
        try:
            async with asyncio.timeout(exchange.patience_s):
                await self._do(exchange.begin(only_read=only_read), exchange)
                while exchange.result is None:
                    if self._is_lost:
                        msg = "the link broke"
                        raise LinkError(msg)
                    await self._news.wait()
                    self._news.clear()
                    steps, self._next = self._next, []
                    await self._do(steps, exchange)
        except TimeoutError:
            details = f"the device was not heard on it within {exchange.patience_s:g} s"
            return Result(Outcome.UNCONFIRMED, Reason.NO_ANSWER, details)
        except NotTakenError as error:
            return Result(Outcome.REFUSED, Reason.DEVICE_REFUSED, str(error))
        return exchange.result

    async def _do(self, steps: Iterable[Step], exchange: Exchange | None) -> None:
        """Take steps; what a channel says when it is read is the exchange's."""
        for step in steps:
            match step:
                case Pause():
                    await asyncio.sleep(step.seconds)
                case Send(channel=""):
                    await self._link.send(step.data)
                case Send():
                    await self._channels().write(step.channel, step.data)
                case Read():
                    value = await self._channels().read(step.channel)
                    if exchange is not None:
                        await self._do(exchange.feed(value, step.channel), exchange)

    def _channels(self) -> ChannelLink:
        if not isinstance(self._link, ChannelLink):
            msg = "this link has no channels"
            raise NotTakenError(msg)
        return self._link
