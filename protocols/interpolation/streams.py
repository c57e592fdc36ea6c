"""Residuals in streams, each a chunk of pcodec: mode classic, without differences, one page. docs/reference/codec.md, "A stream"."""

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pcodec import ChunkConfig, DeltaSpec, ModeSpec, PagingSpec, wrapped

from protocols.errors import DecodeError
from protocols.interpolation.reader import Reader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from protocols.interpolation.prediction import Samples

MAX_STREAMS = 16
_LENGTH = struct.Struct("<I")
_OWN_STREAM = 4096  # residuals of a lead at the finest level
_FINER_STREAMS = 30_000  # residuals in all
_MEASURED = 1024  # residuals of a row that are looked at

_PCO = wrapped.FileCompressor()
PCO_FORMAT = _PCO.write_header()
_ENTROPY_ONLY = ChunkConfig(
    compression_level=8,
    mode_spec=ModeSpec.classic(),
    delta_spec=DeltaSpec.no_op(),
    paging_spec=PagingSpec.equal_pages_up_to(1 << 24),
)
_PCO_TYPE = {"<i2": "i16", "<i4": "i32"}


def packed(stream: "Samples") -> bytes:
    """A stream behind its length."""
    chunk = _PCO.chunk_compressor(stream, _ENTROPY_ONLY)
    data = chunk.write_meta() + chunk.write_page(0)
    return _LENGTH.pack(len(data)) + data


def stream_numbers(residuals: "Sequence[Samples]") -> "NDArray[np.int64]":
    """For each level and lead the stream of its residuals: each its own in long blocks, else what is about as large together.

    A stream costs about 60 bytes before its first value, a mixture of wide and narrow residuals bits in every value.
    """
    rows = sum(len(level) for level in residuals)
    if rows <= MAX_STREAMS and residuals[-1].shape[1] >= _OWN_STREAM:
        return np.arange(rows)
    sizes = np.concatenate([_mean_sizes(level) for level in residuals])
    octaves = 1 if sum(level.size for level in residuals) >= _FINER_STREAMS else 2
    classes = np.round(np.log2(sizes + 0.125) / octaves)
    _, numbers = np.unique(np.maximum(classes, classes.max() - MAX_STREAMS + 1), return_inverse=True)
    return numbers


def _mean_sizes(level: "Samples") -> "NDArray[np.float64]":
    if not level.size:
        return np.zeros(len(level))
    step = max(1, level.shape[1] // _MEASURED)
    return np.abs(level[:, ::step].astype(np.float64)).mean(axis=1)


def in_streams(residuals: "Sequence[Samples]", numbers: "NDArray[np.int64]") -> "Iterator[Samples]":
    """The streams in the order of their numbers, those of no values left out."""
    rows = [row for level in residuals for row in level]
    for number in range(MAX_STREAMS):
        mine = [rows[i] for i in np.flatnonzero(numbers == number) if rows[i].size]
        if mine:
            yield np.concatenate(mine)


def opened(pco_format: bytes) -> wrapped.FileDecompressor:
    """What reads chunks of a format of pcodec; DecodeError where it is none that it knows."""
    try:
        file, used = wrapped.FileDecompressor.new(pco_format)
    except RuntimeError as error:
        raise DecodeError("format of pcodec", "one that this version reads", pco_format.hex(), pco_format) from error
    if used != len(pco_format):
        raise DecodeError("format of pcodec", f"{len(pco_format)} bytes", f"{used}", pco_format)
    return file


class Residuals:
    """The streams, and what each level has of them."""

    def __init__(self, numbers: bytes, leads: int, counts: Sequence[int], dtype: str) -> None:
        self._rows = [numbers[at : at + leads] for at in range(0, len(numbers), leads)]
        self._counts = counts
        self._dtype = dtype
        sizes = [0] * MAX_STREAMS
        for row, count in zip(self._rows, counts, strict=True):
            for number in row:
                sizes[number] += count
        self._streams: list[Samples] = [np.empty(size, dtype) for size in sizes]
        self._taken = [0] * MAX_STREAMS

    def read(self, reader: Reader, file: wrapped.FileDecompressor) -> None:
        """Decode all streams; DecodeError."""
        for stream in self._streams:
            if stream.size:
                self._read(reader, file, stream)

    def level(self, at: int) -> "Samples":
        """Residuals of shape (leads, count); the levels are asked for in their order."""
        count = self._counts[at]
        out = np.empty((len(self._rows[at]), count), self._dtype)
        for lead, number in enumerate(self._rows[at]):
            start = self._taken[number]
            out[lead] = self._streams[number][start : start + count]
            self._taken[number] += count
        return out

    def _read(self, reader: Reader, file: wrapped.FileDecompressor, into: "Samples") -> None:
        (length,) = _LENGTH.unpack(reader.take(_LENGTH.size))
        where = f"stream at byte {reader.at}"
        packed = reader.take(length)
        # Nothing of pcodec's own predictors and modes, as `encode` writes it.
        if packed[:1] != b"\0":
            raise DecodeError(where, "a chunk of mode 0 without differences", packed[:1].hex(), packed)
        try:
            chunk, used = file.chunk_decompressor(packed, _PCO_TYPE[self._dtype])
            _, page = chunk.read_page_into(packed[used:], into.size, into)
        except RuntimeError as error:
            raise DecodeError(where, "a chunk of pcodec", str(error), packed) from error
        if used + page != length:
            raise DecodeError(where, f"{length} bytes", f"{used + page}", packed)
