"""What people can do with views of their own: keep one under a name, replace it, delete it, put it back. Nobody sees another's."""

from typing import TYPE_CHECKING

from hub.core.errors import ConflictError, InvalidError, NotFoundError
from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from hub.views.domain import LONGEST_NAME, MOST_VIEWS, SavedView, Shelf

if TYPE_CHECKING:
    from psycopg.rows import TupleRow

    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.views")


class SavedViews:
    """The views of a person in a room. The room has said that the person may enter it, and what its query is."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit

    @policy("view.keep")
    async def shelf(self, principal: "Principal", room: str, undo: int = 0) -> Shelf:
        """The views by name; `undo`: one that was removed and may be put back, if there is such a one."""
        values = _whose(principal, room) | {"view": undo}
        async with self._database.transaction(tenant_of(principal)) as connection:
            rows = await (await connection.execute(_QUERIES["views"], values)).fetchall()
            removed = await (await connection.execute(_QUERIES["removed"], values)).fetchone() if undo else None
        return Shelf(tuple(SavedView(*row) for row in rows), None if removed is None else SavedView(*removed))

    @policy("view.keep")
    async def save(self, principal: "Principal", room: str, name: str, query: str) -> int | None:
        """Keep a query under a name; returns the view of that name that it replaced, if there was one.

        InvalidError for a name that is empty, too long or cannot be printed; ConflictError when there are MOST_VIEWS.
        """
        name = " ".join(name.split())
        if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
            raise InvalidError(
                f"The name of a view has 1 to {LONGEST_NAME} characters.", "Type another name.", reason="view-name"
            )
        values = _whose(principal, room) | {"name": name, "query": query}
        async with self._database.transaction(tenant_of(principal)) as connection:
            await connection.execute(_QUERIES["one_at_a_time"], values)
            await connection.execute(_QUERIES["forget"], values)
            replaced = await _one(connection, "remove_named", values)
            await _check_room(connection, values)
            added = await _one(connection, "add", values)
            details = {"room": room, "replaced": replaced}
            await self.audit.write(connection, principal, "view.save", f"view:{added}", details)
        return replaced

    @policy("view.keep")
    async def remove(self, principal: "Principal", room: str, view: int) -> None:
        """Delete a view; it can be put back for a day. NotFoundError."""
        values = _whose(principal, room) | {"view": view}
        async with self._database.transaction(tenant_of(principal)) as connection:
            if await _one(connection, "remove", values) is None:
                raise _unknown(view)
            await self.audit.write(connection, principal, "view.remove", f"view:{view}", {"room": room})

    @policy("view.keep")
    async def put_back(self, principal: "Principal", room: str, view: int) -> SavedView:
        """Take back that a view was deleted or replaced; what replaced it is removed in its turn. NotFoundError, ConflictError."""
        values = _whose(principal, room) | {"view": view}
        async with self._database.transaction(tenant_of(principal)) as connection:
            await connection.execute(_QUERIES["one_at_a_time"], values)
            row = await (await connection.execute(_QUERIES["removed"], values)).fetchone()
            if row is None:
                raise _unknown(view)
            found = SavedView(*row)
            replaced = await _one(connection, "remove_named", values | {"name": found.name})
            await _check_room(connection, values)
            await connection.execute(_QUERIES["put_back"], values)
            details = {"room": room, "replaced": replaced}
            await self.audit.write(connection, principal, "view.put_back", f"view:{view}", details)
        return found


async def _one(connection: "Connection", query: str, values: dict[str, object]) -> int | None:
    row: TupleRow | None = await (await connection.execute(_QUERIES[query], values)).fetchone()
    return None if row is None else int(row[0])


async def _check_room(connection: "Connection", values: dict[str, object]) -> None:
    if len(await (await connection.execute(_QUERIES["views"], values)).fetchall()) >= MOST_VIEWS:
        raise ConflictError(
            f"There are {MOST_VIEWS} views in this room already.", "Delete one first.", reason="views-full"
        )


def _whose(principal: "Principal", room: str) -> dict[str, object]:
    return {"tenant": tenant_of(principal), "account": int(principal.id), "room": room}


def _unknown(view: int) -> NotFoundError:
    return NotFoundError(f"You have no view {view} here.", "Go back to the list and choose one of your views.")
