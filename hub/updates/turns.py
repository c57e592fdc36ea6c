"""Whose turn it is in a rollout, for the role ingest: offers, bytes, answers, and the step to the next stage or to a halt."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from hub.core import principal
from hub.core.sql import load_queries
from hub.updates.domain import HEARD_WITHIN, GatewayPart, GatewayRow, Halt, Open, RolloutState, next_step

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database

_QUERIES = load_queries("hub.updates", "turns.sql")
_WHO = principal.system("rollout")


@dataclass(frozen=True, slots=True)
class Due:
    """A release that a gateway is to be told of; `is_new`: it was not told before."""

    rollout_id: int
    gateway_id: int
    digest: bytes
    version: str
    is_new: bool


class Turns:
    """The rollouts of all tenants. `database` as the role ingest."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        self._database, self._audit = database, audit

    async def due(self, gateways: Sequence[int]) -> list[Due]:
        """What is to be offered to these gateways, which are there; it is written down that they were told."""
        async with self._database.transaction() as connection:
            found = await connection.execute(_QUERIES["due"], {"gateways": list(gateways)})
            rows = [Due(r[0], r[1], bytes(r[2]), r[3], r[4] == GatewayPart.OFFERED) for r in await found.fetchall()]
            for one in rows:
                if one.is_new:
                    await self._write(connection, one.rollout_id, one.gateway_id, GatewayPart.SENT)
        return rows

    async def chunk(self, gateway_id: int, rollout_id: int, offset: int, length: int) -> bytes:
        """Bytes of a release for a gateway whose turn it is; none when it is not, or behind the end."""
        values = {"gateway": gateway_id, "rollout": rollout_id, "offset": offset, "length": length}
        async with self._database.connection() as connection:
            row = await (await connection.execute(_QUERIES["chunk"], values)).fetchone()
        return b"" if row is None else bytes(row[0])

    async def answered(self, gateway_id: int, rollout_id: int, digest: bytes, state: GatewayPart, reason: str) -> bool:
        """Write down what became of a release at a gateway; False when it was said before, or nobody had asked."""
        values = {"gateway": gateway_id, "rollout": rollout_id, "digest": digest, "state": state, "reason": reason}
        async with self._database.transaction() as connection:
            return await (await connection.execute(_QUERIES["answered"], values)).fetchone() is not None

    async def advance(self) -> None:
        """Look at every rollout that runs, and do its next step; one with which a person does something now is for the next look."""
        async with self._database.connection() as connection:
            rows = await (await connection.execute(_QUERIES["running"])).fetchall()
        for rollout_id, tenant_id in rows:
            async with self._database.transaction() as connection:
                turn = await (await connection.execute(_QUERIES["in_turn"], {"tenant": tenant_id})).fetchone()
                if turn is None or not turn[0]:
                    continue
                found = await connection.execute(_QUERIES["still_running"], {"rollout": rollout_id})
                row = await found.fetchone()
                if row is not None:
                    soak_s, since, version = row
                    await self._advance(connection, rollout_id, tenant_id, timedelta(seconds=soak_s), since, version)

    async def _advance(
        self,
        connection: "Connection",
        rollout_id: int,
        tenant_id: int,
        soak: timedelta,
        since: datetime,
        version: str,
    ) -> None:
        rows = await (await connection.execute(_QUERIES["gateways"], {"rollout": rollout_id})).fetchall()
        if not rows:
            return
        now: datetime = rows[0][-1]
        gateways: list[GatewayRow] = []
        for gateway_id, name, stage, state, reason, state_at, well, well_at, revoked, heard, told, told_at, _ in rows:
            row = GatewayRow(
                gateway_id, name, stage, GatewayPart(state), reason, state_at, well, well_at, revoked=revoked
            )
            if row.state is GatewayPart.APPLIED and not revoked:
                why = _unwell(heard, told if told_at is not None and told_at > state_at else version, version, now)
                if well == bool(why):
                    await self._write(connection, rollout_id, gateway_id, "unwell" if why else "well", why)
                    row = GatewayRow(gateway_id, name, stage, row.state, reason, state_at, not why, now)
            gateways.append(row)
        step = next_step(gateways, since, soak, now)
        if isinstance(step, Open):
            await connection.execute(_QUERIES["offer"], {"rollout": rollout_id, "stage": step.stage})
            await self._tell(connection, rollout_id, tenant_id, "rollout.stage", {"stage": step.stage + 1})
        elif isinstance(step, Halt):
            await self._event(connection, rollout_id, RolloutState.HALTED, step.reason)
            await self._tell(connection, rollout_id, tenant_id, "rollout.halt", {"reason": step.reason})
        elif step is not None:
            await self._event(connection, rollout_id, RolloutState.FINISHED)
            await self._tell(connection, rollout_id, tenant_id, "rollout.finish", {})

    async def _write(
        self, connection: "Connection", rollout_id: int, gateway_id: int, state: str, reason: str = ""
    ) -> None:
        values = {"rollout": rollout_id, "gateway": gateway_id, "state": state, "reason": reason}
        await connection.execute(_QUERIES["gateway_event"], values)

    @staticmethod
    async def _event(connection: "Connection", rollout_id: int, state: RolloutState, reason: str = "") -> None:
        values = {"rollout": rollout_id, "state": state, "reason": reason, "who": str(_WHO)}
        await connection.execute(_QUERIES["event"], values)

    async def _tell(
        self, connection: "Connection", rollout_id: int, tenant_id: int, action: str, details: dict[str, int | str]
    ) -> None:
        structlog.get_logger().info(action, rollout=rollout_id, **details)
        who = principal.system("rollout", tenant_id)
        await self._audit.write(connection, who, action, f"rollout:{rollout_id}", details)


def _unwell(heard: datetime | None, told: str | None, version: str, now: datetime) -> str:
    """Why a gateway that has applied a version is not well; "" when it is."""
    if heard is None or now - heard > HEARD_WITHIN:
        return "it is silent"
    return "" if told == version else f"it runs version {told}"
