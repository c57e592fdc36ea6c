"""One reading, one record (IOT-5.4d): the table of readings from devices whose format is their maker's or a standard's, to the rows of a real hub.

Bluetooth devices are another process, on a bus of their own, and each device on a serial line is one; a cart leaves files; bleak, the agent and the hub are
those that ship. What a device cannot say is listed with its reason in tests/conformance/gatt.py, serial.py and folder.py.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import pytest

from edge.identity import Identity, save_identity
from firmware_adapters.simulate.aecg import deliver
from protocols.nomenclature import BATTERY_CHARGE, EVT_CONNECTED, EVT_OXIMETER_STATUS, SPO2
from tests.conformance import folder, gatt, serial
from tests.conformance.gatt import Said, carried
from tests.conformance.readings import READINGS, Reading, Wave
from tests.fixtures.agent import Gateway
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import write_config
from tests.fixtures.waiting import until, until_asked
from tests.integration.test_readings_through_every_door import WITHIN_S, House, Row, row_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(150)]

ASK_AGAIN_S = 0.3
LOCAL = "Asia/Shanghai"
BOARD = Path(__file__).parents[1] / "fixtures" / "counting_board.py"
PLETH = Path(__file__).parents[1] / "captures" / "cinc2015-f545l-vf"


@dataclass
class Radio:
    """The process with the devices, each name with its address."""

    process: asyncio.subprocess.Process
    addresses: Mapping[str, str]
    words: list[str] = field(default_factory=list[str])

    def measure(self, device: str, said: Said) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"measure {self.addresses[device]} {json.dumps(said)}\n".encode())


@asynccontextmanager
async def on_the_air(bus: str, kinds: Mapping[str, tuple[str, str]]) -> AsyncGenerator[Radio]:
    """Devices in reach, `kinds` says of each name its kind and the zone of its clock."""
    addresses = {name: f"A0:9E:1A:00:01:{i:02X}" for i, name in enumerate(kinds)}
    options = [f"--{kind}={addresses[name]}" for name, (kind, _) in kinds.items()]
    program = [sys.executable, "-m", "firmware_adapters.simulate.radio", bus, "--told", *options]
    process = await asyncio.create_subprocess_exec(*program, stdin=PIPE, stdout=PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"on the air\n"
        yield Radio(process, addresses)
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def plugged_in(port: Path, *program: str) -> AsyncGenerator[None]:
    """A device at the other end of a serial line."""
    process = await asyncio.create_subprocess_exec(sys.executable, *program)
    try:
        await until(port.is_symlink)
        yield
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def ward(folder: Path, hub: RunningHub, settings: str) -> AsyncGenerator[House]:
    """The gateway with the devices of these settings, and its hub."""
    papers = await hub.enrol("gateway-1")
    save_identity(
        folder / "state",
        Identity(papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem),
    )
    agent = Gateway(write_config(folder, settings))
    try:
        await agent.start()
        yield House(hub, {})
    except BaseException:
        print(*agent.log, sep="\n")
        raise
    finally:
        await agent.kill()


def by_radio(radio: Radio, kinds: Mapping[str, tuple[str, str]]) -> str:
    """Their part of the gateway's settings."""
    settings = ""
    for name, (kind, zone) in kinds.items():
        family = "gatt-continuous" if kind == "heart-rate" else "gatt-spot"
        settings += f'[[devices]]\nid = "{name}"\nfamily = "{family}"\nurl = "ble:{radio.addresses[name]}"\n'
        settings += f'options.zone = "{zone}"\n' if zone else ""
    return settings


def on_its_wall(reading: Reading, zone: str) -> str:
    """What the clock of a device that goes by `zone` shows at the time of a reading: no offset is with it."""
    assert reading.time is not None
    at = datetime.fromisoformat(reading.time)
    return at.astimezone(ZoneInfo(zone or "UTC")).replace(tzinfo=None).isoformat()


def told(house: House, device: str) -> list[Row]:
    """The rows without the path: a Bluetooth device has none, its source is named after the service."""
    return sorted((row[1:] for row in house.stored(device) if row[1] != BATTERY_CHARGE), key=repr)


@pytest.mark.parametrize("door", [folder, gatt, serial])
def test_every_reading_of_the_table_is_carried_or_has_its_reason(door: ModuleType):
    names = [reading.name for reading in READINGS]
    assert sorted([*door.CARRIED, *door.NOT_CARRIED]) == sorted(names)


@pytest.mark.req("IOT-5.4d", "IOT-6.3d", surface="protocol")
async def test_the_readings_that_a_bluetooth_device_can_send_are_the_rows_of_every_other_door(
    tmp_path: Path, hub: RunningHub, bus_address: str
):
    kinds = {
        "probe-utc": ("thermometer", ""),
        "probe-local": ("thermometer", LOCAL),
        "finger-utc": ("oximeter", ""),
        "finger-local": ("oximeter", LOCAL),
        "finger-off": ("oximeter", ""),
        "cuff": ("cuff", LOCAL),
        "scale": ("scale", LOCAL),
        "strap": ("heart-rate", ""),
    }
    told_readings = {name: carried(kind) for name, (kind, _) in kinds.items() if name != "finger-off"}
    async with on_the_air(bus_address, kinds) as radio, ward(tmp_path, hub, by_radio(radio, kinds)) as house:
        for device, readings in told_readings.items():
            for reading, said in readings:
                time = {} if reading.time is None else {"time": on_its_wall(reading, kinds[device][1])}
                radio.measure(device, {**said, **time})
        for word in ("NaN", "+INF", "-INF"):  # SFLOAT 0x07FF, 0x07FE, 0x0802
            radio.measure("finger-off", {"spot": word, "pulse": 72})
        radio.measure("finger-off", {"spot": 97, "pulse": 72})
        for device, readings in told_readings.items():
            kept = [reading for reading, _ in readings if reading.expected is not None]
            refused = [reading for reading, _ in readings if reading.expected is None]
            battery = 1
            await house.has(device, len(kept) + battery, len(refused))
            assert told(house, device) == sorted((row_of(reading)[1:] for reading in kept), key=repr), device
            faults = house.faults(device)
            assert len(faults) == len(refused)
            assert all(reading.because in said for reading, said in zip(refused, faults, strict=True)), faults
        # a saturation that is no number makes no row, and is told as the sensor's state
        await house.has("finger-off", 6, 0)
        assert [row[5] for row in told(house, "finger-off")] == [72.0, 72.0, 72.0, 72.0, 97.0]
    assert hub.rows("select distinct reason from quarantine") == [("undecodable",)]
    states = told_by(hub, "finger-off", EVT_OXIMETER_STATUS)
    assert [state.get(SPO2) for state in states] == ["NaN", "+INF", "-INF", None]


@pytest.mark.req("IOT-5.4d", surface="protocol")
async def test_the_readings_that_a_device_on_a_serial_line_can_send_are_the_rows_of_every_other_door(
    tmp_path: Path, hub: RunningHub, short_folder: Callable[[], Path]
):
    by_name = {reading.name: reading for reading in READINGS}
    numbers = [by_name[name] for name, device in serial.CARRIED.items() if device == serial.OXIMETER]
    [wave] = [by_name[name] for name, device in serial.CARRIED.items() if device == serial.AMPLIFIER]
    assert isinstance(wave.value, Wave)
    first, counts = wave.value.first_sample, wave.value.samples
    lines, played, switched_on = short_folder(), tmp_path / "played.csv", tmp_path / "on"
    played.write_text(serial.PLAYED)
    finger = [str(PLETH), str(lines / "nonin"), "--readings", str(played), "--wait-for", str(switched_on)]
    devices = {
        "nonin": ["-m", "firmware_adapters.simulate.nonin", *finger],
        "cyton": [str(BOARD), str(lines / "cyton"), str(first), *map(str, counts)],
    }
    settings = "".join(
        f'[[devices]]\nid = "{family}"\nfamily = "{family}"\nurl = "{lines / family}"\n' for family in devices
    )
    async with AsyncExitStack() as stack:
        for family, program in devices.items():
            await stack.enter_async_context(plugged_in(lines / family, *program))
        house = await stack.enter_async_context(ward(tmp_path, hub, settings))
        await stored(lambda: told_by(hub, "nonin", EVT_CONNECTED))
        switched_on.touch()
        # in the last second there is no finger: no reading, and the sensor's state says why
        await stored(lambda: any(state.get("sensor_alarm") for state in told_by(hub, "nonin", EVT_OXIMETER_STATUS)))
        # an oximeter says the same three times a second: each row so often, and no other
        assert {repr(row) for row in house.numbers("nonin")} == {repr(row_of(reading)) for reading in numbers}
        await stored(lambda: house.waves("cyton", first, len(counts)))
        assert house.waves("cyton", first, len(counts)) == [row_of(wave)]
    assert hub.rows("select 1 from quarantine") == []


@pytest.mark.req("IOT-5.4d", surface="protocol")
async def test_what_a_cart_can_say_in_a_file_is_the_rows_of_every_other_door(tmp_path: Path, hub: RunningHub):
    carts = tmp_path / "carts"
    (carts / "cart").mkdir(parents=True)
    settings = f'[[doors]]\nname = "carts"\nkind = "folder"\nurl = "{carts.as_uri()}"\n[[doors.devices]]\nid = "cart"\n'
    told_readings = [reading for reading in READINGS if reading.name in folder.CARRIED]
    numbers = [row_of(reading) for reading in told_readings if not isinstance(reading.value, Wave)]
    waves = {repr([reading.code]): row_of(reading) for reading in told_readings if isinstance(reading.value, Wave)}
    async with ward(tmp_path, hub, settings) as house:
        for place, reading in enumerate(told_readings):
            deliver(folder.file_of(reading), carts / "cart", f"{place}.xml")
        await stored(
            lambda: len(house.numbers("cart")) >= len(numbers) and len(house.waves("cart")) >= len(told_readings)
        )
        # whatever was recorded stands below a path of its own, and its samples are counted from 1970
        assert sorted(row[1:] for row in house.numbers("cart")) == sorted(row[1:] for row in numbers)
        found = {repr(leads): (meaning, counts) for _, leads, *meaning, _, counts, _ in house.waves("cart")}
        assert {leads: found[leads] for leads in waves} == {
            leads: (meaning, counts) for leads, (_, _, *meaning, _, counts, _) in waves.items()
        }
        moments = {row[-1] for row in house.waves("cart")}
        assert {reading.device_ns for reading in told_readings if reading.device_ns} <= {
            int(str(at)) * 10**6 for at in moments
        }
        assert house.faults("cart") == []
    assert hub.rows("select 1 from quarantine") == []


async def stored(check: Callable[[], object]) -> None:
    """Wait until the hub has it; asked now and then, and in a thread, as the hub works in this process."""

    async def asked() -> bool:
        await asyncio.sleep(ASK_AGAIN_S)
        return bool(await asyncio.to_thread(check))

    await until_asked(asked, WITHIN_S)


def told_by(hub: RunningHub, device: str, code: str) -> list[Mapping[str, object]]:
    """The parameters of a device's events, one behind the other."""
    rows = hub.rows(
        "select params from device_event join source using (source_id) join device using (device_id)"
        " where name = %s and code = %s order by time",
        device,
        code,
    )
    return [params for (params,) in rows]
