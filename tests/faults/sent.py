"""What the devices measured, by their own notes: nothing of the product's decoders is used here.

An amplifier's note is its packets one behind the other (33 bytes; eight channels of 24 bits, most significant byte first, behind two
bytes), each with a byte that says whether the line took it; a monitor's its packages, each behind its length.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from protocols.device_package_pb2 import PRESENCE_ENDED, DevicePackage

_PACKET_BYTES = 34
_NEAR = 2  # a packet of which the line took a part may cost its neighbours
_LEADS = 2

Row = tuple[int, ...]
Reading = tuple[str, str, int, float]
"""Source path, code, milliseconds of the device's clock, value."""


@dataclass
class Alarm:
    """An alarm that a monitor raised itself; times in ns of its clock. `ended_ns` None: it has not told its end yet."""

    device: str
    onset_ns: int
    began_ns: int
    ended_ns: int | None = None


@dataclass
class Measured:
    """By source path: running number to sample, and the numbers that a line did not take or that stand beside one; all readings and alarms."""

    samples: dict[str, dict[int, Row]] = field(default_factory=dict[str, dict[int, Row]])
    untaken: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    readings: list[Reading] = field(default_factory=list[Reading])
    alarms: dict[bytes, Alarm] = field(default_factory=dict[bytes, Alarm])  # by id

    def ends(self) -> dict[str, int]:
        """By source path, the number behind the last sample."""
        return {path: max(rows, default=-1) + 1 for path, rows in self.samples.items()}


class Notes:
    """The notes of one ward's devices, read on from where the last look ended."""

    def __init__(self, amplifiers: dict[str, Path], monitors: dict[str, Path]) -> None:
        """Files by name of the device; they need not be there yet."""
        self._amplifiers, self._monitors = amplifiers, monitors
        self._at: dict[Path, int] = {}
        self.all = Measured({f"{name}/ecg": {} for name in amplifiers}, {f"{name}/ecg": set() for name in amplifiers})

    def read(self) -> Measured:
        """Everything that was measured until now."""
        for name, path in self._amplifiers.items():
            rows = self.all.samples[f"{name}/ecg"]
            following = max(rows, default=-1) + 1
            for n, packet in enumerate(self._packets(path), following):
                if not packet[-1]:
                    self.all.untaken[f"{name}/ecg"] |= set(range(n - _NEAR, n + _NEAR + 1))
                rows[n] = tuple(
                    int.from_bytes(packet[2 + 3 * i : 5 + 3 * i], "big", signed=True) for i in range(_LEADS)
                )
        for path in self._monitors.values():
            for package in self._packages(path):
                self._take(package)
        return self.all

    def align(self, name: str, first: int, rows: list[Row]) -> bool:
        """Number an amplifier's samples so that `rows` begin with `first`; False when they are nowhere in what it measured.

        Its counter has eight bits: which turn of it the first sample that anybody heard was in, nobody can know.
        """
        path = f"{name}/ecg"
        measured = [row for _, row in sorted(self.all.samples[path].items())]
        for at in range(first % 256, len(measured) - len(rows) + 1, 256):
            if measured[at : at + len(rows)] == rows:
                self.all.samples[path] = {first - at + i: row for i, row in enumerate(measured)}
                self.all.untaken[path] = {first - at + n for n in self.all.untaken[path]}
                return True
        return False

    def _take(self, package: DevicePackage) -> None:
        for record in package.records:
            if record.HasField("waveform"):
                wave = record.waveform
                counts = np.frombuffer(wave.samples, "<i2").reshape(len(wave.leads), wave.n).T
                rows = self.all.samples.setdefault(record.source, {})
                rows.update({wave.first_sample + i: tuple(row) for i, row in enumerate(counts.tolist())})
            elif record.HasField("observation"):
                at_ms = round(record.times.device_ns / 1e6)
                self.all.readings.append((record.source, record.observation.code, at_ms, record.observation.number))
            elif record.HasField("alarm"):
                alarm = record.alarm
                if alarm.presence == PRESENCE_ENDED:
                    self.all.alarms[alarm.id].ended_ns = alarm.detected_ns
                else:
                    self.all.alarms[alarm.id] = Alarm(package.device, alarm.onset_ns, alarm.detected_ns)

    def _packets(self, path: Path) -> list[bytes]:
        data = self._unread(path)
        whole = len(data) // _PACKET_BYTES * _PACKET_BYTES
        self._at[path] = self._at.get(path, 0) + whole
        return [data[i : i + _PACKET_BYTES] for i in range(0, whole, _PACKET_BYTES)]

    def _packages(self, path: Path) -> list[DevicePackage]:
        data = self._unread(path)
        at, found = 0, list[DevicePackage]()
        while at + 4 <= len(data):
            size = int.from_bytes(data[at : at + 4], "little")
            if at + 4 + size > len(data):
                break
            found.append(DevicePackage.FromString(data[at + 4 : at + 4 + size]))
            at += 4 + size
        self._at[path] = self._at.get(path, 0) + at
        return found

    def _unread(self, path: Path) -> bytes:
        if not path.exists():
            return b""
        with path.open("rb") as file:
            file.seek(self._at.get(path, 0))
            return file.read()
