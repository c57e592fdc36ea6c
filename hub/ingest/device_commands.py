"""Sends gateways what their devices are to be told, and writes down what became of it.

Somebody has asked for it (`hub.device_commands`, which checked and wrote it down). A gateway hears of it when it has said what it offers, which it does
behind each hello: what it has not answered comes again then, and it does nothing twice. Each step is written with its entry in the audit.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from psycopg.types.json import Json, Jsonb

from hub.core import principal as principals
from hub.core.errors import InvalidError
from hub.core.sql import load_queries
from protocols.device_command import MAX_DETAILS, Command, Outcome, Reason, offers_of
from protocols.errors import DecodeError
from protocols.link import DEVICE_COMMANDS, Connection
from protocols.uplink_pb2 import (
    COMMAND_OUTCOME_CONFIRMED,
    COMMAND_OUTCOME_EXPIRED,
    COMMAND_OUTCOME_REFUSED,
    COMMAND_OUTCOME_UNCONFIRMED,
    CommandsOffered,
    DeviceCommand,
    DeviceCommandAnswer,
    HubMessage,
)
from protocols.wire import decode_params, encode_params

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.core.audit import AuditLog
    from hub.core.db import Connection as Session
    from hub.core.db import Database
    from hub.core.principal import Principal
    from hub.ingest.streams import Stream, Streams

_QUERIES = load_queries("hub.ingest")
_OUTCOMES = {
    COMMAND_OUTCOME_CONFIRMED: Outcome.CONFIRMED,
    COMMAND_OUTCOME_UNCONFIRMED: Outcome.UNCONFIRMED,
    COMMAND_OUTCOME_REFUSED: Outcome.REFUSED,
    COMMAND_OUTCOME_EXPIRED: Outcome.EXPIRED,
}
_ID_BYTES = 16
_LONGEST_MS = 2**32 - 1


class GatewayCommands:
    """For the streams of this process."""

    def __init__(self, database: "Database", audit: "AuditLog", streams: "Streams") -> None:
        self._database, self._streams = database, streams
        self.audit = audit

    async def offered(self, stream: "Stream", offered: CommandsOffered) -> None:
        """Keep what the devices of a gateway can be told, and send what waits; InvalidError for what breaks the protocol."""
        identity = stream.link.identity
        try:
            devices = {device.device: offers_of(device.commands) for device in offered.devices}
        except DecodeError as error:
            raise _broken(f"CommandsOffered: {error}") from error
        if len(offered.ledger) != _ID_BYTES or "" in devices or any("\0" in name for name in devices):
            raise _broken(f"CommandsOffered: a ledger of {len(offered.ledger)} bytes, {len(devices)} devices")
        told = {name: [_as_json(command) for command in commands] for name, commands in devices.items()}
        values = {
            "gateway": identity.gateway_id,
            "tenant": identity.tenant_id,
            "ledger": offered.ledger,
            "devices": Jsonb(told),
        }
        async with self._database.transaction(of=identity.history) as connection:
            await connection.execute(_QUERIES["offered"], values)
        stream.ledger = offered.ledger
        await self._send([stream], again=True)

    async def send(self, gateway_id: int | None) -> None:
        """Send a gateway (all, when None) what was asked for; one that is away gets it when it comes, while it has time."""
        streams = self._streams.greeted(Connection.DATA, None)
        await self._send([one for one in streams if gateway_id in {None, one.link.identity.gateway_id}], again=False)

    async def answered(self, stream: "Stream", answer: DeviceCommandAnswer) -> None:
        """Write down what became of one; InvalidError for an answer that breaks the protocol."""
        outcome = _OUTCOMES.get(answer.outcome)
        if outcome is None or len(answer.id) != _ID_BYTES:
            raise _broken(f"DeviceCommandAnswer: outcome {answer.outcome}, an id of {len(answer.id)} bytes")
        try:
            seen = dict(decode_params("seen", answer.seen))
        except DecodeError as error:
            raise _broken(f"DeviceCommandAnswer: {error}") from error
        identity = stream.link.identity
        who = principals.gateway(identity.gateway, identity.tenant_id)
        async with self._database.transaction(of=identity.history) as connection:
            await self._ended(
                connection, who, UUID(bytes=answer.id), identity.gateway_id, outcome,
                reason=answer.reason, details=answer.details, seen=seen,
            )  # fmt: skip

    async def look(self) -> None:
        """End what nobody will do or answer any more."""
        async with self._database.connection() as connection:
            rows = await (await connection.execute(_QUERIES["device_commands_overdue"])).fetchall()
        for command, gateway, tenant, state, is_revoked in rows:
            was_sent = state == "sent"
            outcome = Outcome.UNCONFIRMED if was_sent else Outcome.REFUSED if is_revoked else Outcome.EXPIRED
            reason = Reason.GATEWAY_REVOKED if is_revoked else Reason.GATEWAY_AWAY
            who = principals.system("device-commands", tenant)
            # Each by itself: an entry locks the chain of this process, and one that `answered` has in hand would wait for it.
            async with self._database.transaction() as connection:
                await self._ended(connection, who, command, gateway, outcome, reason=reason)

    async def _send(self, streams: "Sequence[Stream]", *, again: bool) -> None:
        """`again`: also what was sent before, on another stream."""
        by_gateway = {s.link.identity.gateway_id: s for s in streams if s.ledger or DEVICE_COMMANDS not in s.features}
        if not by_gateway:
            return
        messages: list[tuple[Stream, DeviceCommand]] = []
        async with self._database.transaction() as connection:
            values = {"gateways": list(by_gateway), "again": again}
            rows = await (await connection.execute(_QUERIES["device_commands"], values)).fetchall()
            for command, gateway, tenant, device, code, parameters, state, ledger, ms in rows:
                stream = by_gateway[gateway]
                who = principals.gateway(stream.link.identity.gateway, tenant)
                if DEVICE_COMMANDS not in stream.features:
                    outcome = Outcome.UNCONFIRMED if state == "sent" else Outcome.REFUSED
                    await self._ended(connection, who, command, gateway, outcome, reason=Reason.GATEWAY_TOO_OLD)
                    continue
                if state == "asked" and not ms:
                    continue  # `look` ends it
                if state == "asked":
                    await self._step(connection, who, command, gateway, "sent", ledger=stream.ledger)
                message = DeviceCommand(
                    id=command.bytes,
                    device=device,
                    code=code,
                    parameters=encode_params(tuple(parameters.items())),
                    within_ms=min(ms, _LONGEST_MS),
                    ledger=bytes(ledger),
                )
                messages.append((stream, message))
        for stream, message in messages:
            stream.send(HubMessage(device_command=message))

    async def _ended(
        self,
        connection: "Session",
        who: "Principal",
        command: UUID,
        gateway_id: int,
        outcome: Outcome,
        *,
        reason: str,
        details: str = "",
        seen: Mapping[str, object] | None = None,
    ) -> None:
        known = reason if reason in set(Reason) else Reason.FAILED
        said = details.replace("\0", " ")[:MAX_DETAILS]
        await self._step(connection, who, command, gateway_id, outcome, reason=known, details=said, seen=seen)

    async def _step(
        self,
        connection: "Session",
        who: "Principal",
        command: UUID,
        gateway_id: int,
        state: str,
        *,
        reason: str = "",
        details: str = "",
        seen: Mapping[str, object] | None = None,
        ledger: bytes | None = None,
    ) -> None:
        """Write a step and its entry in the audit, unless it was written before."""
        values: dict[str, object] = {
            "command": command,
            "gateway": gateway_id,
            "state": str(state),
            "reason": str(reason),
        }
        values |= {"details": details, "seen": Json(dict(seen or {})), "ledger": ledger}
        written = await (await connection.execute(_QUERIES["device_command_state"], values)).fetchone()
        if written is not None:
            told = {"state": str(state), "reason": str(reason)}
            await self.audit.write(connection, who, "device.command", f"command:{command}", told)
            structlog.get_logger().info("device-command", command=str(command), gateway_id=gateway_id, **told)


def _broken(what: str) -> InvalidError:
    return InvalidError(f"{what}.", "Update the agent.", reason="protocol")


def _as_json(command: Command) -> dict[str, object]:
    return {
        "code": command.code,
        "reads_back": command.reads_back,
        "interrupts": command.interrupts,
        "parameters": [
            {
                "name": p.name,
                "kind": str(p.kind),
                "unit": p.unit,
                "low": p.low,
                "high": p.high,
                "choices": list(p.choices),
            }
            for p in command.parameters
        ],
    }
