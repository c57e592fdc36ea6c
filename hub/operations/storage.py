"""How large the store is and how much smaller than what it holds; measured by the worker, which may read time series.

Hot and sealed together. Counted as raw: 16 bytes a reading (time and value), and each sample at its own width. What is sealed is
estimated when it is many blocks: their number as PostgreSQL knows it, times the mean of the newest.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from prometheus_client import Gauge

from hub.core.sql import load_queries

if TYPE_CHECKING:
    from hub.core.db import Database

READING_BYTES = 16
EVERY_S = 600.0
NEWEST_BLOCKS = 2000
_QUERIES = load_queries("hub.operations")
_BYTES = Gauge("hub_storage_bytes", "Size on disk with indexes", ["what"])
_RATIO = Gauge("hub_compression_ratio", "Raw bytes for each byte that is stored", ["what"])


class Storage:
    """Measures now and then, and tells what it measured last."""

    def __init__(self, database: "Database", every_s: float = EVERY_S) -> None:
        """`database` as the role worker."""
        self._database, self._every_s = database, every_s
        self._at_s = -every_s
        self._told: dict[str, float] = {}

    async def figures(self) -> Mapping[str, float]:
        """Sizes in bytes, and ratios where there is something to compare."""
        if time.monotonic() - self._at_s >= self._every_s:
            self._at_s = time.monotonic()
            self._told = await self._measure()
        return self._told

    async def _measure(self) -> dict[str, float]:
        async with self._database.connection() as connection:
            size = await (await connection.execute(_QUERIES["storage"])).fetchone()
            newest = await (await connection.execute(_QUERIES["newest_blocks"], {"most": NEWEST_BLOCKS})).fetchone()
            samples = await (await connection.execute(_QUERIES["samples"])).fetchone()
        assert size is not None
        assert newest is not None
        assert samples is not None
        reading_bytes, hot_readings, reading_blocks, wave_bytes, hot_groups, wave_blocks = (
            float(part or 0) for part in size
        )
        seen_reading_blocks, seen_readings, seen_wave_blocks, seen_raw = (float(part) for part in newest)
        readings = hot_readings + _of_all(reading_blocks, seen_reading_blocks, seen_readings)
        sealed_bytes = _of_all(wave_blocks, seen_wave_blocks, seen_raw)
        hot_raw, hot_seen, raw, stored = (float(part) for part in samples)
        told = {"observation_bytes": reading_bytes, "waveform_bytes": wave_bytes}
        if readings and reading_bytes:
            told["observation_ratio"] = readings * READING_BYTES / reading_bytes
        if stored:
            told["samples_ratio"] = raw / stored
        whole = sealed_bytes + (hot_groups * hot_raw / hot_seen if hot_seen else 0.0)
        if whole and wave_bytes:
            told["waveform_ratio"] = whole / wave_bytes
        for name, value in told.items():
            what, _, kind = name.rpartition("_")
            (_BYTES if kind == "bytes" else _RATIO).labels(what).set(value)
        return told


def _of_all(blocks: float, seen: float, summed: float) -> float:
    """What all blocks hold, where `seen` of them, the newest, hold `summed`."""
    return summed if seen < NEWEST_BLOCKS else max(blocks, seen) * summed / seen
