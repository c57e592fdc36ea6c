"""Lossless compression of waveform samples, for the wire and for the store. docs/reference/codec.md is the definition.

Samples are int16 or int32 of shape (leads, n), raw units. DELTA_DEFLATE takes first differences in time (modulo 2^bits,
so that every value survives), lays them out in byte planes (low bytes of all samples first) and deflates them (RFC 1951, level 1):
on ECG the high planes are nearly constant. INTERPOLATION, for larger groups, is in `protocols.interpolation`. The numbers of the
codecs are those of `Codec` in device_package.proto; a better codec is a new number, and old ones are read for ever.
"""

import zlib
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from protocols import interpolation
from protocols.errors import DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Samples: TypeAlias = "NDArray[np.int16 | np.int32]"

RAW = 0
DELTA_DEFLATE = 1
INTERPOLATION = 2
CODECS = {RAW: "raw", DELTA_DEFLATE: "first differences, byte planes, deflate", INTERPOLATION: "interpolation, pcodec"}

ALL = frozenset(CODECS)
# What a gateway sends: a hub one version older must be able to read it (decision 0127).
SENT = frozenset({RAW, DELTA_DEFLATE})

MAX_LEADS = 256
# What one group may hold: sealed blocks of ten minutes of twelve leads at 500 Hz are 3.6 million samples of 2 bytes.
MAX_DECODED_BYTES = 16 * 1024 * 1024

# Below, what INTERPOLATION says before its first residual weighs as much as it saves (decision 0126).
_INTERPOLATED_SAMPLES = 2048
_INTERPOLATED_N = 128

_LEVEL = 1  # level 6 gains 1 % on groups of 1 s (mitdb 100), and 7 % on blocks of 5 min at four times the time
_WBITS = -15  # no zlib header: lengths are declared and checked here
_WIDTH = {"<i2": 2, "<i4": 4}


def encode(samples: Samples, among: AbstractSet[int] = ALL) -> tuple[Literal[0, 1, 2], bytes]:
    """Compress samples of shape (leads, n) and type int16 or int32; returns the codec and the bytes.

    `among`: codecs that whoever reads it knows; RAW is always one of them. The codec goes by the size of the group, and is RAW where
    nothing is gained. Blocks of minutes compress better than groups of a second; their samples take three times their room meanwhile.
    """
    raw = np.ascontiguousarray(samples, dtype=samples.dtype.newbyteorder("<"))
    if raw.ndim != 2 or raw.dtype.str not in _WIDTH:
        msg = f"samples of {raw.dtype.str} and {raw.ndim} dimensions: expected <i2 or <i4 and 2 dimensions (leads, n)"
        raise ValueError(msg)
    _check_shape(raw.shape[0], raw.shape[1], raw.dtype.str)
    large = raw.size >= _INTERPOLATED_SAMPLES and raw.shape[1] >= _INTERPOLATED_N
    if large and INTERPOLATION in among:
        packed = interpolation.encode(raw)
        if len(packed) < raw.nbytes:
            return INTERPOLATION, packed
    elif DELTA_DEFLATE in among:
        packed = _deflate(raw)
        if len(packed) < raw.nbytes:
            return DELTA_DEFLATE, packed
    return RAW, raw.tobytes()


def decode(codec: int, data: bytes, *, leads: int, n: int, dtype: str) -> Samples:
    """Decompress to shape (leads, n), read-only; `dtype` is "<i2" or "<i4".

    DecodeError when the declared counts are too large, or are not those of the data: never more than the declared size is allocated.
    """
    size = _check_shape(leads, n, dtype)
    if codec == INTERPOLATION:
        interpolated = interpolation.decode(data, leads=leads, n=n, dtype=dtype)
        interpolated.flags.writeable = False
        return interpolated
    if codec == RAW:
        plain = data
    elif codec == DELTA_DEFLATE:
        plain = _inflate(data, size)
    else:
        raise DecodeError("codec", " or ".join(f"{k} ({v})" for k, v in CODECS.items()), str(codec), data)
    if len(plain) != size:
        raise DecodeError("samples", f"{size} bytes for {leads} leads of {n} samples {dtype}", f"{len(plain)}", data)
    if codec == RAW or not size:
        return np.frombuffer(plain, dtype).reshape(leads, n)
    width = _WIDTH[dtype]
    planes = np.frombuffer(plain, np.uint8).reshape(width, leads * n)
    zigzag = np.ascontiguousarray(planes.T).view(f"<u{width}").reshape(leads, n)
    deltas = (zigzag >> 1) ^ (0 - (zigzag & 1)).astype(zigzag.dtype)
    samples = np.cumsum(deltas, axis=1, dtype=deltas.dtype).view(dtype)
    samples.flags.writeable = False
    return samples


def check(codec: int, data: bytes, *, leads: int, n: int, dtype: str) -> None:
    """Raise the DecodeError that `decode` would raise, at a third of its cost: samples are not made."""
    if codec != DELTA_DEFLATE:
        decode(codec, data, leads=leads, n=n, dtype=dtype)
        return
    size = _check_shape(leads, n, dtype)
    plain = len(_inflate(data, size))
    if plain != size:
        raise DecodeError("samples", f"{size} bytes for {leads} leads of {n} samples {dtype}", f"{plain}", data)


def _check_shape(leads: int, n: int, dtype: str) -> int:
    """Return the size in bytes."""
    if dtype not in _WIDTH:
        raise DecodeError("dtype", "<i2 or <i4", repr(dtype))
    if not 1 <= leads <= MAX_LEADS:
        raise DecodeError("leads", f"1 to {MAX_LEADS}", str(leads))
    size = leads * n * _WIDTH[dtype]
    if not 0 <= size <= MAX_DECODED_BYTES:
        raise DecodeError("samples", f"at most {MAX_DECODED_BYTES} bytes decoded", f"{leads} leads of {n} {dtype}")
    return size


def _deflate(raw: Samples) -> bytes:
    unsigned = raw.view(f"<u{raw.itemsize}")
    deltas = unsigned.copy()
    deltas[:, 1:] -= unsigned[:, :-1]
    # Zigzag: small negative differences get zero high bytes as small positive ones do.
    signed = deltas.view(raw.dtype)
    zigzag = (deltas << 1) ^ (signed >> (8 * raw.itemsize - 1)).view(deltas.dtype)
    planes = zigzag.view(np.uint8).reshape(-1, raw.itemsize).T
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WBITS)
    return deflate.compress(planes.tobytes()) + deflate.flush()


def _inflate(data: bytes, size: int) -> bytes:
    inflate = zlib.decompressobj(_WBITS)
    try:
        plain = inflate.decompress(data, size + 1)  # one more than declared, to see that there is more
    except zlib.error as error:
        raise DecodeError("samples", "deflated bytes (RFC 1951)", str(error), data) from error
    if len(plain) > size:
        raise DecodeError("samples", f"{size} bytes decoded", "more", data)
    if not inflate.eof:
        raise DecodeError("samples", "a whole deflate stream", "it ends early", data)
    if inflate.unused_data:
        raise DecodeError("samples", "nothing behind the deflate stream", f"{len(inflate.unused_data)} bytes", data)
    return plain
