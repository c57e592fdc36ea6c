"""The ids of devices, sources, series, streams and clock segments, cached and made on demand.

What a gateway has said before is read at once when the first id is asked for: it comes back after each cut, all gateways do when the hub
was away, and a question for each series took a third of the processor time of ingest and server.

They are made in transactions of their own, committed before a row refers to them, so that a rolled-back batch never
leaves a cached id that does not exist. They hold for the history of the database that gave them (`hub.core.history`).
"""

import time
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from hub.core.db import Database
from hub.core.sql import load_queries
from protocols.record import SourcePath

_QUERIES = load_queries("hub.ingest")
K = TypeVar("K")
V = TypeVar("V")
_ASK_AGAIN_S = 1.0
_MOST_ROWS = 5_000  # read at once, some 40 ms of the loop; what there is beyond them is asked for one by one
_MAX_CACHED = 200_000  # of each kind; beyond it the cache starts anew, the tables do not

# source path, code, site, unit, averaging in ns, kind of value
SeriesKey: TypeAlias = tuple[str, str, str, str, int, str]
# source path, leads, fs_hz, dtype, gains, offsets, units
StreamKey: TypeAlias = tuple[str, tuple[str, ...], float, str, tuple[float, ...], tuple[float, ...], tuple[str, ...]]


@dataclass(slots=True)
class GatewayCatalog:
    """The catalogue as one gateway and epoch sees it. The dictionaries are read directly on the hot path."""

    database: Database
    tenant_id: int
    gateway_id: int
    epoch: bytes
    history: int  # of the database; with another, every call is an OtherHistoryError
    devices: dict[str, int] = field(default_factory=dict[str, int])
    sources: dict[str, int] = field(default_factory=dict[str, int])
    series: dict[SeriesKey, int] = field(default_factory=dict[SeriesKey, int])
    streams: dict[StreamKey, int] = field(default_factory=dict[StreamKey, int])
    segments: dict[tuple[str, bytes, int], int] = field(default_factory=dict[tuple[str, bytes, int], int])
    admitted: dict[str, bool] = field(default_factory=dict[str, bool])
    waiting: dict[str, int] = field(default_factory=dict[str, int])  # records of a device in quarantine
    heard: dict[str, int] = field(
        default_factory=dict[str, int]
    )  # device -> time of the gateway as the ledger has it, ns
    asked_s: dict[str, float] = field(default_factory=dict[str, float])
    is_read: bool = (
        False  # what is known of the gateway's devices; true from the begin where few ids are wanted, or soon
    )

    async def device_id(self, name: str) -> int:
        """Find or make a device, and note that it is at this gateway."""
        if not self.is_read:
            await self._read()
        found = self.devices.get(name)
        if found is None:
            found = await self._one("device", {"tenant": self.tenant_id, "name": name, "gateway": self.gateway_id})
            _keep(self.devices, name, found)
        return found

    async def is_admitted(self, name: str) -> bool:
        """Whether a device's data may be stored. The answer is remembered; a `no` for a second, unless `forget_admissions` comes."""
        now_s = time.monotonic()
        if now_s - self.asked_s.get(name, -_ASK_AGAIN_S) < _ASK_AGAIN_S:
            return False
        device = await self.device_id(name)
        async with self.database.connection(of=self.history) as connection:
            values = {"device": device, "tenant": self.tenant_id, "name": name}
            row = await (await connection.execute(_QUERIES["admission"], values)).fetchone()
        if row is not None and row[2] != self.gateway_id:  # it was at another gateway meanwhile
            await self._one("device", {"tenant": self.tenant_id, "name": name, "gateway": self.gateway_id})
        found = row is not None and bool(row[0])
        if found:
            _keep(self.admitted, name, found)
        elif row is not None:
            self.asked_s[name] = now_s
            self.waiting[name] = int(row[1])
        return found

    def forget_admissions(self) -> None:
        """Ask anew: somebody has admitted or retired a device."""
        self.admitted.clear()
        self.asked_s.clear()

    async def source_id(self, path: str) -> int:
        """Find or make a source; ValueError when the path is none."""
        if path in self.sources:
            return self.sources[path]
        device = await self.device_id(SourcePath.parse(path).device)
        found = self.sources.get(path)  # it may have been read with the device
        if found is None:
            found = await self._one("source", {"tenant": self.tenant_id, "device": device, "path": path})
            _keep(self.sources, path, found)
        return found

    async def series_id(self, key: SeriesKey) -> int:
        """Find or make a series."""
        path, code, site, unit, averaging, kind = key
        values = {"code": code, "site": site, "unit": unit, "averaging": averaging, "kind": kind}
        source = await self.source_id(path)
        found = self.series.get(key)
        if found is None:
            found = await self._one("series", {"tenant": self.tenant_id, "source": source, **values})
            _keep(self.series, key, found)
        return found

    async def stream_id(self, key: StreamKey) -> int:
        """Find or make a stream."""
        path, leads, fs_hz, dtype, gains, offsets, units = key
        source = await self.source_id(path)
        found = await self._one(
            "stream",
            {
                "tenant": self.tenant_id,
                "source": source,
                "leads": list(leads),
                "fs_hz": fs_hz,
                "dtype": dtype,
                "gains": list(gains),
                "offsets": list(offsets),
                "units": list(units),
            },
        )
        _keep(self.streams, key, found)
        return found

    async def segment_id(self, device: str, epoch: bytes, number: int) -> int:
        """Find or make a clock segment of a device, as the gateway with this epoch numbered it."""
        device_id = await self.device_id(device)
        found = self.segments.get((device, epoch, number))
        if found is None:
            values = {"device": device_id, "gateway": self.gateway_id, "epoch": epoch, "number": number}
            found = await self._one("clock_segment", {"tenant": self.tenant_id, **values})
            _keep(self.segments, (device, epoch, number), found)
        return found

    async def _read(self) -> None:
        """Read what is known of the devices that are at this gateway, and the newest clock segment of each."""
        values = {"tenant": self.tenant_id, "gateway": self.gateway_id, "epoch": self.epoch, "most": _MOST_ROWS}
        async with self.database.connection(of=self.history) as connection:
            rows = await (await connection.execute(_QUERIES["known_series"], values)).fetchall()
            segments = await (await connection.execute(_QUERIES["known_segments"], values)).fetchall()
        for name, device, path, source, code, site, unit, averaging, kind, series in rows:
            self.devices[name] = device
            if path is None:
                continue
            self.sources[path] = source
            if series is not None:
                self.series[path, code, site, unit, averaging, kind] = series
        self.segments |= {(name, self.epoch, number): segment for name, number, segment in segments}
        self.is_read = True

    async def _one(self, query: str, parameters: dict[str, object]) -> int:
        async with self.database.connection(of=self.history) as connection:
            # An `insert ... on conflict do nothing` that lost a race sees the winner's row only in the next statement.
            for _ in range(2):
                row = await (await connection.execute(_QUERIES[query], parameters)).fetchone()
                if row is not None:
                    return int(row[0])
        msg = f"{query} {parameters}: neither made nor found"
        raise RuntimeError(msg)


def _keep(cache: dict[K, V], key: K, value: V) -> None:
    if len(cache) >= _MAX_CACHED:
        cache.clear()
    cache[key] = value
