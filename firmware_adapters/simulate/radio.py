"""`python -m firmware_adapters.simulate.radio BUS ADDRESS=RECORD[:RECORD...] ...`: chest straps on a BlueZ without a radio, for the demo.

BUS is the address of a running bus (unix:path=...), which the gateway finds as DBUS_SYSTEM_BUS_ADDRESS. A line `FAULT ADDRESS` on standard
input makes something go wrong with one strap; the same line again mends what lasts. Beside the straps, devices of the standard health
services (`--thermometer ADDRESS` and others) measure by themselves, and what a line `measure ADDRESS JSON` tells them.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import cast

from firmware_adapters.simulate.bluez import Bluez
from firmware_adapters.simulate.health import KINDS, HealthDevice, carry
from firmware_adapters.simulate.polar import BATTERY, BORN_CLOCK_NS, DATA, UNSET_CLOCK_NS, Strap, from_records, play

FAULTS = ("drop-link", "away", "dead", "silent", "lose", "garbage", "wrong-clock", "pull-lead", "battery-low")
_GARBAGE = [(DATA, bytes.fromhex("00 DE AD BE EF")), (DATA, b"\xff" * 40), (BATTERY, b"\xff")]
_LOSE_FRAMES = 4
_READ_BYTES = 4096
_LOOK_AGAIN_S = 0.1


def fault(bluez: Bluez, strap: Strap, name: str) -> None:
    """Turn a switch; ValueError for a name that is none of FAULTS."""
    peripheral, faults = strap.peripheral, strap.faults
    match name:
        case "drop-link":
            bluez.drop(peripheral)
        case "away":
            peripheral.on_air = not peripheral.on_air
            if not peripheral.on_air:
                bluez.drop(peripheral)
        case "dead":
            peripheral.dead = not peripheral.dead
            if not peripheral.dead:
                bluez.drop(peripheral)
        case "silent":
            faults.silent = not faults.silent
        case "lose":
            faults.lose = _LOSE_FRAMES
        case "garbage":
            faults.garbage += _GARBAGE
        case "wrong-clock":
            now_ns = time.time_ns() - BORN_CLOCK_NS
            is_wrong = abs(strap.clock_ns - now_ns) > 60_000_000_000
            strap.clock_ns = now_ns if is_wrong else UNSET_CLOCK_NS
        case "pull-lead":
            faults.lead_off = not faults.lead_off
        case "battery-low":
            strap.battery = 9
        case _:
            msg = f"fault {name!r}: expected one of {', '.join(FAULTS)}"
            raise ValueError(msg)


def _order(bluez: Bluez, straps: dict[str, Strap], devices: dict[str, HealthDevice], line: str) -> None:
    """Do what a line says; ValueError where it cannot be."""
    name, _, rest = line.strip().partition(" ")
    address, _, said = rest.partition(" ")
    if name == "measure" and address in devices:
        told = json.loads(said)
        if not isinstance(told, dict):
            msg = f"{said!r}: expected an object of JSON"
            raise ValueError(msg)
        devices[address].measure(cast("dict[str, str | float]", told))
    elif address in straps:
        fault(bluez, straps[address], name)
    else:
        msg = f"device {address!r}: expected one of {', '.join((*straps, *devices))}"
        raise ValueError(msg)


def _listen(bluez: Bluez, straps: dict[str, Strap], devices: dict[str, HealthDevice]) -> None:
    loop, standard_input = asyncio.get_running_loop(), sys.stdin.fileno()
    pending = bytearray()

    def arrived() -> None:
        data = os.read(standard_input, _READ_BYTES)
        if not data:
            loop.remove_reader(standard_input)
        pending.extend(data)
        *lines, rest = pending.split(b"\n")
        pending[:] = rest
        for line in lines:
            try:
                _order(bluez, straps, devices, line.decode(errors="replace"))
            except ValueError as error:
                _tell(str(error))

    try:
        loop.add_reader(standard_input, arrived)
    except PermissionError:
        _tell("standard input is a file: no faults are taken from it")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _wait_for(path: Path, stopped: threading.Event) -> None:
    while not path.exists() and not stopped.wait(_LOOK_AGAIN_S):
        pass


async def _wear(bluez: Bluez, strap: Strap, speed: float, wait_for: Path | None) -> None:
    """A strap is on the air only while it is worn."""
    stopped = threading.Event()
    try:
        if wait_for is not None:
            await asyncio.to_thread(_wait_for, wait_for, stopped)
        await play(bluez, strap, speed=speed)
    finally:
        stopped.set()


async def _main(given: argparse.Namespace, devices: dict[str, HealthDevice]) -> None:
    bluez = await Bluez.on_bus(given.bus)
    worn: dict[str, list[Path]] = dict(given.straps)
    straps = {
        address: Strap(from_records(records, start_s=given.start_s), address, serial=address.replace(":", "")[4:])
        for address, records in worn.items()
    }
    _listen(bluez, straps, devices)
    playing = [asyncio.create_task(_wear(bluez, strap, given.speed, given.wait_for)) for strap in straps.values()]
    playing += [asyncio.create_task(carry(bluez, device, by_itself=not given.told)) for device in devices.values()]
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    sys.stdout.write("on the air\n")
    sys.stdout.flush()
    ended = asyncio.create_task(stopped.wait())
    done, _ = await asyncio.wait((ended, *playing), return_when=asyncio.FIRST_COMPLETED)
    for task in playing:
        task.cancel()
    await bluez.close()
    for task in done:
        task.result()


def _worn(text: str) -> tuple[str, list[Path]]:
    address, separator, records = text.partition("=")
    if not separator or len(address.split(":")) != 6:
        msg = f"{text!r}: expected ADDRESS=RECORD[:RECORD...], as A0:9E:1A:00:00:01=mitdb/119"
        raise argparse.ArgumentTypeError(msg)
    return address.upper(), [Path(record) for record in records.split(os.pathsep)]


def _address(text: str) -> str:
    if len(text.split(":")) != 6:
        msg = f"{text!r}: expected an address, as A0:9E:1A:00:00:07"
        raise argparse.ArgumentTypeError(msg)
    return text.upper()


def main() -> int:
    """Play until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m firmware_adapters.simulate.radio", description=__doc__)
    parser.add_argument("bus", help="address of the bus, as unix:path=/run/user/1000/ward.sock")
    parser.add_argument(
        "straps",
        nargs="*",
        type=_worn,
        metavar="ADDRESS=RECORD[:RECORD...]",
        help="WFDB records without extension, played one behind the other",
    )
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--start-s", type=float, default=0.0, help="begin so many seconds into the records")
    parser.add_argument("--wait-for", type=Path, default=None, help="nobody wears a strap until this file exists")
    for kind in KINDS:
        parser.add_argument(f"--{kind}", dest=kind, action="append", default=[], type=_address, metavar="ADDRESS")
    parser.add_argument("--told", action="store_true", help="these measure only what standard input tells them")
    given = parser.parse_args()
    found = {a: HealthDevice(kind, a, serial=a.replace(":", "")[4:]) for kind in KINDS for a in vars(given)[kind]}
    if not given.straps and not found:
        parser.error(f"nothing to put on the air: give a strap, or one of --{', --'.join(KINDS)}")
    asyncio.run(_main(given, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
