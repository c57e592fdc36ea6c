"""Rows of what devices measure, readings and samples: the many, straight from the wire's messages (decision 0045).

What cannot be stored is a RejectedError. Leaves the rare kinds to `told`, and what a batch becomes to `rows`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub.ingest import pgcopy
from hub.ingest.checks import checked, moment
from hub.ingest.quarantined import RejectedError
from protocols import device_package_pb2 as wire
from protocols.codec import decode
from protocols.errors import DecodeError
from protocols.record import SourcePath

if TYPE_CHECKING:
    from hub.ingest.catalog import GatewayCatalog, SeriesKey, StreamKey

_MAX_BIGINT = 2**63 - 1
_DTYPES = {wire.DTYPE_INT16: "<i2", wire.DTYPE_INT32: "<i4"}
_COMPARATORS = frozenset({"", "<", "<=", ">=", ">"})


async def source_id(catalog: "GatewayCatalog", path: str) -> int:
    """The id of a source path; RejectedError when it is none."""
    found = catalog.sources.get(path)
    if found is not None:
        return found
    checked("source", path)
    try:
        SourcePath.parse(path)
    except ValueError as error:
        raise RejectedError("source", "path", found=repr(path[:80])) from error
    return await catalog.source_id(path)


def battery(record: wire.Record, best_ns: int) -> Mapping[str, object]:
    """What the ledger keeps of a reading of a device's battery."""
    percent = min(max(record.observation.number, 0.0), 100.0)
    return {"device": record.source.partition("/")[0], "percent": percent, "at": moment(best_ns)}


@dataclass(frozen=True, slots=True)
class Measured:
    """Makes rows of one gateway's observations and waveforms."""

    catalog: "GatewayCatalog"

    async def observation(self, record: wire.Record, best_ns: int) -> bytes:
        """A row of `observation`."""
        reading = record.observation
        held = reading.WhichOneof("value")
        if held == "number":
            value, text, kind = reading.number, None, "number"
            if not math.isfinite(value):
                raise RejectedError("value", "no_number", code=reading.code, value=value)
        elif held is None:
            raise RejectedError("value", "no_value", code=reading.code)
        else:
            kind = held
            value, text = None, reading.text if held == "text" else reading.coded
            checked("value", text, empty=True)
        comparator = reading.comparator
        if comparator and comparator not in _COMPARATORS:
            raise RejectedError("comparator", "comparator", found=repr(comparator))
        quality = reading.quality
        if not 1 <= quality <= 7:
            raise RejectedError("quality", "quality", found=quality)
        key = (record.source, reading.code, reading.site, reading.unit, reading.averaging_ns, kind)
        series_id = self.catalog.series.get(key)
        if series_id is None:
            series_id = await self._new_series(key)
        device_offset, gateway_offset, uncertainty, segment = await self._offsets(record, best_ns)
        return pgcopy.observation(
            best_ns, series_id, quality, value, gateway_offset, uncertainty, device_offset, segment, comparator, text
        )

    async def _new_series(self, key: "SeriesKey") -> int:
        path, code, site, unit, averaging, _ = key
        checked("code", code)
        checked("site", site, empty=True)
        checked("unit", unit)
        if averaging > _MAX_BIGINT:
            raise RejectedError("averaging", "averaging", ns=averaging)
        await source_id(self.catalog, path)
        return await self.catalog.series_id(key)

    async def waveform(self, record: wire.Record, best_ns: int) -> bytes:
        """A row of `waveform`."""
        group = record.waveform
        dtype = _DTYPES.get(group.dtype)
        if dtype is None:
            raise RejectedError("dtype", "dtype", found=group.dtype)
        leads, scales, quality = tuple(group.leads), group.scales, bytes(group.quality)
        if not leads or len(scales) != len(leads) or (quality and len(quality) != len(leads)):
            raise RejectedError("shape", "shape", leads=len(leads), scales=len(scales), qualities=len(quality))
        if any(not 1 <= q <= 7 for q in quality):
            raise RejectedError("quality", "quality", found=list(quality))
        try:
            # Decoded to see that readers will be able to; stored as it came.
            decode(group.codec, group.samples, leads=len(leads), n=group.n, dtype=dtype)
        except DecodeError as error:
            raise RejectedError(
                "samples", "form", where=error.where, expected=error.expected, found=error.found
            ) from error
        key = (
            record.source,
            leads,
            group.fs_hz,
            dtype,
            tuple(s.gain for s in scales),
            tuple(s.offset for s in scales),
            tuple(s.unit for s in scales),
        )
        stream_id = self.catalog.streams.get(key)
        if stream_id is None:
            stream_id = await self._new_stream(key)
        device_offset, gateway_offset, uncertainty, segment = await self._offsets(record, best_ns)
        return pgcopy.waveform(
            best_ns,
            stream_id,
            group.n,
            group.first_sample,
            group.codec,
            quality,
            group.samples,
            gateway_offset,
            uncertainty,
            device_offset,
            segment,
        )

    async def _new_stream(self, key: "StreamKey") -> int:
        path, leads, fs_hz, _, gains, offsets, units = key
        if not 0 < fs_hz < 1e6:
            raise RejectedError("fs_hz", "fs_hz", found=fs_hz)
        if not all(math.isfinite(x) for x in (*gains, *offsets)) or 0.0 in gains:
            raise RejectedError("scale", "scale", gains=gains, offsets=offsets)
        for lead in leads:
            checked("lead", lead)
        for unit in units:
            checked("unit", unit)
        await source_id(self.catalog, path)
        return await self.catalog.stream_id(key)

    async def _offsets(self, record: wire.Record, best_ns: int) -> tuple[float | None, float, float, int | None]:
        """Device and gateway clock as differences to the stored time, uncertainty (all ms), and the clock segment's id."""
        times = record.times
        segment: int | None = None
        number = times.clock_segment
        if number:
            device = record.source.partition("/")[0]
            segment = self.catalog.segments.get((device, number))
            if segment is None:
                segment = await self.catalog.segment_id(device, number)
        device_offset = (times.device_ns - best_ns) / 1e6 if times.HasField("device_ns") else None
        return device_offset, (times.gateway_ns - best_ns) / 1e6, times.uncertainty_ns / 1e6, segment
