"""Fill in how names are spelt that were written since: the database keeps their words, pinyin needs a table of characters.

A search fills in what is open before it looks, so that what was written a moment ago is found; the worker does what is too much for that,
as when a ledger is imported.
"""

from hub.core.db import Connection, Database
from hub.core.pinyin import spellings
from hub.core.sql import load_queries

_QUERIES = load_queries("hub.queries")
SPELT_AT_ONCE = 200  # names: some 10 ms of a search
_SPELT_BY_WORKER = 2_000


async def spell(connection: Connection, limit: int, tenant: int | None = None) -> int:
    """Spell up to `limit` names, of one tenant or of all; those that somebody else is at are left to them. Returns how many."""
    rows = await (await connection.execute(_QUERIES["unspelt"], {"tenant": tenant, "limit": limit})).fetchall()
    if rows:
        kinds, ids, labels = (list(column) for column in zip(*rows, strict=True))
        spelt = [spellings(str(label)) for label in labels]
        await connection.execute(_QUERIES["spell"], {"kinds": kinds, "ids": ids, "labels": labels, "spelt": spelt})
    return len(rows)


async def spell_all(database: Database) -> int:
    """Spell every name that is open, a transaction for each part; returns how many."""
    spelt, last = 0, _SPELT_BY_WORKER
    while last == _SPELT_BY_WORKER:
        async with database.transaction() as connection:
            last = await spell(connection, _SPELT_BY_WORKER)
        spelt += last
    return spelt
