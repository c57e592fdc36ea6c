"""Bedside monitors as processes of their own, over a real broker and over HTTPS, through the agent to the hub: what is sent is stored.

Bed 3's monitor sends twelve leads by MQTT 5 with mutual TLS, bed 5's sends JSON in signed requests; both are made to go wrong.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from firmware_adapters.simulate.monitor import GARBAGE
from firmware_adapters.simulate.monitor_signals import numbers_of
from protocols.nomenclature import EVT_CLOCK_WRONG, EVT_DEVICE_SEEN, EVT_FAULT, LINK_LOSS, LINK_LOST
from protocols.record import NS_PER_S, AlarmCondition, Observation, Presence, Quality
from tests.fixtures.hub_peer import Authority
from tests.fixtures.mqtt_broker import MqttBroker
from tests.fixtures.signed_http import Device
from tests.fixtures.ward_gateway import (
    CAPTURES,
    DoorGateway,
    MonitorProcess,
    counts_of,
    door_gateway,
    joined,
    monitor,
    until,
)
from wardlink.local.ports import free_port

pytestmark = pytest.mark.integration
TWELVE, DESATURATION = "ecg12-A0005-pvc", "bidmc-11-desaturation"
TABLE = CAPTURES / f"{DESATURATION}.numerics.csv"
SPO2 = "MDC_PULS_OXIM_SAT_O2"


@dataclass
class Bed:
    """A monitor of a bed, switched on, and the gateway that it sends to."""

    at: DoorGateway
    device: str
    monitor: MonitorProcess

    async def has(self, seconds: int, fs_hz: int) -> None:
        """Wait for so many seconds of ECG at the hub."""
        await until(lambda: self.at.samples(self.device, "ecg") >= seconds * fs_hz)


@asynccontextmanager
async def bed_3(broker: MqttBroker, folder: Path, *words: str | Path) -> AsyncGenerator[Bed]:
    await broker.start()
    broker.papers("monitor-3")
    papers = ["--ca", broker.folder / "ca.pem", "--certificate", broker.folder / "monitor-3.pem"]
    papers += ["--key", broker.folder / "monitor-3.key"]
    url = f"mqtts://127.0.0.1:{broker.port}/bedside"
    gateway = door_gateway(folder, broker.settings("monitor-3"))
    async with gateway as at, monitor("monitor-3", url, *papers, *words) as process:
        yield Bed(at, "monitor-3", process)


@asynccontextmanager
async def bed_5(folder: Path, *words: str | Path) -> AsyncGenerator[Bed]:
    authority, device, port = Authority(), Device("monitor-5"), free_port()
    papers = authority.server()
    for name, content in (
        ("door.pem", papers.certificate), ("door.key", papers.key), ("ca.pem", authority.pem),
        ("monitor-5.key.pem", device.private_pem), ("monitor-5.pub.pem", device.public_pem.encode()),
    ):  # fmt: skip
        (folder / name).write_bytes(content)
    url = f"https://127.0.0.1:{port}/packages"
    settings = f'[[doors]]\nname = "https"\nkind = "http"\nurl = "{url}"\n'
    settings += '[doors.options]\ncertificate = "door.pem"\nkey = "door.key"\n'
    settings += '[[doors.devices]]\nid = "monitor-5"\npublic_key = "monitor-5.pub.pem"\n'
    own = ["--ca", folder / "ca.pem", "--key", folder / "monitor-5.key.pem"]
    async with door_gateway(folder, settings) as at, monitor("monitor-5", url, *own, *words) as process:
        yield Bed(at, "monitor-5", process)


def spo2(bed: Bed) -> list[object]:
    found = [o for o in bed.at.stored(bed.device, Observation) if o.code == SPO2]
    return [o.value for o in sorted(found, key=lambda o: o.times.device_ns or 0)]


def at_second(bed: Bed, part: str = "ecg") -> list[int]:
    """The seconds of the monitor that are stored, in order."""
    return [round(g.first_sample / g.fs_hz) for g in bed.at.groups(bed.device, part)]


def lost_link(bed: Bed) -> list[Presence]:
    """What became of the alarm of a lost link, in order."""
    return [a.presence for a in bed.at.stored(bed.device, AlarmCondition) if a.code == LINK_LOST]


@pytest.mark.req("IOT-5.4e", surface="protocol")
async def test_twelve_leads_over_mqtt_are_the_recordings_samples_and_where_it_begins_again_is_a_gap(
    mqtt_broker: MqttBroker, tmp_path: Path
):
    words = ("--record", CAPTURES / TWELVE, "--numbers", TABLE, "--start-s", "21", "--loop-pause-s", "2")
    async with bed_3(mqtt_broker, tmp_path, *words) as bed:
        await bed.has(6, 500)
        groups, gaps = bed.at.groups("monitor-3", "ecg"), bed.at.gaps("monitor-3", "ecg")
        assert at_second(bed)[:6] == [0, 1, 2, 3, 6, 7]
        assert (joined(groups[:4]) == counts_of(TWELVE, 21, 4)).all()
        assert (joined(groups[4:6]) == counts_of(TWELVE, 21, 2)).all()
        again = [(LINK_LOSS, 2000 + n * 3000, 3000 + n * 3000) for n in range(max(1, len(gaps)))]
        assert [(g.reason, g.from_sample, g.to_sample) for g in gaps] == again, (
            "each time it begins again, and nothing else"
        )
        assert gaps[0].to_ns - gaps[0].from_ns == pytest.approx(2 * NS_PER_S, abs=NS_PER_S)
        await until(lambda: len(spo2(bed)) >= 4 and bool(bed.at.events("monitor-3", EVT_DEVICE_SEEN)))
        assert spo2(bed)[:4] == [row["SpO2"] for row in numbers_of(TABLE, start_s=21)[:4]]
        (seen,) = bed.at.events("monitor-3", EVT_DEVICE_SEEN)
        about = {"make": "Simulated monitors", "model": "Bedside 12", "serial": "SIM-0007", "firmware": "1.0"}
        assert dict(seen.params) == {"door": "mqtt", "listed": True, **about}


@pytest.mark.req("IOT-5.4e", surface="protocol")
async def test_a_falling_saturation_over_https_is_the_tables_and_where_it_begins_again_is_a_gap(tmp_path: Path):
    words = ("--record", CAPTURES / DESATURATION, "--numbers", TABLE, "--start-s", "295", "--loop-pause-s", "2")
    async with bed_5(tmp_path, *words) as bed:
        await bed.has(7, 125)
        assert at_second(bed)[:7] == [0, 1, 2, 3, 4, 7, 8]
        groups = bed.at.groups("monitor-5", "ecg")
        assert (joined(groups[:5]) == counts_of(DESATURATION, 295, 5, slice(0, 1))).all()
        assert (joined(groups[5:7]) == counts_of(DESATURATION, 295, 2, slice(0, 1))).all()
        await until(lambda: len(bed.at.groups("monitor-5", "oxi")) >= 5)
        pleth = joined(bed.at.groups("monitor-5", "oxi")[:5])
        assert (pleth == counts_of(DESATURATION, 295, 5, slice(1, 2))).all()
        assert [(g.from_sample, g.to_sample) for g in bed.at.gaps("monitor-5", "ecg")] == [(625, 875)]
        await until(lambda: len(spo2(bed)) >= 5)
        assert spo2(bed)[:5] == [row["SpO2"] for row in numbers_of(TABLE, start_s=295)[:5]]
    assert bed.at.hub.store.stored_twice == []


async def test_numbers_alone_fall_as_the_table_says(tmp_path: Path):
    async with bed_5(tmp_path, "--numbers", TABLE, "--start-s", "62") as bed:
        await until(lambda: len(spo2(bed)) >= 5)
        rows = numbers_of(TABLE, start_s=62)[:5]
        assert spo2(bed)[:5] == [row["SpO2"] for row in rows]
        assert rows[0]["SpO2"] > rows[-1]["SpO2"]


@asynccontextmanager
async def bed_at(door: str, broker: MqttBroker, folder: Path) -> AsyncGenerator[Bed]:
    """The same recording at either door; without a pause before it begins again, a package is promised every second."""
    words = ("--record", CAPTURES / DESATURATION, "--numbers", TABLE, "--loop-pause-s", "0")
    async with bed_3(broker, folder, *words) if door == "mqtt" else bed_5(folder, *words) as bed:
        await bed.has(2, 125)
        yield bed


DOORS = pytest.mark.parametrize("door", ["mqtt", "https"])


async def is_whole(bed: Bed, seconds: int) -> None:
    """The first so many seconds come to be all there, each once, with the recording's samples. Of a backlog the newest come first."""
    await until(lambda: at_second(bed)[:seconds] == list(range(seconds)))
    found = joined(bed.at.groups(bed.device, "ecg")[:seconds])
    assert (found == counts_of(DESATURATION, 0, seconds, slice(0, 1))).all()


@DOORS
async def test_a_cable_that_is_out_is_an_alarm_and_what_was_measured_meanwhile_comes_when_it_is_in_again(
    door: str, mqtt_broker: MqttBroker, tmp_path: Path
):
    async with bed_at(door, mqtt_broker, tmp_path) as bed:
        bed.monitor.order("FAULT drop-link 7")
        await until(lambda: Presence.PRESENT in lost_link(bed))  # 5 s without the package that was promised
        there = len(at_second(bed))
        await until(lambda: lost_link(bed)[-1] is Presence.ENDED)
        await is_whole(bed, there + 6)
        assert not bed.at.gaps(bed.device, "ecg")


@DOORS
async def test_garbage_is_kept_as_a_fault_with_its_bytes_and_what_comes_behind_it_is_taken(
    door: str, mqtt_broker: MqttBroker, tmp_path: Path
):
    async with bed_at(door, mqtt_broker, tmp_path) as bed:
        bed.monitor.order("FAULT garbage 3")
        await until(lambda: bool(bed.at.events(bed.device, EVT_FAULT)))
        before = len(at_second(bed))
        await bed.has(before + 2, 125)
        (fault,) = bed.at.events(bed.device, EVT_FAULT)  # the same three times is one
        assert fault.source.device == bed.device
        assert base64.b64decode(fault.text) == GARBAGE
        assert at_second(bed) == list(range(len(at_second(bed))))


@DOORS
async def test_a_clock_that_is_years_off_is_told_and_moves_no_sample(
    door: str, mqtt_broker: MqttBroker, tmp_path: Path
):
    async with bed_at(door, mqtt_broker, tmp_path) as bed:
        bed.monitor.order("FAULT wrong-clock")
        await until(lambda: bool(bed.at.events(bed.device, EVT_CLOCK_WRONG)))
        before = len(at_second(bed))
        await bed.has(before + 2, 125)
        groups = bed.at.groups(bed.device, "ecg")
        assert at_second(bed) == list(range(len(groups)))
        begins = np.array([g.times.corrected_ns for g in groups]) / NS_PER_S
        assert np.abs(np.diff(begins) - 1).max() < 2  # the clock is 20 years off
        assert {(g.times.device_ns or 0) // NS_PER_S > 1_500_000_000 for g in groups} == {True, False}
        bed.monitor.order("FAULT wrong-clock")
        await until(lambda: (bed.at.groups(bed.device, "ecg")[-1].times.device_ns or 0) > 1_500_000_000 * NS_PER_S)
        assert not bed.at.gaps(bed.device, "ecg")


@DOORS
async def test_leads_that_are_pulled_off_are_no_ecg_and_come_back(door: str, mqtt_broker: MqttBroker, tmp_path: Path):
    async with bed_at(door, mqtt_broker, tmp_path) as bed:
        bed.monitor.order("FAULT pull-lead 2")
        await until(lambda: any(Quality.LEAD_OFF in g.quality for g in bed.at.groups(bed.device, "ecg")))
        await until(lambda: Quality.LEAD_OFF not in bed.at.groups(bed.device, "ecg")[-1].quality)
        off = [n for n, g in enumerate(bed.at.groups(bed.device, "ecg")) if Quality.LEAD_OFF in g.quality]
        assert len(off) == 2
        await until(lambda: len(bed.at.groups(bed.device, "oxi")) > off[0])
        assert Quality.LEAD_OFF not in bed.at.groups(bed.device, "oxi")[off[0]].quality


async def test_every_sample_is_stored_once_although_broker_and_agent_are_killed(
    mqtt_broker: MqttBroker, tmp_path: Path
):
    async with bed_at("mqtt", mqtt_broker, tmp_path) as bed:
        mqtt_broker.kill()
        await asyncio.sleep(1)
        await mqtt_broker.start()
        await bed.has(len(at_second(bed)) + 3, 125)
        await bed.at.agent.kill()
        await bed.at.agent.start()
        await is_whole(bed, len(at_second(bed)) + 4)
        assert bed.at.store.stored_twice == []
