"""What a simulated bedside monitor has to measure: the signals of a WFDB record and the numbers of a table, second by second."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from protocols.ecgfile.wfdb import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

RAIL = 32767

_UV_PER: "Mapping[str, float]" = MappingProxyType({"mV": 1000.0, "uV": 1.0})
_OTHERS = MappingProxyType({"PLETH": ("oxi", "MDC_PULS_OXIM_PLETH", "1")})


@dataclass(frozen=True, slots=True)
class Signals:
    """Signals that one part of the monitor measures together. `counts`: int16, shape (signals, n); a step is `gains` of `unit`."""

    part: str
    codes: tuple[str, ...]
    gains: tuple[float, ...]
    unit: str
    counts: "NDArray[np.int16]"


@dataclass(frozen=True, slots=True)
class Number:
    """A number that a monitor shows. `part`: what measures it."""

    part: str
    code: str
    unit: str


NUMBERS: "Mapping[str, Number]" = MappingProxyType(
    {
        "HR": Number("ecg", "MDC_ECG_HEART_RATE", "/min"),
        "PULSE": Number("oxi", "MDC_PULS_OXIM_PULS_RATE", "/min"),
        "SpO2": Number("oxi", "MDC_PULS_OXIM_SAT_O2", "%"),
        "RESP": Number("resp", "MDC_TTHOR_RESP_RATE", "/min"),
    }
)


@dataclass(frozen=True, slots=True)
class Played:
    """What a monitor plays: `seconds` whole ones, of each a stretch of `signals` and a row of `numbers` (by names of NUMBERS)."""

    fs_hz: int
    seconds: int
    signals: tuple[Signals, ...] = ()
    numbers: Sequence[Mapping[str, float]] = ()


def numbers_of(table: Path, *, start_s: int = 0) -> list[dict[str, float]]:
    """A CSV file with a row a second and columns of NUMBERS; an empty cell is a value that is missing and not sent."""
    with table.open(encoding="ascii", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: float(row[name]) for name in NUMBERS if row.get(name)} for row in rows[start_s:]]


def from_record(path: Path, *, start_s: int = 0, table: Path | None = None) -> Played:
    """A WFDB record's ECG leads and plethysmogram from a second on, with the numbers of `table`; ValueError for an odd rate."""
    record = read_record(path)
    fs_hz = round(record.fs_hz)
    seconds = record.raw.shape[1] // fs_hz - start_s
    if fs_hz != record.fs_hz or seconds < 1:
        msg = f"{path}: {record.fs_hz} Hz from second {start_s} on: expected whole samples a second, and one second or more"
        raise ValueError(msg)
    physical = np.nan_to_num(record.physical())[:, start_s * fs_hz : (start_s + seconds) * fs_hz]
    codes: list[str] = []
    gains: list[float] = []
    rows: list[NDArray[np.int16]] = []
    signals: list[Signals] = []
    for signal, row in zip(record.header.signals, physical, strict=True):
        counts = np.clip(np.rint(row * signal.gain), -RAIL, RAIL).astype(np.int16)
        if signal.unit in _UV_PER:
            codes.append(f"MDC_ECG_ELEC_POTL_{signal.description.upper()}")
            gains.append(_UV_PER[signal.unit] / signal.gain)
            rows.append(counts)
        elif signal.description in _OTHERS:
            part, code, unit = _OTHERS[signal.description]
            signals.append(Signals(part, (code,), (1 / signal.gain,), unit, counts[None, :]))
    if rows:
        signals.insert(0, Signals("ecg", tuple(codes), tuple(gains), "uV", np.stack(rows)))
    return Played(fs_hz, seconds, tuple(signals), numbers_of(table, start_s=start_s) if table else ())


def from_table(table: Path, *, start_s: int = 0) -> Played:
    """Numbers alone; ValueError for a table that ends before `start_s`."""
    numbers = numbers_of(table, start_s=start_s)
    if not numbers:
        msg = f"{table}: expected rows behind second {start_s}"
        raise ValueError(msg)
    return Played(1, len(numbers), (), numbers)
