"""One reading, one record (IOT-5.4d): the table of readings from devices of the standard Bluetooth services, to the rows of a real hub.

The devices are another process, on a bus of their own; bleak, the agent and the hub are those that ship. What a device cannot say is
listed with its reason in tests/conformance/gatt.py.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge.identity import Identity, save_identity
from protocols.nomenclature import BATTERY_CHARGE, EVT_OXIMETER_STATUS, SPO2
from tests.conformance.gatt import CARRIED, NOT_CARRIED, Said, carried
from tests.conformance.readings import READINGS, Reading
from tests.fixtures.agent import Gateway
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import write_config
from tests.integration.test_readings_through_every_door import House, Row, row_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(150)]

LOCAL = "Asia/Shanghai"


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
async def ward(folder: Path, hub: RunningHub, bus: str, kinds: Mapping[str, tuple[str, str]]) -> AsyncGenerator[tuple[House, Radio]]:  # fmt: skip
    """Devices on the air, `kinds` says of each name its kind and the zone of its clock; the gateway that hears them, and its hub."""
    addresses = {name: f"A0:9E:1A:00:01:{i:02X}" for i, name in enumerate(kinds)}
    options = [f"--{kind}={addresses[name]}" for name, (kind, _) in kinds.items()]
    program = [sys.executable, "-m", "firmware_adapters.simulate.radio", bus, "--told", *options]
    process = await asyncio.create_subprocess_exec(*program, stdin=PIPE, stdout=PIPE)
    papers = await hub.enrol("gateway-1")
    save_identity(
        folder / "state",
        Identity(papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem),
    )
    settings = ""
    for name, (kind, zone) in kinds.items():
        family = "gatt-continuous" if kind == "heart-rate" else "gatt-spot"
        settings += f'[[devices]]\nid = "{name}"\nfamily = "{family}"\nurl = "ble:{addresses[name]}"\n'
        settings += f'options.zone = "{zone}"\n' if zone else ""
    agent = Gateway(write_config(folder, settings))
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"on the air\n"
        await agent.start()
        yield House(hub, {}), Radio(process, addresses)
    except BaseException:
        print(*agent.log, sep="\n")
        raise
    finally:
        await agent.kill()
        process.terminate()
        await process.wait()


def on_its_wall(reading: Reading, zone: str) -> str:
    """What the clock of a device that goes by `zone` shows at the time of a reading: no offset is with it."""
    assert reading.time is not None
    at = datetime.fromisoformat(reading.time)
    return at.astimezone(ZoneInfo(zone or "UTC")).replace(tzinfo=None).isoformat()


def told(house: House, device: str) -> list[Row]:
    """The rows without the path: a Bluetooth device has none, its source is named after the service."""
    return sorted((row[1:] for row in house.stored(device) if row[1] != BATTERY_CHARGE), key=repr)


def test_every_reading_of_the_table_is_carried_or_has_its_reason():
    names = [reading.name for reading in READINGS]
    assert sorted([*CARRIED, *NOT_CARRIED]) == sorted(names)


@pytest.mark.req("IOT-5.4d", "IOT-6.3d", surface="protocol")
async def test_the_readings_that_a_bluetooth_device_can_send_are_the_rows_of_every_other_door(
    tmp_path: Path, hub: RunningHub, bus_address: str
):
    kinds = {
        "probe-utc": ("thermometer", ""),
        "probe-local": ("thermometer", LOCAL),
        "finger-utc": ("oximeter", ""),
        "finger-local": ("oximeter", LOCAL),
        "cuff": ("cuff", LOCAL),
        "scale": ("scale", LOCAL),
        "strap": ("heart-rate", ""),
    }
    async with ward(tmp_path, hub, bus_address, kinds) as (house, radio):
        for device, (kind, zone) in kinds.items():
            for reading, said in carried(kind):
                time = {} if reading.time is None else {"time": on_its_wall(reading, zone)}
                radio.measure(device, {**said, **time})
        for device, (kind, _) in kinds.items():
            kept = [reading for reading, _ in carried(kind) if reading.expected is not None]
            refused = [reading for reading, _ in carried(kind) if reading.expected is None]
            battery = 1
            await house.has(device, len(kept) + battery, len(refused))
            assert told(house, device) == sorted((row_of(reading)[1:] for reading in kept), key=repr), device
            faults = house.faults(device)
            assert len(faults) == len(refused)
            assert all(reading.because in said for reading, said in zip(refused, faults, strict=True)), faults
    assert hub.rows("select distinct reason from quarantine") == [("undecodable",)]


async def test_a_saturation_that_is_no_number_makes_no_row_and_is_told_as_the_sensors_state(
    tmp_path: Path, hub: RunningHub, bus_address: str
):
    async with ward(tmp_path, hub, bus_address, {"finger": ("oximeter", "")}) as (house, radio):
        for word in ("NaN", "+INF", "-INF"):  # SFLOAT 0x07FF, 0x07FE, 0x0802
            radio.measure("finger", {"spot": word, "pulse": 72})
        radio.measure("finger", {"spot": 97, "pulse": 72})
        await house.has("finger", 6, 0)
        assert [row[5] for row in told(house, "finger")] == [72.0, 72.0, 72.0, 72.0, 97.0]
    states = hub.rows("select params -> %s from device_event where code = %s order by time", SPO2, EVT_OXIMETER_STATUS)
    assert [word for (word,) in states] == ["NaN", "+INF", "-INF", None]
