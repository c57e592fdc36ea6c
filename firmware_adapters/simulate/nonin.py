"""A Nonin oximeter as seen from the far end of its serial line: a recorded plethysmogram and given readings in data format 7.

Sans-I/O and without the decoder: the layout is written here again, from the maker's table of the format, so that an error in one
of the two shows. `python -m firmware_adapters.simulate.nonin RECORD PORT` plays the PLETH of a WFDB record on a pseudo-terminal.
"""

import argparse
import csv
import math
import sys
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from firmware_adapters.simulate.faults import Switches
from firmware_adapters.simulate.pty import FAULTS, PtyPlayer, play
from protocols.ecgfile.wfdb import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE_HZ = 75
BYTES_PER_FRAME = 5
FRAMES_PER_PACKET = 25
FIRMWARE_REVISION = 48

_NO_RATE, _NO_SATURATION = 511, 127
_HOLD_PACKETS = 30  # display values outlive the finger by 10 s
_PULSE_FRAMES = 12  # 160 ms
_GREEN = 0b010
_FINGER_OFF = 0x08


@dataclass(frozen=True, slots=True)
class Reading:
    """SpO2 in percent and pulse rate in 1/min from `from_s` on; None: the oximeter has none (its sensor alarm is set)."""

    from_s: float
    spo2: int | None
    pulse: int | None


class Oximeter:
    """One oximeter with a recording on its finger. It talks without being asked, a frame at each `next_packet`.

    `pleth`: shape (n,), 0 to 65535 at 75 Hz, NaN where there is no finger. Behind its end the oximeter stays silent for
    `loop_pause_samples` and begins again, as if it had been out of range; None: it ends.
    """

    def __init__(
        self, pleth: "NDArray[np.float64]", readings: Sequence[Reading], *, loop_pause_samples: int | None = None
    ) -> None:
        """ValueError for another shape, or readings out of order or out of the format's range."""
        if pleth.ndim != 1 or not len(pleth) or not readings or readings[0].from_s > 0:
            msg = f"recording of shape {pleth.shape} with {len(readings)} readings: expected (samples,) and one from 0 s on"
            raise ValueError(msg)
        if any(b.from_s <= a.from_s for a, b in pairwise(readings)):
            msg = "readings: expected rising times"
            raise ValueError(msg)
        for r in readings:
            if not 0 <= (r.pulse or 0) < _NO_RATE or not 0 <= (r.spo2 or 0) < _NO_SATURATION:
                msg = f"reading {r}: expected SpO2 up to {_NO_SATURATION - 1} and a pulse up to {_NO_RATE - 1}"
                raise ValueError(msg)
        self.finger = ~np.isnan(pleth)
        self.pleth = np.clip(np.nan_to_num(np.rint(pleth)), 0, 65535).astype(np.int64)
        self._readings, self._starts = tuple(readings), [r.from_s for r in readings]
        self._loop_pause = loop_pause_samples
        self._shown = (_NO_SATURATION, _NO_RATE, -_HOLD_PACKETS)
        self._next_beat_s = 0.0
        self._pulse_left = 0
        self._numbers = bytes(FRAMES_PER_PACKET)
        self.streaming = True
        self.lead_off = False
        self.sample = 0

    def command(self, data: bytes) -> bytes:
        """An OEM III takes its format from its wiring: whatever is sent goes unanswered."""
        del data
        return b""

    def reading(self, at_s: float) -> Reading:
        """What the oximeter knows at a moment of the recording."""
        return self._readings[bisect_right(self._starts, at_s) - 1]

    def next_packet(self) -> bytes:
        """Measure one sample; give its frame, or nothing during the pause of a loop or behind the end."""
        number, self.sample = self.sample, self.sample + 1
        place, length = number, len(self.pleth)
        if self._loop_pause is not None:
            place = number % (length + self._loop_pause)
        if place >= length:
            return b""
        slot, at_s = number % FRAMES_PER_PACKET, place / RATE_HZ
        reading = self.reading(at_s)
        off = self.lead_off or not self.finger[place] or (reading.spo2 is None and reading.pulse is None)
        if slot == 0:
            self._numbers = self._packet_numbers(number // FRAMES_PER_PACKET, reading, off=off)
        if place == 0:
            self._next_beat_s = 0.0
        status = 0x80 | (slot == 0) | (_FINGER_OFF if off else self._pulse(at_s, reading.pulse))
        body = bytes((status, *divmod(int(self.pleth[place]), 256), self._numbers[slot]))
        return body + bytes((sum(body) % 256,))

    def _pulse(self, at_s: float, rate: int | None) -> int:
        if rate and at_s >= self._next_beat_s:
            self._next_beat_s, self._pulse_left = at_s + 60 / rate, _PULSE_FRAMES
        self._pulse_left = max(0, self._pulse_left - 1)
        return _GREEN if self._pulse_left else 0

    def _packet_numbers(self, packet: int, reading: Reading, *, off: bool) -> bytes:
        saturation = _NO_SATURATION if off or reading.spo2 is None else reading.spo2
        rate = _NO_RATE if off or reading.pulse is None else reading.pulse
        if not off:
            self._shown = (saturation, rate, packet)
        held = packet - self._shown[2] < _HOLD_PACKETS
        shown_spo2, shown_rate = self._shown[:2] if held else (_NO_SATURATION, _NO_RATE)
        timer = packet % 16384
        smartpoint = 0 if off else 0x20
        table = {
            1: rate // 128, 2: rate % 128, 3: saturation, 4: FIRMWARE_REVISION, 6: timer // 128, 7: timer % 128,
            8: smartpoint, 9: shown_spo2, 10: saturation, 11: saturation, 14: rate // 128, 15: rate % 128,
            16: saturation, 17: shown_spo2, 20: shown_rate // 128, 21: shown_rate % 128,
            22: shown_rate // 128, 23: shown_rate % 128,
        }  # fmt: skip
        return bytes(table.get(frame, 0) for frame in range(1, FRAMES_PER_PACKET + 1))


def pleth_of(path: Path, *, start_s: float = 0.0, name: str = "PLETH") -> "NDArray[np.float64]":
    """A record's plethysmogram at 75 Hz, its 1st to 99th percentile spread over the middle of 16 bit; ValueError: it has none."""
    record = read_record(path)
    names = [s.description for s in record.header.signals]
    if name not in names:
        msg = f"record {path}: expected a signal {name}, found {', '.join(names)}"
        raise ValueError(msg)
    raw = record.physical()[names.index(name)]
    n = math.floor(len(raw) / record.fs_hz * RATE_HZ)
    sampled_s = np.arange(len(raw), dtype=np.float64) / record.fs_hz
    pleth = np.empty(n, np.float64)
    pleth[:] = np.interp(np.arange(n, dtype=np.float64) / RATE_HZ, sampled_s, raw)
    low, high = (float(v) for v in np.nanpercentile(pleth, (1, 99)))
    spread = 32768.0 + (pleth - (low + high) / 2) * (40000.0 / max(high - low, 1e-9))
    return spread[round(start_s * RATE_HZ) :]


def readings_of(path: Path) -> list[Reading]:
    """Read a CSV file with the columns from_s, spo2, pulse; an empty cell is a missing value."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Reading(
                float(row["from_s"]),
                int(row["spo2"]) if row["spo2"] else None,
                int(row["pulse"]) if row["pulse"] else None,
            )
            for row in csv.DictReader(file)
        ]


def main() -> int:
    """Play until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m firmware_adapters.simulate.nonin", description=__doc__)
    parser.add_argument("record", type=Path, help="WFDB record, without its extension")
    parser.add_argument("port", type=Path, help="where the link to the pseudo-terminal is put")
    parser.add_argument(
        "--readings", type=Path, default=None, help="CSV with from_s, spo2, pulse (seconds of the record)"
    )
    parser.add_argument("--spo2", type=int, default=97, help="reading where no file is given")
    parser.add_argument("--pulse", type=int, default=75, help="reading where no file is given")
    parser.add_argument("--start-s", type=float, default=0.0, help="begin so many seconds into the record")
    parser.add_argument("--lead-in-s", type=float, default=0.0, help="so many seconds without a finger in front")
    parser.add_argument("--then-off-s", type=float, default=0.0, help="so many seconds without a finger behind it")
    parser.add_argument(
        "--loop-pause-s", type=float, default=None, help="begin again after a silence of so many seconds"
    )
    parser.add_argument("--wait-for", type=Path, default=None, help="hold the oximeter silent until this file exists")
    parser.add_argument("--speed", type=float, default=1.0)
    given = parser.parse_args()
    readings = [Reading(0, given.spo2, given.pulse)] if given.readings is None else readings_of(given.readings)
    shifted = [Reading(r.from_s - given.start_s, r.spo2, r.pulse) for r in readings]
    current = max((i for i, r in enumerate(shifted) if r.from_s <= 0), default=0)
    later = [Reading(max(r.from_s, 0) + given.lead_in_s, r.spo2, r.pulse) for r in shifted[current:]]
    if given.lead_in_s:
        later.insert(0, Reading(0, None, None))
    pause = None if given.loop_pause_s is None else round(given.loop_pause_s * RATE_HZ)
    ends = (np.full(round(s * RATE_HZ), np.nan) for s in (given.lead_in_s, given.then_off_s))
    pleth = pleth_of(given.record, start_s=given.start_s)
    board = Oximeter(np.concatenate((next(ends), pleth, next(ends))), later, loop_pause_samples=pause)
    switches = Switches(FAULTS)
    player = PtyPlayer(board, given.port, rate_hz=RATE_HZ, speed=given.speed, faults=switches)
    play(player, switches, given.wait_for)
    return 0


if __name__ == "__main__":
    sys.exit(main())
