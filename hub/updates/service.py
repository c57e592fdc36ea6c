"""What people do with updates: add a release, plan its rollout, look, pause, resume, cancel. A hub only carries what others have signed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from hub.core.errors import ConflictError, InvalidError, NotFoundError
from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from hub.updates.domain import ACTS, FAILED, OPEN_STATES, GatewayPart, GatewayRow, RolloutState, stages_of
from protocols.link import MAX_UPDATE_CHUNK_BYTES, VERSION
from protocols.release import FileCheck, Head, ReleaseError

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.updates")
MAX_RELEASE_BYTES = 1 << 30
SHOWN = 20  # rollouts
_HINT = "See wardlink hub update status."


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """A release that the hub has. `size` in bytes, `signers` ids of keys."""

    release_id: int
    digest: bytes
    version: str
    python: str
    machine: str
    size: int
    signers: str
    added_by: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """A rollout with its gateways."""

    rollout_id: int
    version: str
    stages: str
    soak_s: int
    made_by: str
    made_at: datetime
    state: RolloutState
    reason: str
    state_at: datetime
    gateways: list[GatewayRow] = field(default_factory=list[GatewayRow])

    def count(self, *states: GatewayPart) -> int:
        """How many of its gateways are in one of these states."""
        return sum(one.state in states for one in self.gateways)

    @property
    def failed(self) -> list[GatewayRow]:
        """Those that refused the release or went back from it."""
        return [one for one in self.gateways if one.state in FAILED]

    @property
    def stage(self) -> int:
        """The newest stage that is open, from 1 on; 0 before the first."""
        return 1 + max((one.stage for one in self.gateways if one.state is not GatewayPart.WAITING), default=-1)

    @property
    def of_stages(self) -> int:
        """How many stages it has."""
        return 1 + max((one.stage for one in self.gateways), default=-1)

    @property
    def acts(self) -> list[str]:
        """What a person may do with it now."""
        return [act for act, (_, states) in ACTS.items() if self.state in states]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a release is to go out. `first`: gateways that come before the others; `only`: no others than these (none: all)."""

    version: str
    stages: str
    soak_s: int
    first: Sequence[str] = ()
    only: Sequence[str] = ()


class Updates:
    """The service. `database` as the role web."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        self._database = database
        self.audit = audit

    @policy("update.change")
    async def add(self, principal: "Principal", head: Head, signed: bytes, rest: Iterable[bytes]) -> int:
        """Take in a release: its head, the head's bytes as they came, and what follows. Its number; InvalidError, ConflictError."""
        if not head.signatures:
            raise InvalidError("Nobody has signed this release.", "Sign it: wardlink release sign FILE --key KEY.")
        if head.manifest.formats.uplink != VERSION:
            raise InvalidError(
                f"It speaks uplink {head.manifest.formats.uplink}, this hub {VERSION}.", "Update the hub first."
            )
        if head.archive_bytes > MAX_RELEASE_BYTES:
            raise InvalidError(f"{head.archive_bytes} bytes are too many.", f"At most {MAX_RELEASE_BYTES}.")
        tenant = tenant_of(principal)
        manifest, target = head.manifest, f"release:{head.digest.hex()}"
        values: dict[str, object] = {
            "tenant": tenant,
            "digest": head.digest,
            "version": manifest.version,
            "python": manifest.python,
            "machine": manifest.machine,
            "size": head.archive_bytes,
            "signers": " ".join(one.key_id.hex() for one in head.signatures),
            "by": str(principal),
        }
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(_QUERIES["add"], values)).fetchone()
            if row is None:
                raise ConflictError(f"This release of {manifest.version} is there already.", _HINT)
            try:
                for n, data in enumerate(_chunks(head, signed, rest)):
                    chunk = {"release": row[0], "n": n, "tenant": tenant, "data": data}
                    await connection.execute(_QUERIES["add_chunk"], chunk)
            except ReleaseError as error:
                raise InvalidError(f"{error}.", "Take the file again from where it was signed.") from error
            await self.audit.write(
                connection, principal, "update.add", target, {"version": manifest.version, "bytes": head.archive_bytes}
            )
        return int(row[0])

    @policy("update.change")
    async def plan(self, principal: "Principal", plan: Plan) -> RolloutRow:
        """Begin a rollout. InvalidError, NotFoundError, ConflictError while another one is open."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            await connection.execute(_QUERIES["in_turn"], {"tenant": tenant})
            release = await self._release(connection, tenant, plan.version)
            rollouts = await self._rollouts(connection, tenant)
            busy = next((one for one in rollouts if one.state in OPEN_STATES), None)
            if busy is not None:
                raise ConflictError(
                    f"Rollout {busy.rollout_id} of {busy.version} is {busy.state}.", "Cancel it first, or let it end."
                )
            rows = await (await connection.execute(_QUERIES["candidates"], {"tenant": tenant})).fetchall()
            ids = {str(row[1]): int(row[0]) for row in rows}
            unknown = [name for name in (*plan.first, *plan.only) if name not in ids]
            if unknown:
                raise NotFoundError(f"There is no enrolled gateway {', '.join(unknown)}.", "See the list of gateways.")
            there = [str(row[1]) for row in rows if row[2] != plan.version and (not plan.only or row[1] in plan.only)]
            names = [one for one in dict.fromkeys((*plan.first, *there)) if one in there]
            if not names:
                raise InvalidError(f"Every gateway meant runs {plan.version} already.", _HINT)
            stages = stages_of(plan.stages, names)
            values: dict[str, object] = {"tenant": tenant, "release": release.release_id, "by": str(principal)}
            values |= {"stages": plan.stages, "soak_s": plan.soak_s}
            row = await (await connection.execute(_QUERIES["plan"], values)).fetchone()
            assert row is not None
            for name, stage in zip(names, stages, strict=True):
                one = {"rollout": row[0], "tenant": tenant, "gateway": ids[name], "stage": stage}
                await connection.execute(_QUERIES["plan_gateway"], one)
            await self._event(connection, principal, int(row[0]), RolloutState.RUNNING, "")
            details = {"version": plan.version, "stages": plan.stages, "gateways": len(names), "soak_s": plan.soak_s}
            await self.audit.write(connection, principal, "update.plan", f"rollout:{row[0]}", details)
        return await self._one(tenant, int(row[0]))

    @policy("update.change")
    async def act(self, principal: "Principal", rollout_id: int | None, act: str) -> RolloutRow:
        """Pause, resume or cancel a rollout (None: the one that is open). InvalidError, NotFoundError, ConflictError."""
        if act not in ACTS:
            raise InvalidError(f"{act!r} is nothing that can be done.", f"One of {', '.join(ACTS)}.")
        tenant = tenant_of(principal)
        state, allowed = ACTS[act]
        async with self._database.transaction(tenant) as connection:
            await connection.execute(_QUERIES["in_turn"], {"tenant": tenant})
            rollouts = await self._rollouts(connection, tenant)
            found = next(
                (
                    one
                    for one in rollouts
                    if (one.state in OPEN_STATES if rollout_id is None else one.rollout_id == rollout_id)
                ),
                None,
            )
            if found is None:
                raise NotFoundError("There is no such rollout.", _HINT)
            if found.state not in allowed:
                raise ConflictError(f"Rollout {found.rollout_id} is {found.state}: it cannot {act}.", _HINT)
            await self._event(connection, principal, found.rollout_id, state, "")
            await self.audit.write(connection, principal, f"update.{act}", f"rollout:{found.rollout_id}")
        return await self._one(tenant, found.rollout_id)

    @policy("update.read")
    async def rollouts(self, principal: "Principal") -> list[RolloutRow]:
        """The newest rollouts with their gateways, the newest first."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            return await self._rollouts(connection, tenant)

    @policy("update.read")
    async def releases(self, principal: "Principal") -> list[ReleaseRow]:
        """Every release that the hub has, the newest first."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            return await self._releases(connection, tenant)

    async def _one(self, tenant: int, rollout_id: int) -> RolloutRow:
        async with self._database.transaction(tenant) as connection:
            return next(one for one in await self._rollouts(connection, tenant) if one.rollout_id == rollout_id)

    async def _release(self, connection: "Connection", tenant: int, version: str) -> ReleaseRow:
        found = [one for one in await self._releases(connection, tenant) if one.version == version]
        if not found:
            raise NotFoundError(f"The hub has no release of {version}.", "Add it: wardlink hub update add FILE.")
        return found[0]

    @staticmethod
    async def _releases(connection: "Connection", tenant: int) -> list[ReleaseRow]:
        rows = await (await connection.execute(_QUERIES["releases"], {"tenant": tenant})).fetchall()
        return [ReleaseRow(*row) for row in rows]

    @staticmethod
    async def _rollouts(connection: "Connection", tenant: int) -> list[RolloutRow]:
        rows = await (await connection.execute(_QUERIES["rollouts"], {"tenant": tenant, "most": SHOWN})).fetchall()
        found = [
            RolloutRow(number, version, stages, soak_s, made_by, made_at, RolloutState(state), reason, state_at)
            for number, version, stages, soak_s, made_by, made_at, state, reason, state_at in rows
        ]
        values: dict[str, object] = {"tenant": tenant, "rollouts": [one.rollout_id for one in found]}
        by_id = {one.rollout_id: one for one in found}
        for row in await (await connection.execute(_QUERIES["rollout_gateways"], values)).fetchall():
            rollout_id, gateway_id, name, stage, state, reason, state_at, well, well_at, revoked = row
            one = GatewayRow(
                gateway_id, name, stage, GatewayPart(state), reason, state_at, well, well_at, revoked=revoked
            )
            by_id[rollout_id].gateways.append(one)
        return found

    @staticmethod
    async def _event(
        connection: "Connection", principal: "Principal", rollout_id: int, state: RolloutState, reason: str
    ) -> None:
        values: dict[str, object] = {"tenant": tenant_of(principal), "rollout": rollout_id, "by": str(principal)}
        await connection.execute(_QUERIES["event"], {**values, "state": state, "reason": reason})


def _chunks(head: Head, signed: bytes, rest: Iterable[bytes]) -> Iterable[bytes]:
    """Cut a release into rows, comparing its files with the manifest on the way; ReleaseError."""
    check, waiting = FileCheck(head), bytearray(signed)
    for data in rest:
        check.feed(data)
        waiting += data
        while len(waiting) >= MAX_UPDATE_CHUNK_BYTES:
            yield bytes(waiting[:MAX_UPDATE_CHUNK_BYTES])
            del waiting[:MAX_UPDATE_CHUNK_BYTES]
    check.end()
    if waiting:
        yield bytes(waiting)
