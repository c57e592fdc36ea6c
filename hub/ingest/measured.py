"""Rows of what devices measure, readings and samples: the many, straight from the wire's messages (decision 0045).

What cannot be stored is a RejectedError. Leaves the rare kinds to `told`, and what a batch becomes to `rows`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from hub.ingest import pgcopy
from hub.ingest.checks import checked, moment
from hub.ingest.quarantined import RejectedError
from hub.store.rollups import MINUTE_NS, Minute
from protocols import device_package_pb2 as wire
from protocols.codec import check
from protocols.errors import DecodeError
from protocols.record import SourcePath, is_recorded

if TYPE_CHECKING:
    from hub.ingest.catalog import GatewayCatalog, SeriesKey, StreamKey

_MAX_BIGINT = 2**63 - 1
_DTYPES = {wire.DTYPE_INT16: "<i2", wire.DTYPE_INT32: "<i4"}
_QUALITIES = bytes(range(1, 8))
_LAST_KEPT = 10_000  # sources whose last group is remembered
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


def battery(device: str, percent: float, best_ns: int) -> Mapping[str, object]:
    """What the ledger keeps of a reading of a device's battery."""
    return {"device": device, "percent": min(max(percent, 0.0), 100.0), "at": moment(best_ns)}


@dataclass(frozen=True, slots=True)
class Origin:
    """What the path of a source says, taken apart once for the thousands of records that follow."""

    path: str
    device: str
    is_recorded: bool
    epoch: bytes  # of the gateway that took it in: clock segments are numbered by it

    @classmethod
    def of(cls, path: str, epoch: bytes) -> "Origin":
        """Of a path as it came, whatever it is."""
        return cls(path, path.partition("/")[0], is_recorded(path), epoch)


@dataclass(frozen=True, slots=True)
class NewSeries:
    """Ids that the catalogue has not got yet."""

    key: "SeriesKey"


@dataclass(frozen=True, slots=True)
class NewStream:
    """The same of samples."""

    key: "StreamKey"


@dataclass(frozen=True, slots=True)
class NewSegment:
    """The same of a clock segment of a device."""

    device: str
    epoch: bytes
    number: int


@dataclass(frozen=True, slots=True)
class _Last:
    """What the last group of a source was like."""

    fs_hz: float
    dtype: str
    leads: list[str]
    scales: list[wire.Scale]
    stream_id: int


New: TypeAlias = NewSeries | NewStream | NewSegment


@dataclass(frozen=True, slots=True)
class Measured:
    """Makes rows of one gateway's observations and waveforms; of what the catalogue has no id for, says so: `learn` it, and ask again."""

    catalog: "GatewayCatalog"
    last: "dict[str, _Last]" = field(default_factory=dict[str, "_Last"])

    def observation(
        self, origin: Origin, times: wire.Times, reading: wire.Observation, best_ns: int, touched: set[Minute]
    ) -> bytes | New:
        """A row of `observation`; of a number, its minute is added to `touched`."""
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
        key = (origin.path, reading.code, reading.site, reading.unit, reading.averaging_ns, kind)
        series_id = self.catalog.series.get(key)
        if series_id is None:
            return NewSeries(key)
        segment: int | None = None
        if number := times.clock_segment:
            segment = self.catalog.segments.get((origin.device, origin.epoch, number))
            if segment is None:
                return NewSegment(origin.device, origin.epoch, number)
        if text is None:
            touched.add((series_id, best_ns // MINUTE_NS))
        return pgcopy.observation(
            best_ns,
            series_id,
            quality,
            value,
            (times.gateway_ns - best_ns) / 1e6,
            times.uncertainty_ns / 1e6,
            (times.device_ns - best_ns) / 1e6 if times.HasField("device_ns") else None,
            segment,
            comparator,
            text,
        )

    async def learn(self, new: New) -> None:
        """Have ids made."""
        match new:
            case NewSeries(key):
                await self._new_series(key)
            case NewStream(key):
                await self._new_stream(key)
            case NewSegment(device, epoch, number):
                await self.catalog.segment_id(device, epoch, number)

    async def _new_series(self, key: "SeriesKey") -> None:
        path, code, site, unit, averaging, _ = key
        checked("code", code)
        checked("site", site, empty=True)
        checked("unit", unit)
        if averaging > _MAX_BIGINT:
            raise RejectedError("averaging", "averaging", ns=averaging)
        await source_id(self.catalog, path)
        await self.catalog.series_id(key)

    def waveform(self, origin: Origin, times: wire.Times, group: wire.WaveformGroup, best_ns: int) -> bytes | New:
        """A row of `waveform`."""
        dtype = _DTYPES.get(group.dtype)
        if dtype is None:
            raise RejectedError("dtype", "dtype", found=group.dtype)
        leads = len(group.leads)
        if not leads or len(group.scales) != leads or (group.quality and len(group.quality) != leads):
            raise RejectedError("shape", "shape", leads=leads, scales=len(group.scales), qualities=len(group.quality))
        try:
            quality = bytes(group.quality)
        except ValueError:  # a number that is no byte
            quality = b"\xff"
        if quality.translate(None, _QUALITIES):
            raise RejectedError("quality", "quality", found=list(group.quality))
        try:
            # Checked so far that readers will be able to decode it; stored as it came.
            check(group.codec, group.samples, leads=leads, n=group.n, dtype=dtype)
        except DecodeError as error:
            raise RejectedError(
                "samples", "form", where=error.where, expected=error.expected, found=error.found
            ) from error
        stream_id = self._stream_id(origin.path, group, dtype)
        if not isinstance(stream_id, int):
            return stream_id
        segment: int | None = None
        if number := times.clock_segment:
            segment = self.catalog.segments.get((origin.device, origin.epoch, number))
            if segment is None:
                return NewSegment(origin.device, origin.epoch, number)
        return pgcopy.waveform(
            best_ns,
            stream_id,
            group.n,
            group.first_sample,
            group.codec,
            quality,
            group.samples,
            (times.gateway_ns - best_ns) / 1e6,
            times.uncertainty_ns / 1e6,
            (times.device_ns - best_ns) / 1e6 if times.HasField("device_ns") else None,
            segment,
        )

    def _stream_id(self, path: str, group: wire.WaveformGroup, dtype: str) -> int | NewStream:
        """The stream of a group: mostly that of the source's last one, which costs a comparison instead of a key of tuples."""
        last = self.last.get(path)
        if (
            last is not None
            and last.fs_hz == group.fs_hz
            and last.dtype == dtype
            and group.leads == last.leads
            and group.scales == last.scales
        ):
            return last.stream_id
        leads, scales = list(group.leads), list(group.scales)
        gains, offsets = tuple(s.gain for s in scales), tuple(s.offset for s in scales)
        key = (path, tuple(leads), group.fs_hz, dtype, gains, offsets, tuple(s.unit for s in scales))
        stream_id = self.catalog.streams.get(key)
        if stream_id is None:
            return NewStream(key)
        if len(self.last) >= _LAST_KEPT:
            self.last.clear()
        self.last[path] = _Last(group.fs_hz, dtype, leads, scales, stream_id)
        return stream_id

    async def _new_stream(self, key: "StreamKey") -> None:
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
        await self.catalog.stream_id(key)
