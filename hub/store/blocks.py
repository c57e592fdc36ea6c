"""Sealed blocks of waveform groups: many groups of one stream as one array of samples and one of marks. Pure.

A group comes out of its block as it went in, every column of its row and every sample; only how its samples are packed differs.
The samples are packed by `protocols.codec`, and so are the marks: as 64-bit integers, floating point by its bits, halved into 32.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protocols import codec
from protocols.errors import DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BLOCK_BYTES = 4 * 1024 * 1024  # of samples, unpacked: 5 min of twelve leads at 500 Hz are 3.6 MB
MAX_GROUPS = 100_000  # of a block that is written; marks of more leads have room for fewer
_VERSION = 1
_HEAD = struct.Struct("<BB")  # version, codec of the marks
# start, n, first sample, offset of the device's clock, of the gateway's, uncertainty, clock segment, which of them are null
_FIXED = 8
_NO_DEVICE, _NO_SEGMENT = 1, 2
_QUALITIES_A_WORD = 8
_MARK_BYTES = 8


@dataclass(frozen=True, slots=True)
class Group:
    """A group of a stream. Times in microseconds since 1970; `samples`: raw units, shape (leads, n); `quality`: a byte a lead, or empty."""

    start_us: int
    n: int
    first_sample: int
    quality: bytes
    samples: codec.Samples
    device_offset_ms: float | None
    gateway_offset_ms: float
    uncertainty_ms: float
    clock_segment_id: int | None


@dataclass(frozen=True, slots=True)
class Block:
    """Groups of one stream, in order of time."""

    start_us: int
    last_start_us: int
    groups: int
    n: int
    codec: int
    marks: bytes
    samples: bytes


def parts(groups: Sequence[Group]) -> Iterator[Sequence[Group]]:
    """Cut groups so that `pack` takes each part: within `MAX_BLOCK_BYTES`, unless one group alone is larger, and `most_groups`."""
    most = most_groups(len(groups[0].samples)) if groups else 0
    first, size = 0, 0
    for at, group in enumerate(groups):
        if at > first and (size + group.samples.nbytes > MAX_BLOCK_BYTES or at - first >= most):
            yield groups[first:at]
            first, size = at, 0
        size += group.samples.nbytes
    if groups:
        yield groups[first:]


def most_groups(leads: int) -> int:
    """How many groups of a stream one block may hold: their marks are decoded at once."""
    return min(MAX_GROUPS, codec.MAX_DECODED_BYTES // (_MARK_BYTES * _mark_rows(leads)))


def pack(groups: Sequence[Group]) -> Block:
    """One block of groups of one stream; their leads and types are the stream's. ValueError for more than `most_groups`, and for none."""
    most = most_groups(len(groups[0].samples)) if groups else 0
    if not 1 <= len(groups) <= most:
        msg = f"{len(groups)} groups: a block takes 1 to {most}, as parts() cuts them"
        raise ValueError(msg)
    samples = _joined(groups)
    number, packed = codec.encode(samples)
    return Block(
        start_us=min(g.start_us for g in groups),
        last_start_us=max(g.start_us for g in groups),
        groups=len(groups),
        n=samples.shape[1],
        codec=number,
        marks=_pack_marks(groups, samples.shape[0]),
        samples=packed,
    )


def unpack(block: Block, leads: int, dtype: str) -> list[Group]:
    """The groups of a block; DecodeError when it is none. `dtype` is "<i2" or "<i4"."""
    samples = codec.decode(block.codec, block.samples, leads=leads, n=block.n, dtype=dtype)
    rows = _unpack_marks(block.marks, block.groups, leads)
    counts = rows[1].tolist()
    if min(counts, default=0) < 0 or sum(counts) != block.n:
        raise DecodeError("marks", f"{block.n} samples in all", f"{sum(counts)}", block.marks)
    device, gateway, uncertainty = (rows[i].view(np.float64).tolist() for i in (3, 4, 5))
    words = np.ascontiguousarray(rows[_FIXED:].T).view(np.uint8).reshape(block.groups, -1)[:, :leads]
    groups: list[Group] = []
    begin = 0
    starts, firsts, segments, nulls = (rows[i].tolist() for i in (0, 2, 6, 7))
    for i, n in enumerate(counts):
        groups.append(
            Group(
                starts[i],
                n,
                firsts[i],
                words[i].tobytes() if words[i].any() else b"",
                samples[:, begin : begin + n],
                None if nulls[i] & _NO_DEVICE else device[i],
                gateway[i],
                uncertainty[i],
                None if nulls[i] & _NO_SEGMENT else segments[i],
            )
        )
        begin += n
    return groups


def stretches(marks: bytes, groups: int, leads: int) -> list[tuple[int, int]]:
    """Number of the first sample and count of samples of each group, from the marks of a block alone."""
    rows = _unpack_marks(marks, groups, leads)
    return list(zip(rows[2].tolist(), rows[1].tolist(), strict=True))


def _joined(groups: Sequence[Group]) -> codec.Samples:
    if groups[0].samples.itemsize == np.dtype(np.int16).itemsize:
        return np.concatenate([np.asarray(g.samples, np.int16) for g in groups], axis=1)
    return np.concatenate([np.asarray(g.samples, np.int32) for g in groups], axis=1)


def _pack_marks(groups: Sequence[Group], leads: int) -> bytes:
    rows = np.zeros((_mark_rows(leads), len(groups)), np.int64)
    words = len(rows) - _FIXED
    rows[0] = [g.start_us for g in groups]
    rows[1] = [g.n for g in groups]
    rows[2] = [g.first_sample for g in groups]
    rows[3] = np.array([g.device_offset_ms or 0.0 for g in groups], np.float64).view(np.int64)
    rows[4] = np.array([g.gateway_offset_ms for g in groups], np.float64).view(np.int64)
    rows[5] = np.array([g.uncertainty_ms for g in groups], np.float64).view(np.int64)
    rows[6] = [g.clock_segment_id or 0 for g in groups]
    rows[7] = [
        (_NO_DEVICE if g.device_offset_ms is None else 0) | (_NO_SEGMENT if g.clock_segment_id is None else 0)
        for g in groups
    ]
    padded = b"".join(g.quality.ljust(words * _QUALITIES_A_WORD, b"\0") for g in groups)
    rows[_FIXED:] = np.frombuffer(padded, "<i8").reshape(len(groups), words).T
    halves = np.ascontiguousarray(rows.view("<i4").reshape(len(rows), len(groups), 2).transpose(0, 2, 1))
    number, packed = codec.encode(halves.reshape(2 * len(rows), len(groups)))
    return _HEAD.pack(_VERSION, number) + packed


def _unpack_marks(raw: bytes, groups: int, leads: int) -> "NDArray[np.int64]":
    # Blocks with more than MAX_GROUPS were written once; the codec bounds what is made of these too.
    if len(raw) < _HEAD.size or raw[0] != _VERSION or groups < 1:
        raise DecodeError("marks", f"version {_VERSION} of at least one group", f"{groups}, {raw[:2].hex()}", raw)
    count = _mark_rows(leads)
    halves = codec.decode(raw[1], raw[_HEAD.size :], leads=2 * count, n=groups, dtype="<i4")
    turned = np.ascontiguousarray(halves.reshape(count, 2, groups).transpose(0, 2, 1))
    return turned.view("<i8").reshape(count, groups)


def _mark_rows(leads: int) -> int:
    return _FIXED + -(-leads // _QUALITIES_A_WORD)
