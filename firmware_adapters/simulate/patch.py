"""`python -m firmware_adapters.simulate.patch RECORD URL ...`: a wireless ECG patch and a thermometer that send SenML over CoAP.

The names are those of docs/reference/senml.md, written without its reader; patch_link.py sends with OSCORE to coap://, patch_dtls.py over DTLS
to coaps://. A recording that ends begins again behind a hole in the sample numbers. A line `FAULT NAME [SECONDS]` on standard input makes something go wrong: for so long, or until it comes again.
"""

import argparse
import asyncio
import contextlib
import math
import signal
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from firmware_adapters.simulate.monitor_links import DROPPED_S, tell
from firmware_adapters.simulate.monitor_signals import RAIL, Played, from_record
from firmware_adapters.simulate.patch_dtls import CLIENT, DtlsSender
from firmware_adapters.simulate.patch_link import OscoreSender, Sender
from firmware_adapters.simulate.senml_writer import Decimal, Value, write_pack

LASTING = ("pull-lead", "wrong-clock")
FAULTS = (*LASTING, "drop-link", "garbage")
GARBAGE = b"\xff\xfe no pack \x00" * 5
LOOP_PAUSE_S = 5
MEASURED_EVERY_S = 5
UNSET_CLOCK_NS = 1_104_537_600 * 10**9  # 2005: a clock whose battery was changed
FOR_EVER = sys.maxsize

_NS_PER_S = 10**9
_LOOK_AGAIN_S = 0.05


def temperature_at(second: int) -> float:
    """What the thermometer reads, in degree Celsius and steps of 0.01: a fever that comes and goes in 20 minutes."""
    return round(37.2 + 0.9 * math.sin(2 * math.pi * second / 1200), 2)


@dataclass(slots=True)
class Device:
    """What both have, sans-I/O: a name, a clock of their own, and what is wrong with them. `began_ns`: the clock at second 0."""

    name: str
    began_ns: int
    about: tuple[str, str, str, str]
    promised_s: int
    second: int = 0
    number: int = 0
    garbage: int = 0
    until: dict[str, int] = field(default_factory=dict[str, int])
    _wrong_since: int = 0

    def fault(self, name: str, seconds: int | None = None) -> None:
        """Make something go wrong (drop-link is the link's); ValueError for a name that is none of FAULTS."""
        if name in LASTING:
            mended = seconds is None and self.has(name)
            self.until[name] = 0 if mended else FOR_EVER if seconds is None else self.second + seconds
            if name == "wrong-clock":
                self._wrong_since = self.second
        elif name == "garbage":
            self.garbage += 1
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

    def pack(self, *measured: Mapping[str, Value]) -> bytes:
        """A numbered pack that says who it is from and when the next one comes."""
        self.number += 1
        begin: dict[str, Value] = {"bn": f"{self.name}/", "bt": Decimal(self.clock_ns(), -9)}
        named: list[Mapping[str, Value]] = [{**begin, "n": "package", "v": self.number, "ut": self.promised_s}]
        named += [
            {"n": n, "vs": text} for n, text in zip(("make", "model", "serial", "firmware"), self.about, strict=True)
        ]
        return write_pack([*named, *measured])


class Measuring(Protocol):
    """A device that is asked once a second."""

    device: Device

    def next_pack(self) -> bytes | None:
        """Measure a second; None where nothing is to be sent."""
        ...


@dataclass(slots=True)
class Patch:
    """One lead of a recording, a pack a second."""

    device: Device
    played: Played
    loop_pause_s: int = LOOP_PAUSE_S

    def next_pack(self) -> bytes | None:
        """A second of ECG; None in the pause before the recording begins again."""
        device, fs_hz = self.device, self.played.fs_hz
        ecg = self.played.signals[0]
        place = device.second % (self.played.seconds + self.loop_pause_s)
        pack = None
        if place < self.played.seconds:
            counts = ecg.counts[0, place * fs_hz : (place + 1) * fs_hz].astype("<i2")
            if device.has("pull-lead"):
                counts[:] = RAIL
            pack = device.pack(
                {"n": "ecg:fs", "u": "Hz", "v": fs_hz},
                {"n": "ecg:first", "v": device.second * fs_hz},
                {"n": "ecg:gain", "u": ecg.unit, "v": ecg.gains[0]},
                {"n": "ecg:MDC_ECG_ELEC_POTL_II", "vd": counts.tobytes()},
            )
        device.second += 1
        return pack


@dataclass(slots=True)
class Thermometer:
    """A temperature in the armpit every few seconds."""

    device: Device
    every_s: int = MEASURED_EVERY_S

    def next_pack(self) -> bytes | None:
        """A reading when it is time for one; none while the probe is off."""
        device, pack = self.device, None
        if device.second % self.every_s == 0 and not device.has("pull-lead"):
            value = Decimal(round(temperature_at(device.second) * 100), -2)
            pack = device.pack({"n": "skin:MDC_TEMP_BODY:axilla", "u": "Cel", "v": value})
        device.second += 1
        return pack


def order(line: str) -> tuple[str, int | None]:
    """A line of standard input: a fault, and for how many seconds; ValueError. The word `FAULT` may stand before."""
    words = line.split()
    if words[:1] == ["FAULT"]:
        del words[0]
    if len(words) in (1, 2) and words[0] in FAULTS and all(word.isdecimal() for word in words[1:]):
        return words[0], int(words[1]) if words[1:] else None
    msg = f"{line!r}: expected a fault ({', '.join(FAULTS)}), and perhaps for how many seconds"
    raise ValueError(msg)


async def play(worn: Iterable[tuple[Measuring, Sender]], orders: "asyncio.Queue[str]", speed: float = 1.0) -> None:
    """Measure in the speed of life, or `speed` times as fast, until cancelled."""
    worn = tuple(worn)
    due_s = time.monotonic() + 1.0 / speed  # a second is sent when it is over
    while True:
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        while not orders.empty():
            try:
                name, seconds = order(orders.get_nowait())
            except ValueError as error:
                tell(str(error))
                continue
            for measuring, sender in worn:
                if name == "drop-link":
                    sender.drop(DROPPED_S if seconds is None else seconds)
                else:
                    measuring.device.fault(name, seconds)
        for measuring, sender in worn:
            if measuring.device.garbage:
                measuring.device.garbage -= 1
                sender.send(GARBAGE)
            if pack := measuring.next_pack():
                sender.send(pack)
        due_s += 1.0 / speed


def _listen(orders: "asyncio.Queue[str]") -> None:
    """From a thread of its own: standard input may be a file."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            if line.strip():
                loop.call_soon_threadsafe(orders.put_nowait, line.strip())

    threading.Thread(target=read, daemon=True).start()


def _named(text: str) -> tuple[str, Path]:
    name, separator, secret = text.partition("=")
    if not separator or not name or not secret:
        msg = f"{text!r}: expected NAME=SECRET, the device and its half of an OSCORE context, or its key for DTLS"
        raise argparse.ArgumentTypeError(msg)
    return name, Path(secret)


def _sender(given: argparse.Namespace, name: str, secret: Path) -> Sender:
    if given.url.startswith("coaps:"):
        return DtlsSender(given.url, name, secret, given.coap_client)
    return OscoreSender(given.url, secret)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m firmware_adapters.simulate.patch", description=__doc__)
    parser.add_argument(
        "record", type=Path, help="WFDB record without extension; its first ECG lead is played as lead II"
    )
    parser.add_argument("url", help="coap://gateway:port/path, or coaps:// for DTLS")
    has = "the folder of its OSCORE context, or the file of its key for DTLS"
    parser.add_argument("--patch", type=_named, metavar="NAME=SECRET", help=f"the patch, and {has}")
    parser.add_argument("--thermometer", type=_named, metavar="NAME=SECRET", help="the same of the thermometer")
    parser.add_argument("--coap-client", default=CLIENT, help="libcoap's client, which posts over DTLS")
    parser.add_argument("--start-s", type=float, default=0, help="begin so many whole seconds into the recording")
    parser.add_argument("--loop-pause-s", type=float, default=LOOP_PAUSE_S, help="silence before it begins again")
    parser.add_argument("--every-s", type=int, default=MEASURED_EVERY_S, help="how often the thermometer measures")
    parser.add_argument("--wait-for", type=Path, default=None, help="measure nothing until this file exists")
    parser.add_argument("--speed", type=float, default=1.0, help="how fast it plays; its clock runs as fast")
    return parser


async def _until_there(file: Path, stopped: asyncio.Event) -> None:
    while not stopped.is_set() and not await asyncio.to_thread(file.exists):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), _LOOK_AGAIN_S)


async def _main(given: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    orders: asyncio.Queue[str] = asyncio.Queue()
    _listen(orders)
    played, pause_s = from_record(given.record, start_s=int(given.start_s)), round(given.loop_pause_s)
    if given.wait_for is not None:
        await _until_there(given.wait_for, stopped)
    now_ns = time.time_ns()
    worn: list[tuple[Measuring, Sender]] = []
    if given.patch is not None:
        name, secret = given.patch
        device = Device(name, now_ns, ("Simulated sensors", "ECG patch", "SIM-0004", "1.0"), 1 + pause_s)
        worn.append((Patch(device, played, pause_s), _sender(given, name, secret)))
    if given.thermometer is not None:
        name, secret = given.thermometer
        device = Device(name, now_ns, ("Simulated sensors", "Thermometer", "SIM-0044", "1.0"), given.every_s)
        worn.append((Thermometer(device, given.every_s), _sender(given, name, secret)))
    tasks = [asyncio.create_task(sender.run()) for _, sender in worn]
    tasks += [asyncio.create_task(play(worn, orders, given.speed)), asyncio.create_task(stopped.wait())]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)
    for task in done:
        task.result()


def main() -> int:
    """Play until SIGTERM or SIGINT."""
    parser = _parser()
    given = parser.parse_args()
    if given.patch is None and given.thermometer is None:
        parser.error("expected --patch, --thermometer or both")
    asyncio.run(_main(given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
