"""A Polar H10 on the chest of a recording: takes the commands of its control point and notifies frames, rates and its battery.

The layouts are written here again, from the maker's document, so that an error in the decoder or here shows. Acceleration goes as
type 1, three numbers of 16 bits in thousandths of g; that this strap chooses that type is not verified. The radio is
`firmware_adapters.simulate.bluez`; faults are switches that a test or the demo turns.
"""

import asyncio
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from firmware_adapters.simulate.bluez import Bluez, Characteristic, Peripheral
from firmware_adapters.simulate.polar_motion import TURNS, Accelerometer
from protocols.ecgfile.wfdb import read_annotations, read_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

RATE_HZ = 130
FRAME_SAMPLES = 73  # what fits in a notification at an MTU of 232
UNSET_CLOCK_NS = 599_616_000_000_000_000  # 2019-01-01, counted from 2000
BORN_CLOCK_NS = 946_684_800_000_000_000  # 2000-01-01 in Unix time

HEART_RATE, BATTERY = "00002a37-0000-1000-8000-00805f9b34fb", "00002a19-0000-1000-8000-00805f9b34fb"
CONTROL, DATA = "fb005c81-02e7-f387-1cad-8acd2d8df0c8", "fb005c82-02e7-f387-1cad-8acd2d8df0c8"

_NS_PER_S = 1_000_000_000
_RATE_EVERY_S = 1.0
_PAUSE_FRAMES = 5
_UV_PER_MV = 1000.0
_START_ECG = bytes.fromhex("02 00 00 01 82 00 01 01 0E 00")
_ECG_OFFERED = bytes.fromhex("00 01 82 00 01 01 0E 00")
_OK, _UNKNOWN, _NOT_SUPPORTED, _PARAMETER, _ALREADY = 0, 1, 3, 5, 6
_ACCELERATION, _THREE_OF_16_BITS = 2, b"\1"
_BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")  # the beats among PhysioNet's annotation codes


@dataclass(frozen=True, slots=True)
class Chest:
    """What a strap lies on. `microvolt`: whole numbers at 130 Hz, shape (n,); `beats`: sample numbers of R waves.

    `away`: first sample and end (exclusive) of stretches, whole frames each, in which the strap is out of reach. `turns`: seconds into
    the recording, and how the patient lies from then on.
    """

    microvolt: "NDArray[np.int32]"
    beats: tuple[int, ...] = ()
    away: tuple[tuple[int, int], ...] = ()
    turns: "Sequence[tuple[float, str]]" = TURNS


def from_records(paths: "Sequence[Path]", *, start_s: float = 0.0) -> Chest:
    """Several records one behind the other, the first from `start_s` on; between them the strap is out of reach, so that none is glued."""
    pieces, beats, away = list["NDArray[np.int32]"](), list[int](), list[tuple[int, int]]()
    n, pause = 0, _PAUSE_FRAMES * FRAME_SAMPLES
    for i, path in enumerate(paths):
        one = from_record(path, start_s=0.0 if i else start_s)
        whole = len(one.microvolt) // FRAME_SAMPLES * FRAME_SAMPLES
        if i:
            pieces.append(np.zeros(pause, np.int32))
            away.append((n, n + pause))
            n += pause
        pieces.append(one.microvolt[:whole])
        beats += [n + beat for beat in one.beats if beat < whole]
        n += whole
    return Chest(np.concatenate(pieces), tuple(beats), tuple(away))


def from_record(path: "Path", *, lead: int = 0, start_s: float = 0.0) -> Chest:
    """A lead of a WFDB record at 130 Hz, with the beats of its annotations where it has some."""
    record = read_record(path)
    values = np.nan_to_num(record.physical()[lead] * _UV_PER_MV)
    # a mean over the new sampling interval keeps what is beyond 65 Hz from folding back
    width = max(1, round(record.fs_hz / RATE_HZ))
    smooth = np.convolve(values, np.full(width, 1 / width), "same")
    n = int((len(values) / record.fs_hz - start_s) * RATE_HZ)
    at_s = start_s + np.arange(n) / RATE_HZ
    microvolt = np.rint(np.interp(at_s, np.arange(len(values)) / record.fs_hz, smooth)).astype(np.int32)
    annotations = read_annotations(path) if path.with_suffix(".atr").is_file() else ()
    beats = tuple(
        round((a.sample / record.fs_hz - start_s) * RATE_HZ)
        for a in annotations
        if a.symbol in _BEATS and a.sample / record.fs_hz >= start_s
    )
    return Chest(microvolt, beats)


@dataclass(slots=True)
class Faults:
    """What can be made to go wrong.

    `lose`: so many frames of ECG are measured and never arrive. `garbage`: values to be sent in between. `silent`: measures and sends nothing.
    `lead_off`: the strap has slipped; what it measures is no heart.
    """

    lose: int = 0
    garbage: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    silent: bool = False
    lead_off: bool = False


class Strap:
    """One strap. `clock_ns`: its clock, nanoseconds since 2000; `drift`: how much faster it runs than ours, in parts of one."""

    def __init__(self, chest: Chest, address: str, *, serial: str = "5C1A2B3C", drift: float = 0.0) -> None:
        """Measures from the moment it is played, and for ever; at the end of the recording it is out of reach for 3 s."""
        self.chest, self.faults, self.battery = chest, Faults(), 87
        self.clock_ns = time.time_ns() - BORN_CLOCK_NS
        self.sample = 0  # how many samples it has measured
        self.lost_frames: list[tuple[int, int]] = []  # sample numbers of frames that went nowhere, end exclusive
        self.sent_frames: list[tuple[int, int]] = []
        self._streaming = False
        self._accelerometer = Accelerometer(chest.turns, RATE_HZ)
        self._answers: list[bytes] = []
        self._told_battery = self.battery
        self._rate_s = 0.0
        self._period_ns = _NS_PER_S / RATE_HZ * (1 - drift)
        self._clock_part_ns = 0.0
        # a loop is never glued: a pause of whole frames, as if the strap had been out of reach
        frames = -(-len(chest.microvolt) // FRAME_SAMPLES) + _PAUSE_FRAMES
        self._cycle = frames * FRAME_SAMPLES
        self.peripheral = Peripheral(address, f"Polar H10 {serial}", self._services(serial))
        self.peripheral.when_connected = self._connected
        self.peripheral.when_disconnected = self._disconnected

    def _services(self, serial: str) -> dict[str, list[Characteristic]]:
        def text(number: int, value: str) -> Characteristic:
            return Characteristic(_uuid(number), ("read",), read=value.encode)

        return {
            _uuid(0x180A): [
                text(0x2A29, "Polar Electro Oy"),
                text(0x2A24, "H10"),
                text(0x2A25, serial),
                text(0x2A26, "5.0.0"),
                Characteristic(_uuid(0x2A23), ("read",), read=lambda: bytes.fromhex("3C2B1AFEFF9E9EA0")),
            ],
            _uuid(0x180F): [Characteristic(BATTERY, ("read", "notify"), read=lambda: bytes([self.battery]))],
            _uuid(0x180D): [Characteristic(HEART_RATE, ("notify",))],
            "fb005c80-02e7-f387-1cad-8acd2d8df0c8": [
                Characteristic(
                    CONTROL, ("read", "write", "indicate"), read=lambda: bytes.fromhex("0F0500"), write=self._command
                ),
                Characteristic(DATA, ("notify",)),
            ],
        }

    def _connected(self) -> None:
        self._rate_s = 0.0

    def _disconnected(self) -> None:
        self._streaming = False
        self._accelerometer.stop()
        self._answers.clear()

    def _command(self, data: bytes) -> None:
        command, kind = data[0], data[1] if len(data) > 1 else 0xFF
        offered = b""
        if command == 1 and kind == 0:
            status, offered = _OK, b"\0" + _ECG_OFFERED
        elif command == 2 and kind == 0:
            status = _PARAMETER if data != _START_ECG else _ALREADY if self._streaming else _OK
            offered = b"\0" if status == _OK else b""
            self._streaming = self._streaming or status == _OK
        elif command == 3 and kind == 0:
            status, self._streaming = _OK, False
        elif command in (1, 2, 3) and kind == _ACCELERATION:
            status, offered = self._command_motion(command, data[2:])
        else:
            status = _NOT_SUPPORTED if command in (1, 2, 3) else _UNKNOWN
        self._answers.append(bytes([0xF0, command, kind, status]) + offered)

    def _command_motion(self, command: int, settings: bytes) -> tuple[int, bytes]:
        if command == 1:
            return _OK, b"\0" + self._accelerometer.offered
        if command == 2:
            status = self._accelerometer.start(settings, self.sample)
            return status, b"\0" if status == _OK else b""
        self._accelerometer.stop()
        return _OK, b""

    def pass_over(self, n: int) -> None:
        """Measure `n` samples that go nowhere."""
        self.sample += n
        passed_ns = n * self._period_ns + self._clock_part_ns
        self.clock_ns += int(passed_ns)
        self._clock_part_ns = passed_ns - int(passed_ns)

    def place(self) -> int:
        """Where in the recording the strap is; behind its end while it waits to begin again."""
        return self.sample % self._cycle

    def values(self, first: int, end: int) -> "NDArray[np.int32]":
        """What was measured as samples `first` to `end` (exclusive), which must lie in one turn of the recording."""
        return self.chest.microvolt[first % self._cycle :][: end - first]

    def _measure(self) -> "NDArray[np.int32]":
        """What a frame holds: fewer samples at the end of the recording, none in the pause behind it."""
        place = self.place()
        if any(first <= place < end for first, end in self.chest.away):
            return self.chest.microvolt[:0]
        values = self.chest.microvolt[place:][:FRAME_SAMPLES]
        self.pass_over(len(values))
        return np.zeros_like(values) if self.faults.lead_off else values

    def due(self, passed_s: float) -> list[tuple[str, bytes]]:
        """What is notified when a frame's worth of samples was measured, `passed_s` after the last call."""
        out = [(CONTROL, answer) for answer in self._answers]
        self._answers.clear()
        first = self.sample
        values = self._measure()
        if self._streaming and len(values):
            body = b"".join(int(v).to_bytes(3, "little", signed=True) for v in values)
            frame = b"\0" + self.clock_ns.to_bytes(8, "little") + b"\0" + body
            sent = (first, first + len(values))
            if self.faults.lose:
                self.faults.lose -= 1
                self.lost_frames.append(sent)
            else:
                out.append((DATA, frame))
                self.sent_frames.append(sent)
        self.pass_over(FRAME_SAMPLES - len(values))
        if len(values):
            out += self._moved()
        else:
            self._accelerometer.pass_over(self.sample)
        self._rate_s += passed_s
        if self._rate_s >= _RATE_EVERY_S:
            self._rate_s -= _RATE_EVERY_S
            out.append((HEART_RATE, self._rate()))
        if self.battery != self._told_battery:
            self._told_battery = self.battery
            out.append((BATTERY, bytes([self.battery])))
        out += self.faults.garbage
        self.faults.garbage = []
        return [] if self.faults.silent else out

    def _moved(self) -> list[tuple[str, bytes]]:
        """The accelerometer's frames that are whole, each with the strap's clock at its last sample."""
        out: list[tuple[str, bytes]] = []
        for end, content in self._accelerometer.frames(self.sample, self._cycle):
            at_ns = self.clock_ns - round((self.sample - end) * self._period_ns)
            out.append((DATA, bytes([_ACCELERATION]) + at_ns.to_bytes(8, "little") + _THREE_OF_16_BITS + content))
        return out

    def _rate(self) -> bytes:
        """Rate and RR intervals of the beats of the last second, by the annotations."""
        place = self.place()
        seen = [b for b in self.chest.beats if place - 5 * RATE_HZ < b <= place]
        if len(seen) < 2 or self.faults.lead_off:
            return bytes([0x10, 0])
        per_min = round(60 * RATE_HZ * (len(seen) - 1) / (seen[-1] - seen[0]))
        pairs = [(b - a) * 1024 // RATE_HZ for a, b in pairwise(seen) if b > place - RATE_HZ]
        return bytes([0x10, min(per_min, 255)]) + b"".join(rr.to_bytes(2, "little") for rr in pairs)


async def play(bluez: Bluez, strap: Strap, *, speed: float = 1.0) -> None:
    """Wear the strap until cancelled: it measures in real time, whether or not anybody listens."""
    bluez.add(strap.peripheral)
    frame_s = FRAME_SAMPLES / RATE_HZ / speed
    due_s = time.monotonic() + frame_s
    while True:
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        due_s += frame_s
        for uuid, value in strap.due(frame_s):
            bluez.notify(strap.peripheral, uuid, value)


def _uuid(number: int) -> str:
    return f"0000{number:04x}-0000-1000-8000-00805f9b34fb"
