"""Rows of the time series in PostgreSQL's binary COPY format (PostgreSQL 17 manual, COPY, "Binary Format").

Written by `struct` because a row then costs one call; leaves what the values mean to `rows`.
"""

import struct
from collections.abc import Sequence

SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"

_EPOCH_2000_US = 946_684_800_000_000  # timestamps count from 2000-01-01
_NULL = -1

OBSERVATION_COLUMNS = "time, series_id, quality, gateway_offset_ms, uncertainty_ms, value, device_offset_ms, clock_segment_id, comparator, text_value"
WAVEFORM_COLUMNS = "start, stream_id, n, first_sample, codec, gateway_offset_ms, uncertainty_ms, device_offset_ms, clock_segment_id, quality, samples"
COPY_OBSERVATION = b"copy observation (%s) from stdin (format binary)" % OBSERVATION_COLUMNS.encode()
COPY_WAVEFORM = b"copy waveform (%s) from stdin (format binary)" % WAVEFORM_COLUMNS.encode()
COPY_OBSERVATION_AGAIN = b"copy observation_again (%s) from stdin (format binary)" % OBSERVATION_COLUMNS.encode()
COPY_WAVEFORM_AGAIN = b"copy waveform_again (%s) from stdin (format binary)" % WAVEFORM_COLUMNS.encode()

_FIXED_OBSERVATION = ">h iq ii ih id if"
# value, device_offset_ms, clock_segment_id each there or null; comparator and text null: (device, segment) -> packer
_PLAIN = {
    (device, segment): struct.Struct(
        f"{_FIXED_OBSERVATION} id {'id' if device else 'i'} {'ii' if segment else 'i'} ii".replace(" ", "")
    ).pack
    for device in (False, True)
    for segment in (False, True)
}
_HEAD = struct.Struct(_FIXED_OBSERVATION.replace(" ", "")).pack
_WAVEFORM_HEAD = struct.Struct(">hiqiiiiiqihidif").pack
_LENGTH = struct.Struct(">i").pack
_DOUBLE = struct.Struct(">id").pack
_INT = struct.Struct(">ii").pack


def observation(
    time_ns: int,
    series_id: int,
    quality: int,
    value: float | None,
    gateway_offset_ms: float,
    uncertainty_ms: float,
    device_offset_ms: float | None,
    clock_segment_id: int | None,
    comparator: str = "",
    text: str | None = None,
) -> bytes:
    """One row of `observation`; times in nanoseconds since 1970 (kept to the microsecond)."""
    us = time_ns // 1000 - _EPOCH_2000_US
    if value is None or comparator:
        return b"".join(
            (
                _HEAD(10, 8, us, 4, series_id, 2, quality, 8, gateway_offset_ms, 4, uncertainty_ms),
                _double(value),
                _double(device_offset_ms),
                _int(clock_segment_id),
                _text(comparator or None),
                _text(text),
            )
        )
    if device_offset_ms is None:
        if clock_segment_id is None:
            return _PLAIN[False, False](
                10, 8, us, 4, series_id, 2, quality, 8, gateway_offset_ms, 4, uncertainty_ms,
                8, value, _NULL, _NULL, _NULL, _NULL,
            )  # fmt: skip
        return _PLAIN[False, True](
            10, 8, us, 4, series_id, 2, quality, 8, gateway_offset_ms, 4, uncertainty_ms,
            8, value, _NULL, 4, clock_segment_id, _NULL, _NULL,
        )  # fmt: skip
    if clock_segment_id is None:
        return _PLAIN[True, False](
            10, 8, us, 4, series_id, 2, quality, 8, gateway_offset_ms, 4, uncertainty_ms,
            8, value, 8, device_offset_ms, _NULL, _NULL, _NULL,
        )  # fmt: skip
    return _PLAIN[True, True](
        10, 8, us, 4, series_id, 2, quality, 8, gateway_offset_ms, 4, uncertainty_ms,
        8, value, 8, device_offset_ms, 4, clock_segment_id, _NULL, _NULL,
    )  # fmt: skip


def waveform(
    start_ns: int,
    stream_id: int,
    n: int,
    first_sample: int,
    codec: int,
    quality: bytes,
    samples: bytes,
    gateway_offset_ms: float,
    uncertainty_ms: float,
    device_offset_ms: float | None,
    clock_segment_id: int | None,
) -> bytes:
    """One row of `waveform`; `samples` as the codec made them."""
    us = start_ns // 1000 - _EPOCH_2000_US
    return b"".join(
        (
            _WAVEFORM_HEAD(
                11, 8, us, 4, stream_id, 4, n, 8, first_sample, 2, codec, 8, gateway_offset_ms, 4, uncertainty_ms
            ),
            _double(device_offset_ms),
            _int(clock_segment_id),
            _LENGTH(len(quality)),
            quality,
            _LENGTH(len(samples)),
            samples,
        )
    )


def stream(rows: Sequence[bytes]) -> bytes:
    """The whole COPY stream of rows."""
    return b"".join((SIGNATURE, *rows, TRAILER))


def _double(value: float | None) -> bytes:
    return _LENGTH(_NULL) if value is None else _DOUBLE(8, value)


def _int(value: int | None) -> bytes:
    return _LENGTH(_NULL) if value is None else _INT(4, value)


def _text(value: str | None) -> bytes:
    if value is None:
        return _LENGTH(_NULL)
    raw = value.encode()
    return _LENGTH(len(raw)) + raw
