"""Thermometers, oximeters and heart rate straps of the standard services behind a simulated BlueZ, read by bleak, adapter and pipeline that ship."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from firmware_adapters.adapter import ConfigError, DeviceConfig, LinkError
from firmware_adapters.registry import find_adapter
from firmware_adapters.simulate import health
from firmware_adapters.simulate.bluez import Bluez
from firmware_adapters.simulate.health import CUFF, HEART_RATE, OXIMETER, SCALE, THERMOMETER, HealthDevice
from protocols.nomenclature import (
    BATTERY_CHARGE,
    EVT_BATTERY_LOW,
    EVT_CLOCK_STEP,
    EVT_CLOCK_WRONG,
    EVT_CONNECTED,
    EVT_DEVICE_SEEN,
    EVT_DISCONNECTED,
    EVT_FAULT,
    EVT_SILENT,
    LINK_LOST,
    PULSE_RATE,
    SPO2,
)
from protocols.nomenclature import HEART_RATE as HEART_RATE_CODE
from protocols.record import NS_PER_S, DeviceEvent, Observation, Presence
from tests.fixtures.bedside import Bedside, bedside

pytestmark = pytest.mark.integration

ADDRESS = "A0:9E:1A:00:00:07"
TEMPERATURE = "MDC_TEMP_BODY"
SILENT_S = 5.0


@asynccontextmanager
async def carried(bluez: Bluez, device: HealthDevice, *, by_itself: bool = False) -> AsyncGenerator[None]:
    """The device is on the air."""
    carrying = asyncio.create_task(health.carry(bluez, device, by_itself=by_itself))
    yield
    assert not carrying.done(), carrying.exception()
    carrying.cancel()


def config(family: str, **options: str) -> DeviceConfig:
    return DeviceConfig("device", family, f"ble:{ADDRESS}", options)


def on_the_wall(at_s: float) -> str:
    """What a clock that goes by UTC shows: seconds, and no zone."""
    return datetime.fromtimestamp(int(at_s), UTC).replace(tzinfo=None).isoformat()


def year_of(event: DeviceEvent) -> int:
    """Which year the device said."""
    return datetime.fromtimestamp(float(dict(event.params)["device_ns"]) / NS_PER_S, UTC).year


def temperatures(bed: Bedside) -> list[tuple[float | str, str, str]]:
    found = [r for r in bed.records if isinstance(r, Observation) and r.code == TEMPERATURE]
    return [(o.value, o.unit, o.site) for o in found]


async def test_a_thermometer_makes_itself_known_and_its_readings_come_with_unit_site_and_time(bluez: Bluez):
    device = HealthDevice(THERMOMETER, ADDRESS, serial="7000A1")
    async with carried(bluez, device), bedside(config("gatt-spot", zone="Asia/Shanghai")) as bed:
        device.measure({"temperature": 98.6, "unit": "[degF]", "site": "mouth", "time": "2026-03-15T14:30:05"})
        await bed.until(lambda: temperatures(bed))
        device.battery = 9
        bluez.notify(device.peripheral, health.BATTERY, bytes([device.battery]))
        await bed.until(lambda: bed.events(EVT_BATTERY_LOW))
    assert temperatures(bed) == [(37.0, "Cel", "mouth")]
    (reading,) = [r for r in bed.records if isinstance(r, Observation) and r.code == TEMPERATURE]
    assert reading.times.device_ns == 1_773_556_205_000_000_000  # date -u -d 2026-03-15T06:30:05 +%s
    assert bed.readings(BATTERY_CHARGE) == [74, 9]
    (seen,) = [event for event in bed.events(EVT_DEVICE_SEEN) if "serial" in dict(event.params)]
    assert {"make": "Simulated", "model": "thermometer", "serial": "7000A1", "firmware": "1.0"}.items() <= dict(
        seen.params
    ).items()


async def test_what_a_thermometer_measured_out_of_reach_comes_when_it_is_back_and_its_absence_was_no_alarm(
    bluez: Bluez,
):
    device = HealthDevice(THERMOMETER, ADDRESS)
    async with carried(bluez, device), bedside(config("gatt-spot")) as bed:
        device.measure({"temperature": 36.6})
        await bed.until(lambda: len(temperatures(bed)) == 1)
        device.peripheral.on_air = False
        bluez.drop(device.peripheral)
        await bed.until(lambda: bed.events(EVT_DISCONNECTED))
        device.measure({"temperature": 38.1})
        await asyncio.sleep(SILENT_S + 1)
        device.peripheral.on_air = True
        await bed.until(lambda: len(temperatures(bed)) == 2)
    assert [value for value, _, _ in temperatures(bed)] == [36.6, 38.1]
    assert not bed.alarms(LINK_LOST)
    assert not bed.events(EVT_SILENT)


async def test_an_oximeter_that_stops_is_an_alarm_until_it_goes_on(bluez: Bluez):
    device = HealthDevice(OXIMETER, ADDRESS)
    async with carried(bluez, device, by_itself=True), bedside(config("gatt-continuous")) as bed:
        await bed.until(lambda: len(bed.readings(SPO2)) >= 2 and len(bed.readings(PULSE_RATE)) >= 2)
        began_s = time.monotonic()
        device.peripheral.dead = True  # BlueZ goes on calling it connected
        await bed.until(lambda: bed.alarms(LINK_LOST))
        alarm_s = time.monotonic() - began_s
        assert bed.alarms(LINK_LOST)[0].presence is Presence.PRESENT
        bluez.drop(device.peripheral)
        await bed.until(lambda: bed.alarms(LINK_LOST)[-1].presence is Presence.ENDED)
    assert alarm_s < SILENT_S + 1.5
    assert all(96 <= value <= 98 for value in bed.readings(SPO2))


async def test_a_heart_rate_strap_of_any_maker_is_read(bluez: Bluez):
    device = HealthDevice(HEART_RATE, ADDRESS)
    async with carried(bluez, device), bedside(config("gatt-continuous")) as bed:
        await bed.until(lambda: bed.events(EVT_CONNECTED))
        for rate in (58, 301):  # one byte, two bytes
            device.measure({"heart_rate": rate})
        await bed.until(lambda: len(bed.readings(HEART_RATE_CODE)) == 2)
    assert bed.readings(HEART_RATE_CODE) == [58.0, 301.0]


async def test_garbage_is_told_with_its_bytes_and_the_next_reading_is_taken(bluez: Bluez):
    device = HealthDevice(THERMOMETER, ADDRESS)
    garbage = [b"", b"\x00\x01", b"\x00\xff\xff\x7f\x00", b"\x04\x77\x01\x00\xff\x0a", b"\xff" * 40]
    async with carried(bluez, device), bedside(config("gatt-spot")) as bed:
        device.waiting.extend((health.TEMPERATURE, raw) for raw in garbage)
        device.measure({"temperature": 36.6})
        await bed.until(lambda: temperatures(bed))
    assert [event.text for event in bed.events(EVT_FAULT)] == [raw.hex(" ") for raw in garbage]


async def test_garbage_of_an_oximeter_that_stays_on_is_told_and_its_readings_go_on_without_an_alarm(bluez: Bluez):
    device = HealthDevice(OXIMETER, ADDRESS)
    garbage = [
        (health.CONTINUOUS, b""),
        (health.CONTINUOUS, bytes.fromhex("00 61")),  # half a saturation
        (health.CONTINUOUS, bytes.fromhex("04 61 00 48 00")),  # a status is announced and not there
        (health.CONTINUOUS, b"\xff" * 40),
        (health.BATTERY, b"\xff"),  # percent
    ]
    async with carried(bluez, device), bedside(config("gatt-continuous")) as bed:
        device.measure({"continuous": 97, "pulse": 72})
        device.waiting.extend(garbage)
        device.measure({"continuous": 96, "pulse": 73})
        await bed.until(lambda: len(bed.readings(SPO2)) == 2)
    assert [event.text for event in bed.events(EVT_FAULT)] == [raw.hex(" ") for _, raw in garbage]
    assert bed.readings(SPO2) == [97, 96]
    assert bed.readings(PULSE_RATE) == [72, 73]
    assert len(bed.events(EVT_CONNECTED)) == 1
    assert not bed.alarms(LINK_LOST)


@pytest.mark.parametrize(
    ("kind", "said", "code"),
    [
        (THERMOMETER, {"temperature": 36.6}, TEMPERATURE),
        (OXIMETER, {"spot": 97, "pulse": 72}, SPO2),
        (CUFF, {"systolic": 124, "diastolic": 80, "mean": 95}, "MDC_PRESS_BLD_NONINV_SYS"),
        (SCALE, {"weight": 72.5}, "MDC_MASS_BODY_ACTUAL"),
    ],
)
async def test_a_clock_that_is_wrong_is_told_once_and_its_readings_are_kept_at_the_time_they_came(
    bluez: Bluez, kind: str, said: Mapping[str, str | float], code: str
):
    device = HealthDevice(kind, ADDRESS)
    began_ns = time.time_ns()
    async with carried(bluez, device), bedside(config("gatt-spot")) as bed:

        def measured() -> list[Observation]:
            return [r for r in bed.records if isinstance(r, Observation) and r.code == code]

        device.measure({**said, "time": "2099-01-01T00:00:00"})
        device.measure({**said, "time": "2099-01-01T00:00:01"})
        device.measure({**said, "time": "2000-01-01T00:00:00"})  # a battery was changed, nobody set the clock
        await bed.until(lambda: len(measured()) == 3)
        # somebody sets the clock
        device.measure({**said, "time": on_the_wall(time.time())})
        await bed.until(lambda: len(measured()) == 4)
        # ... and it is lost again
        device.measure({**said, "time": "2000-01-01T00:00:00"})
        await bed.until(lambda: len(measured()) == 5)
    ended_ns, this_year = time.time_ns(), datetime.now(UTC).year
    assert [year_of(event) for event in bed.events(EVT_CLOCK_WRONG)] == [2099, 2000]
    for reading in measured():
        assert began_ns <= reading.times.best_ns <= ended_ns
    years = [datetime.fromtimestamp((r.times.device_ns or 0) / NS_PER_S, UTC).year for r in measured()]
    assert years == [2099, 2099, 2000, this_year, 2000], "what the device said is kept"
    assert not bed.events(EVT_FAULT)
    assert not bed.events(EVT_CLOCK_STEP)


@pytest.mark.parametrize(("kind", "family"), [(THERMOMETER, "gatt-continuous"), (HEART_RATE, "gatt-spot")])
async def test_a_device_without_the_familys_services_is_refused_by_name(bluez: Bluez, kind: str, family: str):
    device = HealthDevice(kind, ADDRESS)
    async with carried(bluez, device):
        with pytest.raises(LinkError, match="the device has none of 00002a"):
            async with find_adapter(family).transport(config(family)).open():
                pass


@pytest.mark.parametrize("family", ["gatt-spot", "gatt-continuous"])
def test_settings_that_cannot_work_say_which_device_and_option(family: str):
    with pytest.raises(ConfigError, match="device device: option zone = 'Asia/Nowhere'"):
        find_adapter(family).check(config(family, zone="Asia/Nowhere"))
    with pytest.raises(ConfigError, match="expected ble:"):
        find_adapter(family).check(DeviceConfig("device", family, "/dev/ttyUSB0"))
