"""What can be done with commands to devices: see what one offers and what was asked of it, and ask. Sending is ingest's."""

from typing import TYPE_CHECKING

from psycopg.types.json import Json

from hub.core.errors import ConflictError, InvalidError, NotFoundError
from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from hub.device_commands.domain import MOST_OPEN, CommandRow, Order, Told, offers_in, wrong_with

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg.rows import TupleRow

    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.device_commands")
_ROWS = 50


class DeviceCommands:
    """The service."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit

    @policy("device.list")
    async def named(self, principal: "Principal", name: str) -> int:
        """The device of that name; NotFoundError."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            row = await (
                await connection.execute(_QUERIES["device_named"], {"tenant": tenant, "name": name})
            ).fetchone()
        if row is None:
            raise NotFoundError(f"There is no device {name!r}.", "See the list of devices.")
        return int(row[0])

    @policy("device.list")
    async def of(self, principal: "Principal", device_id: int) -> Told:
        """What a device offers, and the newest commands that were asked of it; NotFoundError."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            device = await _device(connection, tenant, device_id)
            values = {"tenant": tenant, "device": device_id, "limit": _ROWS}
            rows = await (await connection.execute(_QUERIES["commands"], values)).fetchall()
        *_, offered, has_said = device
        offers = offers_in(offered or []) if has_said else None
        return Told(offers, [CommandRow(*row) for row in rows])

    @policy("device.list")
    async def one(self, principal: "Principal", device_id: int, command_id: "UUID") -> CommandRow:
        """A command of a device; NotFoundError."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            return await _command(connection, tenant, device_id, command_id)

    @policy("device.command")
    async def ask(self, principal: "Principal", device_id: int, order: Order) -> CommandRow:
        """Ask for a command. Asked again with the same id it is the same; InvalidError, NotFoundError, ConflictError."""
        wrong = wrong_with(order)
        if wrong:
            raise InvalidError(f"{wrong}.", "See docs/how-to/command-a-device.md.", reason="command")
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            _, _, admission, gateway_id, gateway, is_revoked, *_ = await _device(connection, tenant, device_id)
            if admission == "retired" or gateway_id is None or is_revoked:
                raise ConflictError(
                    "Nobody can tell this device anything: it is retired, or its gateway is revoked.",
                    "Admit the device, or enrol its gateway again.",
                    reason="command-nobody",
                )
            values: dict[str, object] = {"tenant": tenant, "gateway": gateway_id, "device": device_id}
            waiting = await (await connection.execute(_QUERIES["open_commands"], values)).fetchone()
            values |= {"command": order.command_id, "code": order.code, "values": Json(dict(order.values))}
            values |= {"by": str(principal), "within": order.within_s}
            known = await (await connection.execute(_QUERIES["command"], values)).fetchone()
            if known is None and waiting is not None and waiting[0] >= MOST_OPEN:
                raise ConflictError(
                    f"{MOST_OPEN} commands of gateway {gateway} wait already.", "Wait for them.", reason="command-many"
                )
            if await (await connection.execute(_QUERIES["ask"], values)).fetchone() is None:
                found = await (await connection.execute(_QUERIES["command"], values)).fetchone()
                row = None if found is None else CommandRow(*found)
                if row is None or row.code != order.code or row.values != dict(order.values):
                    raise ConflictError(
                        "Another command has this id.", "Take a new id for each command.", reason="command-id"
                    )
                return row
            details = {"command": str(order.command_id), "code": order.code}
            await self.audit.write(connection, principal, "device.command", f"device:{device_id}", details)
        return await self.one(principal, device_id, order.command_id)


async def _device(connection: "Connection", tenant: int, device_id: int) -> "TupleRow":
    row = await (await connection.execute(_QUERIES["device"], {"tenant": tenant, "device": device_id})).fetchone()
    if row is None:
        raise NotFoundError(f"There is no device {device_id}.", "Go back to the list of devices.")
    return row


async def _command(connection: "Connection", tenant: int, device_id: int, command_id: "UUID") -> CommandRow:
    values = {"tenant": tenant, "device": device_id, "command": command_id}
    row = await (await connection.execute(_QUERIES["command"], values)).fetchone()
    if row is None:
        raise NotFoundError(f"There is no command {command_id} of this device.", "See the commands of the device.")
    return CommandRow(*row)
