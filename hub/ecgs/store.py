"""Reads the documents that hold ECGs: one with its bytes, and those of stretches of time of devices."""

from collections.abc import Sequence

from hub.core.db import Connection
from hub.core.sql import load_queries
from hub.ecgs.domain import MEDIA_TYPES, EcgRef
from hub.placement.domain import Span

_QUERIES = load_queries("hub.ecgs")


async def read_ecg(connection: Connection, tenant: int, document_id: int) -> tuple[EcgRef, bytes] | None:
    """An ECG with its file; None when there is none of that number."""
    values = {"tenant": tenant, "document": document_id, "types": list(MEDIA_TYPES)}
    row = await (await connection.execute(_QUERIES["ecg"], values)).fetchone()
    return None if row is None else (EcgRef(*row[:5]), bytes(row[5]))


async def read_ecgs(connection: Connection, tenant: int, spans: Sequence[Span], most: int) -> list[EcgRef]:
    """The ECGs of these stretches, the newest first; the same file that came twice is one."""
    values = {
        "tenant": tenant,
        "devices": [span.device_id for span in spans],
        "froms": [span.start for span in spans],
        "tos": [span.end for span in spans],
        "types": list(MEDIA_TYPES),
        "most": most,
    }
    rows = await (await connection.execute(_QUERIES["ecgs_of"], values)).fetchall() if spans else []
    return [EcgRef(*row) for row in rows]
