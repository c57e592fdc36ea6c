"""Stores what a gateway was asked for again: of such a batch only what is not there yet, so that no row stands twice.

A row counts as there when what it says, its clock segment and its time are the same, or the time and segment that a move on record has
given it (decision 0168). Batches of a new spool or of a hub that was put back are not such: their positions say by themselves that nothing
of them is there.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hub.core.sql import load_queries
from hub.ingest import pgcopy
from hub.store.sealing import open_waveforms

if TYPE_CHECKING:
    from hub.core.db import Connection
    from hub.ingest.rows import Rows

_QUERIES = load_queries("hub.ingest")
_READINGS = (
    pgcopy.COPY_OBSERVATION_AGAIN,
    "known_moved_observations",
    "missing_observations",
    "forget_observations_again",
)
_GROUPS = (pgcopy.COPY_WAVEFORM_AGAIN, "known_moved_waveforms", "missing_waveforms", "forget_waveforms_again")


async def insert_missing(connection: "Connection", group: "Sequence[Rows]") -> None:
    """Write the readings and waveforms of batches that are not there, hot or sealed, inside the caller's transaction."""
    observations = [row for rows in group for row in rows.observations]
    waveforms = [row for rows in group for row in rows.waveforms]
    for (copied, known, missing, forgotten), rows in ((_READINGS, observations), (_GROUPS, waveforms)):
        if not rows:
            continue
        async with connection.cursor() as cursor, cursor.copy(copied) as copy:
            await copy.write(pgcopy.stream(rows))
        moves = await _moves(connection)
        if copied is pgcopy.COPY_WAVEFORM_AGAIN:
            found = await connection.execute(_QUERIES["streams_again"], moves)
            for stream, first, last in await found.fetchall():
                await open_waveforms(connection, [stream], first, last)
        if moves["segments"]:
            await connection.execute(_QUERIES[known], moves)
        await connection.execute(_QUERIES[missing])
        await connection.execute(_QUERIES[forgotten])


async def _moves(connection: "Connection") -> dict[str, list[object]]:
    """Where the rows that were copied may lie since they were moved: columns of equal length, mostly empty."""
    rows = await (await connection.execute(_QUERIES["moves_again"])).fetchall()
    names = ("segments", "into", "bases", "shifts_us", "drifts_ppm")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


async def is_there(connection: "Connection", query: str, values: Mapping[str, object]) -> bool:
    """Whether the row that the query `query` would insert is there."""
    return await (await connection.execute(_QUERIES[f"has_{query}"], values)).fetchone() is not None
