"""WFDB records and annotations (PhysioNet's header(5), signal(5) and annot(5)): formats 212 and 16, MIT annotations.

Bytes in, arrays out; only `read_record` and `read_annotations` open files. Multi-segment records, several samples a frame and
the other storage formats are refused with a DecodeError, not guessed at.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from protocols.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    Raw: TypeAlias = NDArray[np.int32]

DEFAULT_FS_HZ = 250.0
DEFAULT_GAIN = 200.0  # header(5): a gain of 0 or none means 200 units a millivolt, uncalibrated
MISSING = {"212": -2048, "16": -32768}

_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_GAIN = re.compile(r"([-+.\deE]+?)(?:\((-?\d+)\))?(?:/(\S+))?")
_FS = re.compile(r"([-+.\deE]+)(?:/.*)?")

# annot(5): the type codes that stand for something else than an annotation.
_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63
_SYMBOLS = {
    1: "N", 2: "L", 3: "R", 4: "a", 5: "V", 6: "F", 7: "J", 8: "A", 9: "S", 10: "E", 11: "j", 12: "/", 13: "Q", 14: "~",
    16: "|", 18: "s", 19: "T", 20: "*", 21: "D", 22: '"', 23: "=", 24: "p", 25: "B", 26: "^", 27: "t", 28: "+", 29: "u",
    30: "?", 31: "!", 32: "[", 33: "]", 34: "e", 35: "n", 36: "@", 37: "x", 38: "f", 39: "(", 40: ")", 41: "r",
}  # fmt: skip
_CODES = {symbol: code for code, symbol in _SYMBOLS.items()}


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal line of a header. `physical = (raw - baseline) / gain`, in `unit`."""

    file: str
    storage: str
    byte_offset: int
    skew: int
    gain: float
    baseline: int
    unit: str
    adc_bits: int
    adc_zero: int
    initial: int | None
    checksum: int | None
    description: str


@dataclass(frozen=True, slots=True)
class Header:
    """A record's header file. `n_samples` is None where the header leaves it to the size of the signal file."""

    name: str
    fs_hz: float
    n_samples: int | None
    base_time: str
    signals: tuple[Signal, ...]
    comments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WfdbRecord:
    """A decoded record. `raw`: int32, shape (signals, n), in units of the analogue-to-digital converter."""

    header: Header
    raw: "Raw"

    @property
    def fs_hz(self) -> float:
        """Samples a second of each signal."""
        return self.header.fs_hz

    def physical(self) -> "NDArray[np.float64]":
        """Samples in each signal's unit, shape (signals, n); NaN where the file says that there is none."""
        values = np.empty(self.raw.shape, np.float64)
        for row, signal in enumerate(self.header.signals):
            values[row] = (self.raw[row] - signal.baseline) / signal.gain
            values[row, self.raw[row] == MISSING[signal.storage]] = np.nan
        return values


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation: `sample` counts from the record's first, `symbol` is the display code of ecgcodes.h."""

    sample: int
    symbol: str
    subtype: int = 0
    channel: int = 0
    number: int = 0
    aux: str = ""


def parse_header(data: bytes, name: str = "header") -> Header:
    """Read a .hea file. DecodeError names the line that is wrong."""
    lines = data.decode("latin-1").splitlines()
    fields = [(n, line.split()) for n, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    comments = tuple(line[1:].strip() for line in lines if line.startswith("#"))
    if not fields:
        raise DecodeError(name, "a record line", "an empty header", data)
    line_number, record = fields[0]
    where = f"{name} line {line_number}"
    if len(record) < 2:
        raise DecodeError(where, "record name and number of signals", " ".join(record), data)
    if "/" in record[0]:
        raise DecodeError(where, "a single-segment record", record[0], data)
    count = _integer(record[1], f"{where} number of signals")
    fs = _FS.fullmatch(record[2]) if len(record) > 2 else None
    if len(record) > 2 and fs is None:
        raise DecodeError(where, "a sampling frequency", record[2], data)
    fs_hz = _number(fs[1], f"{where} sampling frequency") if fs else DEFAULT_FS_HZ
    if not fs_hz > 0:
        raise DecodeError(where, "a sampling frequency above 0", str(fs_hz), data)
    if len(fields) - 1 < count or count < 0:
        raise DecodeError(name, f"{count} signal lines", f"{len(fields) - 1}", data)
    return Header(
        name=record[0],
        fs_hz=fs_hz,
        n_samples=(_integer(record[3], f"{where} number of samples") or None) if len(record) > 3 else None,
        base_time=" ".join(record[4:]),
        signals=tuple(_signal(part, f"{name} line {n}") for n, part in fields[1 : count + 1]),
        comments=comments,
    )


def _signal(part: list[str], where: str) -> Signal:
    storage = _FORMAT.fullmatch(part[1]) if len(part) > 1 else None
    if storage is None or storage[1] not in MISSING:
        raise DecodeError(where, f"a file name and one of the formats {', '.join(MISSING)}", " ".join(part[:2]))
    if storage[2] not in (None, "1"):
        raise DecodeError(where, "one sample a frame", part[1])
    gain = _GAIN.fullmatch(part[2]) if len(part) > 2 else None
    if len(part) > 2 and gain is None:
        raise DecodeError(where, "a gain such as 200(1024)/mV", part[2])
    numbers = [_integer(text, f"{where} field {n}") for n, text in enumerate(part[3:8], 4)]
    bits, zero, initial, checksum, _block = [*numbers, *[None] * (5 - len(numbers))]
    return Signal(
        file=part[0],
        storage=storage[1],
        byte_offset=int(storage[4] or 0),
        skew=int(storage[3] or 0),
        gain=(_number(gain[1], f"{where} gain") if gain else 0.0) or DEFAULT_GAIN,
        baseline=int(gain[2]) if gain and gain[2] else (zero or 0),
        unit=(gain[3] if gain else None) or "mV",
        adc_bits=bits or 0,
        adc_zero=zero or 0,
        initial=initial,
        checksum=checksum,
        description=" ".join(part[8:]),
    )


def _integer(text: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DecodeError(where, "a whole number", text) from None


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DecodeError(where, "a number", text) from None


def decode_signals(header: Header, files: "Mapping[str, bytes]") -> WfdbRecord:
    """Turn the signal files (name -> content) of a record into samples; skew is taken out, checksums are verified.

    A trailing part of a frame is ignored as WFDB does. DecodeError: a file is missing or too short, or its first sample or
    its checksum is not what the header says.
    """
    columns: dict[int, Raw] = {}
    for name in dict.fromkeys(s.file for s in header.signals):
        rows = [i for i, s in enumerate(header.signals) if s.file == name]
        if name not in files:
            raise DecodeError(f"record {header.name}", f"signal file {name}", "no such file")
        frames = _frames(header.signals[rows[0]], files[name], len(rows))
        for column, row in enumerate(rows):
            columns[row] = frames[:, column]
    available = min((len(c) for c in columns.values()), default=0)
    n = available if header.n_samples is None else header.n_samples
    if available < n:
        raise DecodeError(f"record {header.name}", f"{n} samples a signal", f"{available}")
    raw = np.empty((len(header.signals), n), np.int32)
    for row, signal in enumerate(header.signals):
        column = columns[row]
        _verify(header, row, column[:n])
        shifted = column[signal.skew : signal.skew + n]
        raw[row, : len(shifted)] = shifted
        raw[row, len(shifted) :] = MISSING[signal.storage]
    return WfdbRecord(header, raw)


def _frames(signal: Signal, data: bytes, width: int) -> "Raw":
    body = data[signal.byte_offset :]
    if signal.storage == "16":
        values = np.frombuffer(body, "<i2", count=len(body) // 2).astype(np.int32)
    else:
        values = _unpack_212(body)
    whole = len(values) // width * width
    return values[:whole].reshape(-1, width)


def _unpack_212(body: bytes) -> "Raw":
    """signal(5): two 12-bit two's-complement samples in three bytes; an odd last sample takes two."""
    padded = np.frombuffer(body + b"\0" * (-len(body) % 3), np.uint8).reshape(-1, 3).astype(np.int32)
    values = np.empty(2 * len(padded), np.int32)
    values[0::2] = padded[:, 0] | (padded[:, 1] & 0x0F) << 8
    values[1::2] = padded[:, 2] | (padded[:, 1] & 0xF0) << 4
    values[values > 0x7FF] -= 0x1000
    return values[: len(body) * 2 // 3]


def _verify(header: Header, row: int, column: "Raw") -> None:
    signal = header.signals[row]
    where = f"record {header.name} signal {row} ({signal.description or signal.file})"
    if signal.initial is not None and len(column) and column[0] != signal.initial:
        raise DecodeError(where, f"a first sample of {signal.initial}", f"{column[0]}")
    if signal.checksum is not None:
        found = int(column.sum(dtype=np.int64)) & 0xFFFF
        if found != signal.checksum & 0xFFFF:
            raise DecodeError(where, f"checksum {signal.checksum & 0xFFFF}", f"{found}")


def decode_annotations(data: bytes, name: str = "annotations") -> tuple[Annotation, ...]:
    """Read an MIT-format annotation file. DecodeError: it ends inside a field or without the closing zero."""
    words = np.frombuffer(data, "<u2", count=len(data) // 2).tolist()
    found: list[Annotation] = []
    sample, i, channel, number = 0, 0, 0, 0
    while i < len(words):
        code, delta = words[i] >> 10, words[i] & 0x3FF
        i += 1
        if code == 0 and delta == 0:
            return tuple(found)
        if code == _SKIP:
            if i + 2 > len(words):
                break
            skip = words[i] << 16 | words[i + 1]
            sample += skip - (1 << 32) if skip >> 31 else skip
            i += 2
            continue
        sample += delta
        subtype, aux = 0, ""
        while i < len(words) and words[i] >> 10 in (_NUM, _SUB, _CHN, _AUX):
            modifier, value = words[i] >> 10, words[i] & 0x3FF
            i += 1
            if modifier == _AUX:
                end = 2 * i + value
                if end > len(data):
                    raise DecodeError(f"{name} byte {2 * i}", f"{value} bytes of text", f"{len(data) - 2 * i}")
                aux = data[2 * i : end].decode("latin-1").rstrip("\0")
                i += (value + 1) // 2
            elif modifier == _NUM:
                number = _signed_byte(value)
            elif modifier == _CHN:
                channel = value & 0xFF
            else:
                subtype = _signed_byte(value)
        if code != 0:  # NOTQRS: a place holder behind the definitions
            found.append(Annotation(sample, _SYMBOLS.get(code, f"[{code}]"), subtype, channel, number, aux))
    raise DecodeError(f"{name} byte {len(data)}", "a closing zero", "the end of the file")


def encode_annotations(annotations: "Iterable[Annotation]") -> bytes:
    """Write an MIT-format annotation file, as the public programs (bxb, epicmp, rdann) read it.

    ValueError: a symbol that the format does not have, samples that do not ascend, a text longer than 255 bytes.
    """
    words: list[int] = []
    at, channel, number = 0, 0, 0
    for one in annotations:
        code, delta = _CODES.get(one.symbol), one.sample - at
        text = one.aux.encode("latin-1")
        if code is None or delta < 0 or len(text) > 0xFF:
            msg = f"annotation {one} behind sample {at}: expected a symbol of annot(5), a later sample and at most 255 bytes of text"
            raise ValueError(msg)
        if delta > 0x3FF:
            words += [_SKIP << 10, delta >> 16, delta & 0xFFFF]
            delta = 0
        words.append(code << 10 | delta)
        at = one.sample
        if one.subtype:
            words.append(_SUB << 10 | one.subtype & 0xFF)
        if one.channel != channel:
            words.append(_CHN << 10 | one.channel & 0xFF)
            channel = one.channel
        if one.number != number:
            words.append(_NUM << 10 | one.number & 0xFF)
            number = one.number
        if text:
            padded = text + b"\0" * (len(text) % 2)
            words.append(_AUX << 10 | len(text))
            words += np.frombuffer(padded, "<u2").tolist()
    return np.array([*words, 0], "<u2").tobytes()


def _signed_byte(value: int) -> int:
    return (value & 0x7F) - (value & 0x80)


def read_record(path: str | Path) -> WfdbRecord:
    """Read `path` (with or without .hea) and the signal files beside it. DecodeError as above; OSError as the system says."""
    header_path = Path(path).with_suffix(".hea")
    header = parse_header(header_path.read_bytes(), header_path.name)
    names = {s.file for s in header.signals}
    beside = {name: header_path.parent / Path(name).name for name in names}
    return decode_signals(header, {name: place.read_bytes() for name, place in beside.items() if place.is_file()})


def read_annotations(path: str | Path, annotator: str = "atr") -> tuple[Annotation, ...]:
    """Read the annotation file `path.annotator`."""
    place = Path(path).with_suffix(f".{annotator}")
    return decode_annotations(place.read_bytes(), place.name)
