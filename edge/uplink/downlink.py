"""What the agent does with what a hub sends, and how the uplink serves the gateway's clock: callables that the composition root gives.

Leaves connections, and what the uplink answers by itself, to `client`.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import structlog

from protocols.link import (
    AlarmsAcknowledged,
    CannotResend,
    CommandReceived,
    ConfigurationReceived,
    Connection,
    Lane,
    SettingsReceived,
    TraceReceived,
    UpdateChunkReceived,
    UpdateOffered,
)
from protocols.uplink_pb2 import DeviceCommand, Placement, PlacementApplied, Settings

if TYPE_CHECKING:
    from edge.pipeline.traced import Tracer

FromHub: TypeAlias = (
    AlarmsAcknowledged
    | SettingsReceived
    | ConfigurationReceived
    | CommandReceived
    | TraceReceived
    | UpdateOffered
    | UpdateChunkReceived
)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HubTimes:
    """How the uplink serves the gateway's clock, and is served by it. Stamps here are of the monotonic clock.

    `answered` gets an exchange: sent, received and answered (hub's clock), come back. `may_send`: whether batches of a connection
    have times that can be told. `right`: a batch as it is sent.
    """

    answered: Callable[[int, int, int, int], None]
    may_send: Callable[[Connection], bool]
    right: Callable[[Lane, int, bytes], bytes]


def _not_configured(_: ConfigurationReceived) -> None:
    """Who does not name the feature is sent none."""


def _not_commanded(_: DeviceCommand) -> None:
    """Who does not name the feature is sent none."""


def _nothing_to_say() -> None:
    """Who has nothing to tell behind the hello."""


def _not_updated(_: UpdateOffered | UpdateChunkReceived) -> None:
    """The same."""


@dataclass(frozen=True, slots=True)
class Downlink:
    """What the agent does with what the hub sends.

    `placed` gets whether it is the first placement of its connection, and gives what to answer when it was taken and is on disk: one that
    the disk did not take is gone by, and not told to be applied (None). `greeted`: the hub has said hello on the data connection, and asks for commands to devices.
    """

    placed: Callable[[Placement, bool], Awaitable[PlacementApplied | None]]
    cannot_resend: Callable[[CannotResend], Awaitable[None]]
    alarms_acknowledged: Callable[[Collection[UUID]], None]
    settings: Callable[[Settings], Awaitable[None]]
    configuration: Callable[[ConfigurationReceived], None] = _not_configured
    device_command: Callable[[DeviceCommand], None] = _not_commanded
    greeted: Callable[[], None] = _nothing_to_say
    update: Callable[[UpdateOffered | UpdateChunkReceived], None] = _not_updated
    tracer: "Tracer | None" = None

    async def take(self, event: FromHub) -> None:
        """Hand on what people at the hub have done, or what is offered."""
        match event:
            case AlarmsAcknowledged():
                _log.info("alarms-acknowledged", n=len(event.alarms), first=str(next(iter(event.alarms), "")))
                self.alarms_acknowledged(event.alarms)
            case SettingsReceived():
                _log.info("settings-received", version=event.settings.version)
                await self.settings(event.settings)
            case ConfigurationReceived():
                _log.info("configuration-received", version=event.version)
                self.configuration(event)
            case CommandReceived():
                _log.info("device-command-received", device=event.command.device, code=event.command.code)
                self.device_command(event.command)
            case TraceReceived():
                if self.tracer is not None:
                    self.tracer.ask(event)
            case UpdateOffered() | UpdateChunkReceived():
                self.update(event)
