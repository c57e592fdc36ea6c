"""`python -m firmware_adapters.simulate.monitor DEVICE URL ...`: a bedside monitor that sends one device package a second.

The layout is device_package.proto's (docs/reference/device-package.md), written without its reader; monitor_links.py sends. A recording
that ends begins again behind a hole in the sample numbers, so that no strip joins its two ends. A line `FAULT [SECONDS]` on standard
input makes something go wrong: for so many seconds, or until the same line comes again. While `alarms` lasts, an alarm of its own begins in
one second and ends in the next, each with an id and a time of its own.
"""

import argparse
import os
import queue
import signal
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from firmware_adapters.simulate.monitor_links import DROPPED_S, HttpSender, MqttSender, Sender, tell
from firmware_adapters.simulate.monitor_signals import NUMBERS, RAIL, Played, from_record, from_table
from protocols import device_package_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LASTING = ("pull-lead", "silent", "wrong-clock", "alarms")
FAULTS = (*LASTING, "drop-link", "garbage", "lose")
GARBAGE = b"\xff\xfe no package \x00" * 5
LOOP_PAUSE_S = 5
LOSE_PACKAGES = 4
UNSET_CLOCK_NS = 1_104_537_600 * 10**9  # 2005: a clock whose battery was changed
FOR_EVER = sys.maxsize
APNEA, APNEA_PART = "MDC_EVT_APNEA", "resp"  # the alarm that the monitor raises itself

_NS_PER_S = 10**9
_LOOK_AGAIN_S = 0.05


@dataclass(slots=True)
class Monitor:
    """One monitor, sans-I/O. `began_ns`: its own clock at second 0. `second` counts on; each has its package, or none.

    `until`: the second up to which each lasting fault lasts. `lose` and `garbage`: packages still to be lost, garbage to be sent.
    """

    device: str
    played: Played
    began_ns: int
    serial: str = "SIM-0007"
    loop_pause_s: int = LOOP_PAUSE_S
    second: int = 0
    number: int = 0
    until: dict[str, int] = field(default_factory=dict[str, int])
    lose: int = 0
    garbage: int = 0
    _wrong_since: int = 0
    _alarm: "tuple[bytes, int] | None" = None  # its id, and when it began by the monitor's clock

    def fault(self, name: str, seconds: int | None = None) -> None:
        """Make something go wrong (drop-link is the link's); ValueError for a name that is none of FAULTS."""
        if name in LASTING:
            mended = seconds is None and self.has(name)
            self.until[name] = 0 if mended else FOR_EVER if seconds is None else self.second + seconds
            if name == "wrong-clock":
                self._wrong_since = self.second
        elif name == "lose":
            self.lose = LOSE_PACKAGES if seconds is None else seconds
        elif name == "garbage":
            self.garbage += 1 if seconds is None else seconds
        else:
            msg = f"fault {name!r}: expected one of {', '.join(FAULTS)}"
            raise ValueError(msg)

    def has(self, name: str) -> bool:
        """Whether a lasting fault is there."""
        return self.second < self.until.get(name, 0)

    def clock_ns(self) -> int:
        """Its own clock, at the begin of the second that is measured next."""
        if self.has("wrong-clock"):
            return UNSET_CLOCK_NS + (self.second - self._wrong_since) * _NS_PER_S
        return self.began_ns + self.second * _NS_PER_S

    def next_garbage(self) -> bytes:
        """What is sent beside the package of this second, or nothing."""
        if not self.garbage:
            return b""
        self.garbage -= 1
        return GARBAGE

    def next_package(self) -> pb.DevicePackage | None:
        """Measure a second and give its package; None where nothing is sent: silence, loss, the pause of the loop."""
        place = self.second % (self.played.seconds + self.loop_pause_s)
        package = None
        if place < self.played.seconds and not self.has("silent"):
            self.number += 1
            if self.lose:
                self.lose -= 1
            else:
                package = self._package(place)
        self.second += 1
        return package

    def _package(self, place: int) -> pb.DevicePackage:
        package = pb.DevicePackage(version=1, device=self.device, number=self.number)
        identity = pb.DeviceIdentity(make="Simulated monitors", model="Bedside 12", serial=self.serial, firmware="1.0")
        package.identity.CopyFrom(identity)
        package.next_within_ms = (1 + self.loop_pause_s) * 1000
        clock_ns, fs_hz = self.clock_ns(), self.played.fs_hz
        for signals in self.played.signals:
            counts = signals.counts[:, place * fs_hz : (place + 1) * fs_hz]
            quality = pb.QUALITY_GOOD
            if self.has("pull-lead") and signals.part == "ecg":
                counts, quality = np.full_like(counts, RAIL), pb.QUALITY_LEAD_OFF
            record = package.records.add(source=f"{self.device}/{signals.part}")
            record.times.device_ns = clock_ns
            wave = record.waveform
            wave.leads.extend(signals.codes)
            wave.fs_hz, wave.first_sample, wave.n = fs_hz, self.second * fs_hz, counts.shape[1]
            wave.dtype, wave.samples = pb.DTYPE_INT16, counts.astype("<i2").tobytes()
            wave.quality.extend([quality] * len(signals.codes))
            for gain in signals.gains:
                wave.scales.add(gain=gain, unit=signals.unit)
        if place < len(self.played.numbers):
            self._add_numbers(package, self.played.numbers[place], clock_ns)
        if self._alarm is not None or self.has("alarms"):
            self._add_alarm(package, clock_ns + _NS_PER_S)
        return package

    def _add_alarm(self, package: pb.DevicePackage, decided_ns: int) -> None:
        """What is decided at the end of the second: the alarm that is there ends, or one begins."""
        begins = self._alarm is None
        number, onset_ns = self._alarm or (uuid.uuid4().bytes, decided_ns)
        record = package.records.add(source=f"{self.device}/{APNEA_PART}")
        record.times.device_ns = decided_ns
        alarm = record.alarm
        alarm.id, alarm.code, alarm.onset_ns, alarm.detected_ns = number, APNEA, onset_ns, decided_ns
        alarm.priority, alarm.kind = pb.PRIORITY_HIGH, pb.ALARM_KIND_PHYSIOLOGICAL
        alarm.presence = pb.PRESENCE_PRESENT if begins else pb.PRESENCE_ENDED
        self._alarm = (number, onset_ns) if begins else None

    def _add_numbers(self, package: pb.DevicePackage, row: "Mapping[str, float]", clock_ns: int) -> None:
        for name, value in row.items():
            about = NUMBERS[name]
            if self.has("pull-lead") and about.part == "ecg":
                continue  # a monitor whose leads are off shows no heart rate
            record = package.records.add(source=f"{self.device}/{about.part}")
            record.times.device_ns = clock_ns
            record.observation.code, record.observation.unit = about.code, about.unit
            record.observation.number, record.observation.quality = value, pb.QUALITY_GOOD


def order(line: str) -> tuple[str, int | None]:
    """A line of standard input: a fault, and for how many seconds; ValueError. A word `FAULT` may stand before."""
    words = line.split()
    if words[:1] == ["FAULT"]:
        del words[0]
    if len(words) == 2 and words[1].isdecimal():
        return words[0], int(words[1])
    if len(words) == 1:
        return words[0], None
    msg = f"{line!r}: expected a fault ({', '.join(FAULTS)}), and perhaps for how many seconds"
    raise ValueError(msg)


def _play(
    monitor: Monitor,
    sender: Sender,
    orders: "queue.SimpleQueue[str]",
    stopped: threading.Event,
    speed: float,
    measured: "Callable[[bytes], object]",
) -> None:
    due_s = time.monotonic() + 1.0 / speed  # a second is sent when it is over
    while not stopped.wait(max(0.0, due_s - time.monotonic())):
        while not orders.empty():
            try:
                name, seconds = order(orders.get())
                if name == "drop-link":
                    sender.drop(DROPPED_S if seconds is None else seconds)
                else:
                    monitor.fault(name, seconds)
            except ValueError as error:
                tell(str(error))
        sender.off_ns = monitor.clock_ns() - monitor.began_ns - monitor.second * _NS_PER_S
        if garbage := monitor.next_garbage():
            sender.send_raw(garbage)
        if package := monitor.next_package():
            packed = package.SerializeToString()
            measured(len(packed).to_bytes(4, "little") + packed)
            sender.send(package)
        due_s += 1.0 / speed


def _listen(orders: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        if line.strip():
            orders.put(line.strip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m firmware_adapters.simulate.monitor", description=__doc__)
    parser.add_argument("device", help="its name: that of its certificate or key")
    parser.add_argument("url", type=urlsplit, help="mqtts://broker:port/prefix or https://gateway:port/path")
    parser.add_argument("--record", type=Path, help="WFDB record without extension, for the waveforms")
    parser.add_argument("--numbers", type=Path, help="CSV file with a row a second: HR, PULSE, SpO2, RESP")
    parser.add_argument("--ca", type=Path, required=True, help="authority of the broker's or gateway's certificate")
    parser.add_argument("--key", type=Path, required=True, help="private key; Ed25519 for https")
    parser.add_argument("--certificate", type=Path, help="client certificate, for mqtts")
    parser.add_argument("--serial", default="SIM-0007", help="serial number that it states")
    parser.add_argument("--start-s", type=float, default=0, help="begin so many whole seconds into the recording")
    parser.add_argument("--loop-pause-s", type=float, default=LOOP_PAUSE_S, help="silence before it begins again")
    parser.add_argument("--wait-for", type=Path, default=None, help="stay silent until this file exists")
    parser.add_argument("--speed", type=float, default=1.0, help="how fast it plays; its clock runs as fast")
    parser.add_argument(
        "--measured",
        type=Path,
        default=None,
        help="write every package to the end of this file too, behind its length in four bytes",
    )
    return parser


def main() -> int:
    """Play until SIGTERM or SIGINT."""
    parser = _parser()
    given = parser.parse_args()
    if given.url.scheme not in ("mqtts", "https") or (given.url.scheme == "mqtts" and given.certificate is None):
        parser.error("url: expected mqtts:// with --certificate, or https://")
    if given.record is None and given.numbers is None:
        parser.error("expected --record, --numbers or both")
    start_s = int(given.start_s)
    if given.record is None:
        played = from_table(given.numbers, start_s=start_s)
    else:
        played = from_record(given.record, start_s=start_s, table=given.numbers)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _signal, _frame: stopped.set())
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    while given.wait_for is not None and not given.wait_for.exists() and not stopped.wait(_LOOK_AGAIN_S):
        pass
    sender: Sender
    if given.url.scheme == "mqtts":
        sender = MqttSender(given.url, given.device, given.ca, given.certificate, given.key)
    else:
        sender = HttpSender(given.url, given.device, given.ca, given.key)
    monitor = Monitor(given.device, played, time.time_ns(), given.serial, round(given.loop_pause_s))
    with (given.measured or Path(os.devnull)).open("ab", buffering=0) as note:
        _play(monitor, sender, orders, stopped, given.speed, note.write)
    sender.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
