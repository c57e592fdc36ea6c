"""A door in a process of its own, as any other to the agent: messages come by a socket pair, replies go back when they are durable.

A process that crashed, blocked or could not open its door is told once, in the log and as an event of the gateway; `serve` raises
then, and whoever called it calls it again with growing pauses. Nothing that it had not answered is acknowledged: senders repeat.
"""

import asyncio
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from edge.health.metrics import HOST_RESTARTS
from edge.host import wire
from edge.host.messages import message_of, reply_values
from edge.host.process import Ended, HostLostError, HostProcess
from edge.host.wire import Kind
from edge.pipeline.queues import QUEUES
from firmware_adapters.door import DOOR_API_VERSION, DoorConfig, DoorError, Message, Reply, Take, Verdict
from protocols.nomenclature import EVT_ADAPTER_LOST
from protocols.record import NS_PER_S, DeviceEvent, SourcePath, Times

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.host.adapter import HostContext, HostedAdapter

_AT_ONCE = QUEUES["host-door"].bound
_OLDEST_NS = 60 * NS_PER_S  # a message that its door held longer than so came, for us, when it was handed over
_TEXT = 512  # of what a door says of a message: a path, a topic
_TOO_MANY = Reply(Verdict.BUSY, "too many messages of this door at once", 1)
_NOT_TAKEN = Reply(Verdict.BUSY, "the gateway could not keep this message", 1)

_log = structlog.get_logger()


@dataclass(slots=True)
class _Served:
    """One process while it serves."""

    process: HostProcess
    take: Take
    answering: set[asyncio.Task[None]]


class HostedDoor:
    """One door. Nothing of its code runs in the agent, not even its import."""

    api_version = DOOR_API_VERSION

    def __init__(self, config: DoorConfig, gateway: str, context: "HostContext") -> None:
        """Starts nothing. `gateway`: whose event it is when the process ends."""
        self._config, self._gateway, self._context = config, SourcePath(gateway), context
        self._process: HostProcess | None = None

    async def serve(self, take: Take) -> None:
        """Until cancelled; DoorError or HostLostError when its process has ended or has no door."""
        process = self._process = await HostProcess.start(self._context.environment, self._context.limits)
        served = _Served(process, take, set())
        try:
            await self._serve(served)
        except HostLostError as error:
            self._lost(error.ended)
            raise
        finally:
            for task in served.answering:
                task.cancel()
            self._process = None
            await process.end()

    async def end(self) -> None:
        """The agent stops: `serve` was cancelled, and has ended its process."""

    def tell_clock(self) -> None:
        """The gateway's clock may have been set: the process follows it."""
        if self._process is not None:
            self._process.say(Kind.CLOCK, offset_ns=self._offset_ns())

    async def _serve(self, served: _Served) -> None:
        config = self._config
        served.process.say(
            Kind.BEGIN_DOOR,
            name=config.name,
            door=config.kind,
            url=config.url,
            folder=str(config.folder.absolute()),
            options=dict(config.options),
            devices={name: dict(options) for name, options in config.devices.items()},
            offset_ns=self._offset_ns(),
        )
        while True:
            kind, body = await served.process.next()
            if kind is Kind.MESSAGE:
                self._answer(served, body)
            elif kind in {Kind.REFUSED, Kind.LOST}:
                text = str(wire.object_of(body).get("text"))
                if kind is Kind.REFUSED:
                    _log.error("door-not-usable", door=config.name, reason=text)
                raise DoorError(text)

    def _answer(self, served: _Served, body: bytes) -> None:
        try:
            number, message = message_of(body)
        except (ValueError, TypeError, KeyError) as error:
            raise HostLostError(Ended("crashed", f"it said what is no message of a door: {error}")) from error
        if len(served.answering) >= _AT_ONCE:
            served.process.say(Kind.REPLY, **reply_values(number, _TOO_MANY))
            return
        task = asyncio.create_task(self._take(served, number, message))
        served.answering.add(task)
        task.add_done_callback(partial(self._answered, served, number))

    async def _take(self, served: _Served, number: int, message: Message) -> None:
        """Whose message it is and whether this door may bring it is judged behind `take`, as for every door."""
        now_ns = self._context.now_ns()
        at_ns = message.at_ns if now_ns - _OLDEST_NS <= message.at_ns <= now_ns else now_ns
        reply = await served.take(replace(message, at_ns=at_ns, where=message.where[:_TEXT]))
        served.process.say(Kind.REPLY, **reply_values(number, reply))

    def _answered(self, served: _Served, number: int, task: "asyncio.Task[None]") -> None:
        """A message that could not be taken is answered too: its door may hold all that came behind it until it is."""
        served.answering.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("message-not-taken", door=self._config.name, exc_info=error)
        if self._process is served.process and (task.cancelled() or error is not None):
            served.process.say(Kind.REPLY, **reply_values(number, _NOT_TAKEN))

    def _lost(self, ended: Ended) -> None:
        name, kind = self._config.name, self._config.kind
        HOST_RESTARTS.labels(device=f"door-{name}", reason=ended.reason).inc()
        _log.error("adapter-lost", door=name, kind=kind, reason=ended.reason, text=ended.text, where=list(ended.where))
        where = ended.where[0] if ended.where else ""
        params = (("reason", ended.reason), ("door", name), ("kind", kind), ("where", where))
        times = Times(self._context.now_ns())
        self._context.tell(DeviceEvent(self._gateway, EVT_ADAPTER_LOST, times, params, ended.text))

    def _offset_ns(self) -> int:
        return self._context.now_ns() - time.monotonic_ns()


def tell_clock(hosts: "Iterable[HostedAdapter | HostedDoor]") -> None:
    """The gateway's clock was set: every process follows it."""
    for host in hosts:
        host.tell_clock()
