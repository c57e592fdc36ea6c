"""A simulated chest strap behind a simulated BlueZ on a real bus, read by bleak, the Polar adapter and the pipeline that ship."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import dropwhile
from pathlib import Path

import numpy as np
import pytest

from firmware_adapters.adapter import ConfigError, DeviceConfig, LinkError, OptionValue
from firmware_adapters.polar import STALE_S
from firmware_adapters.registry import find_adapter
from firmware_adapters.simulate import polar
from firmware_adapters.simulate.bluez import Bluez
from firmware_adapters.simulate.polar import Chest, Strap
from firmware_adapters.transport import ble
from firmware_adapters.transport.ble import GattPlan
from protocols.nomenclature import (
    BATTERY_CHARGE,
    EVT_BATTERY_LOW,
    EVT_CLOCK_STEP,
    EVT_CLOCK_WRONG,
    EVT_CONNECTED,
    EVT_DEVICE_SEEN,
    EVT_DISCONNECTED,
    EVT_FAULT,
    HEART_RATE,
    LINK_LOSS,
    RR_INTERVAL,
)
from tests.fixtures.bedside import Bedside, bedside

pytestmark = pytest.mark.integration

ADDRESS, OTHER = "A0:9E:1A:00:00:01", "A0:9E:1A:00:00:02"
WITHIN_S = 20.0


@pytest.fixture(scope="module")
def chest() -> Chest:
    return polar.from_record(Path(__file__).parents[1] / "captures" / "mitdb-100-normal")


@asynccontextmanager
async def worn(bluez: Bluez, *straps: Strap, speed: float = 1.0) -> AsyncGenerator[None]:
    playing = [asyncio.create_task(polar.play(bluez, strap, speed=speed)) for strap in straps]
    yield
    for task in playing:
        assert not task.done(), task.exception()
        task.cancel()


def strap_bed(url: str = f"ble:{ADDRESS}", device: str = "strap") -> AbstractAsyncContextManager[Bedside]:
    return bedside(DeviceConfig(device, "polar", url))


def assert_exact(strap: Strap, bed: Bedside) -> int:
    """Every sample that arrived is the one that was measured under its number; returns how many arrived.

    Numbers begin at 0 with the first sample that was sent, as a strap has none of its own.
    """
    base = strap.sent_frames[0][0]
    seen = 0
    for group in bed.waves("ecg"):
        measured = strap.values(base + group.first_sample, base + group.end_sample)
        np.testing.assert_array_equal(group.array()[0], measured)
        assert group.first_sample >= seen, "a sample came twice"
        seen = group.end_sample
    return sum(g.n for g in bed.waves("ecg"))


@pytest.mark.req("IOT-7.3a", "IOT-8.2a", surface="protocol")
async def test_the_ecg_of_a_recording_arrives_sample_for_sample(bluez: Bluez, chest: Chest):
    strap = Strap(chest, ADDRESS)
    async with worn(bluez, strap, speed=4), strap_bed() as bed:
        await bed.until(lambda: sum(g.n for g in bed.waves("ecg")) > 4000)
    assert assert_exact(strap, bed) > 4000
    assert not bed.gaps()
    assert not bed.events(EVT_FAULT)
    assert {g.leads for g in bed.waves("ecg")} == {("MDC_ECG_ELEC_POTL_I",)}
    assert max(np.ptp(g.physical()) for g in bed.waves("ecg")) > 300  # microvolt: there are beats on it
    # record 100 beats at 74 to 77 a minute in its first minute, by its annotations
    rates = list(dropwhile(lambda rate: rate == 0, bed.readings(HEART_RATE)))  # 0 until there are beats to count
    assert len(rates) > 2
    assert all(70 <= rate <= 80 for rate in rates[1:])
    assert all(700 <= interval <= 900 for interval in bed.readings(RR_INTERVAL))


@pytest.mark.req("IOT-6.3d", surface="protocol")
async def test_a_wearable_delivers_vital_signs_within_a_second_of_measuring_them(bluez: Bluez, chest: Chest):
    strap = Strap(chest, ADDRESS)
    delays_s: list[float] = []
    async with worn(bluez, strap), strap_bed() as bed:
        for n in range(1, 6):
            await bed.until(lambda n=n: len(bed.waves("ecg")) >= n)
            group = bed.waves("ecg")[n - 1]
            # the strap's clock is the machine's here: when the first sample of the frame was measured
            assert group.times.device_ns is not None
            delays_s.append((time.time_ns() - group.times.device_ns) / 1e9)
        await bed.until(lambda: bed.readings(HEART_RATE) and bed.readings(RR_INTERVAL))
    print(
        f"ECG samples were {max(delays_s):.2f} s old at most; a frame is {polar.FRAME_SAMPLES / polar.RATE_HZ:.2f} s long"
    )
    assert max(delays_s) < 1


async def test_the_time_of_a_sample_is_when_it_was_measured(bluez: Bluez, chest: Chest):
    strap = Strap(chest, ADDRESS)
    async with worn(bluez, strap), strap_bed() as bed:
        await bed.until(lambda: len(bed.waves("ecg")) >= 4)
    for group in bed.waves("ecg"):
        # the simulator's clock is the machine's, and it sends a frame when its last sample is measured
        assert group.times.device_ns is not None
        assert abs(group.times.best_ns - group.times.device_ns) < 200_000_000  # a frame is 562 ms long


async def test_a_strap_makes_itself_known_for_the_ledger(bluez: Bluez, chest: Chest):
    strap = Strap(chest, ADDRESS, serial="9F00A001")
    async with worn(bluez, strap), strap_bed("ble:Polar H10 9F00A001") as bed:
        await bed.until(lambda: bed.waves("ecg"))
        strap.battery = 12
        await bed.until(lambda: bed.events(EVT_BATTERY_LOW))
    # the gateway tells what its settings say; this is what the strap says of itself
    (seen,) = [event for event in bed.events(EVT_DEVICE_SEEN) if "serial" in dict(event.params)]
    known = dict(seen.params)
    assert (known["make"], known["model"], known["serial"], known["firmware"]) == (
        "Polar Electro Oy",
        "H10",
        "9F00A001",
        "5.0.0",
    )
    assert bed.readings(BATTERY_CHARGE) == [87, 12]


async def test_after_a_lost_link_all_is_subscribed_again_and_one_gap_has_the_exact_size(bluez: Bluez, chest: Chest):
    strap = Strap(chest, ADDRESS)
    async with worn(bluez, strap), strap_bed() as bed:
        await bed.until(lambda: len(bed.waves("ecg")) >= 2)
        strap.peripheral.on_air = False
        bluez.drop(strap.peripheral)
        await bed.until(lambda: bed.events(EVT_DISCONNECTED))
        groups = len(bed.waves("ecg"))
        await asyncio.sleep(1.5)
        strap.peripheral.on_air = True
        await bed.until(lambda: len(bed.waves("ecg")) >= groups + 2 and bed.readings(HEART_RATE))
    assert bluez.connections[ADDRESS] == 2
    assert bluez.subscriptions == {polar.CONTROL: 2, polar.DATA: 2, polar.HEART_RATE: 2, polar.BATTERY: 2}
    (gap,) = bed.gaps()
    assert (gap.reason, gap.source.path) == (LINK_LOSS, ("ecg",))
    assert gap.from_sample == bed.waves("ecg")[groups - 1].end_sample
    assert gap.to_sample == bed.waves("ecg")[groups].first_sample
    assert (gap.to_sample or 0) - (gap.from_sample or 0) >= 130
    assert_exact(strap, bed)  # the numbers behind the gap are those of the strap


async def test_lost_notifications_are_one_gap_with_their_numbers(bluez: Bluez, chest: Chest):
    strap = Strap(chest, ADDRESS)
    async with worn(bluez, strap, speed=4), strap_bed() as bed:
        await bed.until(lambda: len(bed.waves("ecg")) >= 3)
        strap.faults.lose = 3
        await bed.until(bed.gaps)
    (gap,) = bed.gaps()
    base = strap.sent_frames[0][0]
    assert (gap.from_sample, gap.to_sample) == (
        strap.lost_frames[0][0] - base,
        strap.lost_frames[2][1] - base,
    )
    assert_exact(strap, bed)


async def test_a_link_that_is_up_and_dead_is_found_and_opened_again(
    bluez: Bluez, chest: Chest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ble, "REQUEST_S", 1.0)  # what the dead link is asked while it is being closed is not answered
    strap = Strap(chest, ADDRESS)
    async with worn(bluez, strap), strap_bed() as bed:
        await bed.until(lambda: len(bed.waves("ecg")) >= 2)
        groups = len(bed.waves("ecg"))
        began_s = time.monotonic()
        strap.peripheral.dead = True  # no word from BlueZ: it goes on calling the strap connected
        await bed.until(lambda: bed.events(EVT_DISCONNECTED))
        found_s = time.monotonic() - began_s
        # BlueZ sees it at last, and the strap is there again
        bluez.drop(strap.peripheral)
        await bed.until(lambda: len(bed.waves("ecg")) > groups)
    print(f"a dead link was found after {found_s:.1f} s")
    assert found_s < STALE_S + 3 * ble.REQUEST_S
    assert len(bed.gaps()) == 1
    assert_exact(strap, bed)


async def test_an_ecg_that_stops_is_noticed_although_other_values_go_on(bluez: Bluez, chest: Chest):
    strap = Strap(chest, ADDRESS)
    async with worn(bluez, strap), strap_bed() as bed:
        await bed.until(lambda: len(bed.waves("ecg")) >= 2)
        groups = len(bed.waves("ecg"))
        strap.faults.lose = 1_000_000
        await bed.until(lambda: bed.events(EVT_DISCONNECTED), STALE_S + 3)
        assert bed.readings(HEART_RATE)
        strap.faults.lose = 0
        await bed.until(lambda: len(bed.waves("ecg")) > groups)
    assert len(bed.gaps()) == 1
    assert_exact(strap, bed)


async def test_an_ecg_that_stops_is_noticed_although_the_accelerometer_goes_on(bluez: Bluez, chest: Chest):
    strap = Strap(chest, ADDRESS)
    config = DeviceConfig("strap", "polar", f"ble:{ADDRESS}", {"acceleration_hz": 25})
    async with worn(bluez, strap), bedside(config) as bed:
        await bed.until(lambda: len(bed.waves("ecg")) >= 2 and bed.waves("accelerometer"))
        felt = len(bed.waves("accelerometer"))
        strap.faults.lose = 1_000_000
        await bed.until(lambda: bed.events(EVT_DISCONNECTED), STALE_S + 3)
        assert len(bed.waves("accelerometer")) > felt
    for group in bed.waves("accelerometer"):
        assert np.linalg.norm(group.physical().mean(axis=1)) == pytest.approx(1, abs=0.05)  # g, at rest


async def test_garbage_is_told_with_its_bytes_and_the_rest_goes_on(bluez: Bluez, chest: Chest):
    strap = Strap(chest, ADDRESS)
    garbage = [
        (polar.DATA, b""),
        (polar.DATA, bytes.fromhex("00 01 02 03")),
        (polar.DATA, bytes.fromhex("0B DA EB C3 9E 98 43 52 08 00 F4 FF FF")),
        (polar.DATA, bytes.fromhex("00 DA EB C3 9E 98 43 52 08 00 F4 FF FF FA")),
        (polar.HEART_RATE, bytes.fromhex("18 4B 34")),
        (polar.BATTERY, b"\xff"),
        (polar.CONTROL, b"\x77\x00"),
    ]
    async with worn(bluez, strap, speed=4), strap_bed() as bed:
        await bed.until(lambda: len(bed.waves("ecg")) >= 2)
        strap.faults.garbage += garbage
        await bed.until(lambda: len(bed.events(EVT_FAULT)) >= len(garbage))
        groups = len(bed.waves("ecg"))
        await bed.until(lambda: len(bed.waves("ecg")) >= groups + 3)
    assert [event.text for event in bed.events(EVT_FAULT)] == [raw.hex(" ") for _, raw in garbage]
    assert not bed.gaps()
    assert_exact(strap, bed)


async def test_a_strap_whose_clock_was_never_set_is_told_and_loses_nothing(bluez: Bluez, chest: Chest):
    strap = Strap(chest, ADDRESS)
    strap.clock_ns = polar.UNSET_CLOCK_NS
    async with worn(bluez, strap), strap_bed() as bed:
        await bed.until(lambda: len(bed.waves("ecg")) >= 3)
        # an app sets the clock while the strap is worn
        strap.clock_ns = time.time_ns() - polar.BORN_CLOCK_NS
        groups = len(bed.waves("ecg"))
        await bed.until(lambda: len(bed.waves("ecg")) >= groups + 3)
    (wrong,) = bed.events(EVT_CLOCK_WRONG)
    assert float(dict(wrong.params)["off_ns"]) < -5 * 365 * 86400 * 1_000_000_000
    assert len(bed.events(EVT_CLOCK_STEP)) == 1
    assert not bed.gaps()
    assert_exact(strap, bed)
    assert all(abs(g.times.best_ns - time.time_ns()) < 60_000_000_000 for g in bed.waves("ecg"))


async def test_two_straps_on_one_radio_are_kept_apart(bluez: Bluez, chest: Chest):
    other_chest = Chest(np.ascontiguousarray(-chest.microvolt[500:]), chest.beats)
    one, two = Strap(chest, ADDRESS), Strap(other_chest, OTHER, serial="0000BEEF")
    async with (
        worn(bluez, one, two),
        strap_bed(device="strap-1") as first,
        strap_bed(f"ble:{OTHER}", "strap-2") as second,
    ):
        await first.until(lambda: len(first.waves("ecg")) >= 3 and len(second.waves("ecg")) >= 3)
        bluez.drop(one.peripheral)
        groups = len(second.waves("ecg"))
        await second.until(lambda: len(second.waves("ecg")) >= groups + 2)
        await first.until(lambda: len(first.events(EVT_CONNECTED)) == 2)
    assert_exact(one, first)
    assert_exact(two, second)
    assert not second.gaps()
    assert {g.source.device for g in second.waves("ecg")} == {"strap-2"}


async def test_straps_of_another_process_are_played_and_made_to_fail(bus_address: str, captures: Path):
    record = captures / "mitdb-100-normal"
    program = [sys.executable, "-m", "firmware_adapters.simulate.radio", bus_address, f"{ADDRESS}={record}"]
    radio = await asyncio.create_subprocess_exec(*program, "--speed", "2", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert radio.stdin is not None
    assert radio.stdout is not None
    assert radio.stderr is not None
    try:
        assert await radio.stdout.readline() == b"on the air\n"
        async with strap_bed() as bed:
            await bed.until(lambda: bed.waves("ecg"))
            radio.stdin.write(f"lose {ADDRESS}\n".encode())
            await bed.until(bed.gaps)
            radio.stdin.write(f"wrong-clock {ADDRESS}\n".encode())
            await bed.until(lambda: bed.events(EVT_CLOCK_WRONG))
            radio.stdin.write(f"garbage {ADDRESS}\n".encode())
            await bed.until(lambda: len(bed.events(EVT_FAULT)) == 3)
            radio.stdin.write(f"drop-link {ADDRESS}\n".encode())
            await bed.until(lambda: len(bed.events(EVT_CONNECTED)) == 2)
            radio.stdin.write(f"explode {ADDRESS}\nlose nobody\n".encode())
            said = await radio.stderr.readline() + await radio.stderr.readline()
    finally:
        radio.terminate()
    assert await radio.wait() == 0
    assert b"fault 'explode': expected one of drop-link" in said
    assert f"device 'nobody': expected one of {ADDRESS}".encode() in said


async def test_a_strap_that_is_not_there_is_named_with_what_to_do(bluez: Bluez):
    plan = GattPlan(notify=(polar.DATA,), watched=(polar.DATA,), stale_s=STALE_S)
    with pytest.raises(LinkError, match=f"{OTHER}: not heard in 1 s; is the device on"):
        async with ble.BleTransport("strap", f"ble:{OTHER}", plan, scan_s=1).open():
            pass


async def test_a_device_of_another_kind_is_refused_by_name(bluez: Bluez, chest: Chest):
    strap = Strap(chest, ADDRESS)
    del strap.peripheral.services["fb005c80-02e7-f387-1cad-8acd2d8df0c8"]
    transport = find_adapter("polar").transport(DeviceConfig("strap", "polar", f"ble:{ADDRESS}"))
    async with worn(bluez, strap):
        with pytest.raises(LinkError, match="has no characteristic fb005c81"):
            async with transport.open():
                pass


async def test_a_machine_without_bluetooth_says_so(bus_address: str):
    transport = find_adapter("polar").transport(DeviceConfig("strap", "polar", f"ble:{ADDRESS}"))
    with pytest.raises(LinkError, match="cannot scan for Bluetooth devices"):
        async with transport.open():
            pass


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("/dev/ttyUSB0", {}, "expected ble: and the device's address or name"),
        ("ble:", {}, "expected ble:"),
        ("ble:x", {"lead": "XX"}, "lead 'XX'"),
        ("ble:x", {"acceleration_hz": 60}, "acceleration_hz = 60"),
    ],
)
def test_settings_that_cannot_work_say_which_device_and_option(url: str, options: dict[str, OptionValue], said: str):
    with pytest.raises(ConfigError, match=said) as error:
        find_adapter("polar").check(DeviceConfig("strap-7", "polar", url, options))
    assert "strap-7" in str(error.value)
