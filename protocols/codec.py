"""The codec of waveform groups: lossless for (leads, n) of int16 or int32, chosen by number in `device_package.proto`.

`CODEC_RAW` is little-endian samples in C order. `CODEC_DELTA_DEFLATE` takes the first difference in time of each lead (modulo the
word), sorts the bytes into planes and deflates them (RFC 1950, level 1). Declared counts are checked before anything is allocated.
"""

import zlib

import numpy as np

from protocols.device_package_pb2 import CODEC_DELTA_DEFLATE, CODEC_RAW, Codec
from protocols.errors import DecodeError

MAX_LEADS = 64
MAX_SAMPLES = 1_000_000  # leads * n of one group; 10 s of 64 leads at 1 kHz are 640,000
_LEVEL = 1
_UNSIGNED = {"<i2": "<u2", "<i4": "<u4"}


def encode(samples: bytes, *, leads: int, n: int, dtype: str) -> tuple[Codec, bytes]:
    """Compress little-endian C-order samples of shape (leads, n); the number of the codec used, and its bytes.

    Raw when compression would not make them smaller. ValueError when the counts and the bytes disagree.
    """
    width = _width(dtype)
    if len(samples) != leads * n * width:
        msg = f"{len(samples)} bytes of {dtype}: expected {leads} leads of {n} samples"
        raise ValueError(msg)
    if not samples:
        return CODEC_RAW, samples
    values = np.frombuffer(samples, dtype=_UNSIGNED[dtype]).reshape(leads, n)
    steps = values.copy()
    steps[:, 1:] -= values[:, :-1]
    planes = np.ascontiguousarray(steps.reshape(-1).view(np.uint8).reshape(-1, width).T)
    packed = zlib.compress(planes.tobytes(), _LEVEL)
    return (CODEC_DELTA_DEFLATE, packed) if len(packed) < len(samples) else (CODEC_RAW, samples)


def decode(codec: int, data: bytes, *, leads: int, n: int, dtype: str) -> bytes:
    """Little-endian C-order samples of shape (leads, n); DecodeError says which count or byte is wrong."""
    if dtype not in _UNSIGNED:
        raise DecodeError("waveform dtype", "<i2 or <i4", repr(dtype))
    if not 0 < leads <= MAX_LEADS:
        raise DecodeError("waveform leads", f"1 to {MAX_LEADS}", str(leads))
    if not 0 < n <= MAX_SAMPLES // leads:
        raise DecodeError("waveform n", f"1 to {MAX_SAMPLES // leads} for {leads} leads", str(n))
    width = _width(dtype)
    size = leads * n * width
    if codec == CODEC_RAW:
        if len(data) != size:
            raise DecodeError(
                "waveform samples", f"{size} bytes for {leads} leads of {n} {dtype}", f"{len(data)} bytes", data
            )
        return data
    if codec != CODEC_DELTA_DEFLATE:
        raise DecodeError("waveform codec", "0 (raw) or 1 (differences, deflated)", str(codec))
    planes = np.frombuffer(_inflate(data, size), dtype=np.uint8).reshape(width, -1)
    steps = np.ascontiguousarray(planes.T).view(_UNSIGNED[dtype]).reshape(leads, n)
    return np.cumsum(steps, axis=1, dtype=_UNSIGNED[dtype]).tobytes()


def _inflate(data: bytes, size: int) -> bytes:
    """Exactly `size` bytes; a bomb is noticed after one byte more."""
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, size + 1)
    except zlib.error as error:
        raise DecodeError("waveform samples", "a deflate stream", str(error), data) from error
    if len(plain) != size or not inflater.eof or inflater.unused_data:
        found = f"more than {size}" if len(plain) > size else f"{len(plain)}{'' if inflater.eof else ' and no end'}"
        raise DecodeError("waveform samples", f"{size} inflated bytes and nothing behind them", found, data)
    return plain


def _width(dtype: str) -> int:
    if dtype not in _UNSIGNED:
        msg = f"dtype {dtype!r}: expected '<i2' or '<i4'"
        raise ValueError(msg)
    return int(dtype[2])
