"""Bed 4's patch and thermometer as a process of their own: SenML over CoAP, through the agent to the hub; what is sent is stored.

Bed 4's send with OSCORE, bed 5's over DTLS.
"""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from firmware_adapters.simulate.patch import GARBAGE, temperature_at
from firmware_adapters.transport.coap_keys import make_oscore, make_psk
from protocols.ecgfile.wfdb import read_record
from protocols.nomenclature import EVT_CLOCK_WRONG, EVT_DEVICE_SEEN, EVT_FAULT, LINK_LOSS, LINK_LOST
from protocols.record import NS_PER_S, AlarmCondition, Gap, Observation, Presence, Quality, Scale, WaveformGroup
from tests.fixtures.coap import CoapClient
from tests.fixtures.ports import free_udp_port
from tests.fixtures.ward_gateway import CAPTURES, DoorGateway, MonitorProcess, door_gateway, joined, until

pytestmark = pytest.mark.integration
RECORD, FS_HZ = "mitdb-202-af", 360
PATCH, THERMOMETER = "patch-4", "thermometer-4"


def counts_of(start_s: int, seconds: int) -> "np.ndarray":
    """The first lead of the excerpt as the patch counts: its baseline is 0. Shape (1, n)."""
    record = read_record(CAPTURES / RECORD)
    return record.raw[:1, start_s * FS_HZ : (start_s + seconds) * FS_HZ] - record.header.signals[0].baseline


@dataclass
class Bed:
    """Both devices, switched on, and the gateway that they send to."""

    at: DoorGateway
    process: MonitorProcess
    patch: str = PATCH
    thermometer: str = THERMOMETER

    def order(self, line: str) -> None:
        self.process.order(line)

    def groups(self) -> list[WaveformGroup]:
        return self.at.groups(self.patch, "ecg")

    def gaps(self) -> list[Gap]:
        return self.at.gaps(self.patch, "ecg")

    def at_second(self) -> list[int]:
        """The seconds of ECG that are stored, in order."""
        return [round(g.first_sample / FS_HZ) for g in self.groups()]

    async def has(self, seconds: int) -> None:
        await until(lambda: len(self.at_second()) >= seconds)

    def temperatures(self) -> list[Observation]:
        found = [o for o in self.at.stored(self.thermometer, Observation) if o.code == "MDC_TEMP_BODY"]
        return sorted(found, key=lambda o: o.times.gateway_ns)

    def lost_link(self) -> list[Presence]:
        return [a.presence for a in self.at.stored(self.patch, AlarmCondition) if a.code == LINK_LOST]


Holds: TypeAlias = Callable[[Callable[[Bed], Coroutine[None, None, None]]], Coroutine[None, None, None]]


@asynccontextmanager
async def worn(at: DoorGateway, url: str, secrets: dict[str, Path], *words: str) -> AsyncGenerator[Bed]:
    """A patch and a thermometer, in this order in `secrets`."""
    program = [sys.executable, "-m", "firmware_adapters.simulate.patch", str(CAPTURES / RECORD), url, "--every-s", "2"]
    for option, device in zip(("--patch", "--thermometer"), secrets, strict=True):
        program += [option, f"{device}={secrets[device]}"]
    process = MonitorProcess(await asyncio.create_subprocess_exec(*program, *words, stdin=PIPE, stderr=PIPE))
    try:
        yield Bed(at, process, *secrets)
    finally:
        print(await process.end())


def door(kind: str, url: str, secrets: dict[str, Path]) -> str:
    """The settings of a door; what OSCORE calls a context is a key of DTLS."""
    devices = [f'[[doors.devices]]\nid = "{device}"\n{kind} = "{secret.name}"\n' for device, secret in secrets.items()]
    return f'[[doors]]\nname = "{url.partition(":")[0]}"\nkind = "coap"\nurl = "{url}"\n{"".join(devices)}'


@asynccontextmanager
async def bed_4(folder: Path, *words: str) -> AsyncGenerator[Bed]:
    """Under OSCORE."""
    url = f"coap://127.0.0.1:{free_udp_port()}/packages"
    halves = {device: make_oscore(device, folder) for device in (PATCH, THERMOMETER)}
    settings = door("oscore", url, {device: gateways for device, (gateways, _) in halves.items()})
    own = {device: half for device, (_, half) in halves.items()}
    async with door_gateway(folder, settings) as at, worn(at, url, own, *words) as bed:
        yield bed


@asynccontextmanager
async def beds_4_and_5(folder: Path, client: CoapClient) -> AsyncGenerator[tuple[Bed, Bed]]:
    """Under OSCORE and over DTLS, at two doors of one gateway; both play without a pause."""
    url, url_5 = (f"{scheme}://127.0.0.1:{free_udp_port()}/packages" for scheme in ("coap", "coaps"))
    halves = {device: make_oscore(device, folder) for device in (PATCH, THERMOMETER)}
    keys = {device: make_psk(device, folder) for device in ("patch-5", "thermometer-5")}
    settings = door("oscore", url, {device: gateways for device, (gateways, _) in halves.items()})
    words = ("--loop-pause-s", "0")
    async with (
        door_gateway(folder, settings + door("psk", url_5, keys)) as at,
        worn(at, url, {device: own for device, (_, own) in halves.items()}, *words) as bed_4,
        worn(at, url_5, keys, "--coap-client", str(client.script()), *words) as bed_5,
    ):
        yield bed_4, bed_5


@pytest.fixture
def at_both_beds(tmp_path: Path, coap_client: Callable[[str], CoapClient]) -> Holds:
    """Something holds at bed 4 and at bed 5, at the same time."""

    async def holds(what: Callable[[Bed], Coroutine[None, None, None]]) -> None:
        async with beds_4_and_5(tmp_path, coap_client("openssl")) as beds, asyncio.TaskGroup() as tasks:
            for bed in beds:
                tasks.create_task(what(bed))

    return holds


@pytest.mark.req("IOT-5.4d", "IOT-5.4e", surface="protocol")
async def test_a_patchs_ecg_is_the_recordings_samples_and_where_it_begins_again_is_a_gap(tmp_path: Path):
    async with bed_4(tmp_path, "--start-s", "176", "--loop-pause-s", "2") as bed:
        await bed.has(6)
        groups, gaps = bed.groups(), bed.gaps()
        assert bed.at_second()[:6] == [0, 1, 2, 3, 6, 7]
        assert (joined(groups[:4]) == counts_of(176, 4)).all()
        assert (joined(groups[4:6]) == counts_of(176, 2)).all()
        assert {(g.leads, g.fs_hz, g.scales) for g in groups} == {
            (("MDC_ECG_ELEC_POTL_II",), 360.0, (Scale(5.0, 0.0, "uV"),))  # 200 counts a millivolt
        }
        assert [(g.reason, g.from_sample, g.to_sample) for g in gaps] == [(LINK_LOSS, 4 * FS_HZ, 6 * FS_HZ)]
        begins = [g.times.device_ns or 0 for g in groups]
        assert [(b - begins[0]) / NS_PER_S for b in begins[:6]] == [0, 1, 2, 3, 6, 7]
        await until(lambda: len(bed.temperatures()) >= 3)
        found = [(o.value, o.unit, o.site) for o in bed.temperatures()[:3]]
        assert found == [(temperature_at(second), "Cel", "axilla") for second in (0, 2, 4)]
        for device, model in ((PATCH, "ECG patch"), (THERMOMETER, "Thermometer")):
            await until(lambda device=device: bool(bed.at.events(device, EVT_DEVICE_SEEN)))
            (seen,) = bed.at.events(device, EVT_DEVICE_SEEN)
            assert (dict(seen.params)["model"], dict(seen.params)["door"]) == (model, "coap")
    assert bed.at.store.stored_twice == []


async def is_whole(bed: Bed, seconds: int) -> None:
    """The first so many seconds come to be all there, each once, with the recording's samples."""
    await until(lambda: bed.at_second()[:seconds] == list(range(seconds)))
    assert (joined(bed.groups()[:seconds]) == counts_of(0, seconds)).all()
    assert not bed.gaps()


async def test_a_patch_out_of_reach_is_an_alarm_and_sends_what_it_kept_when_it_is_back(at_both_beds: Holds):
    async def holds(bed: Bed) -> None:
        await bed.has(2)
        bed.order("FAULT drop-link 7")
        await until(lambda: Presence.PRESENT in bed.lost_link())  # 5 s without the pack that was promised
        there = len(bed.at_second())
        await until(lambda: bed.lost_link()[-1] is Presence.ENDED)
        await is_whole(bed, there + 6)

    await at_both_beds(holds)


async def test_garbage_is_kept_as_a_fault_with_its_bytes_and_what_comes_behind_it_is_taken(at_both_beds: Holds):
    async def holds(bed: Bed) -> None:
        await bed.has(2)
        bed.order("FAULT garbage")
        for device in (bed.patch, bed.thermometer):
            await until(lambda device=device: bool(bed.at.events(device, EVT_FAULT)))
            (fault,) = bed.at.events(device, EVT_FAULT)
            assert bytes.fromhex(fault.text) == GARBAGE
        await is_whole(bed, len(bed.at_second()) + 2)

    await at_both_beds(holds)


async def test_a_clock_that_is_years_off_is_told_and_moves_no_sample(at_both_beds: Holds):
    async def holds(bed: Bed) -> None:
        await bed.has(2)
        bed.order("FAULT wrong-clock")
        await until(lambda: bool(bed.at.events(bed.patch, EVT_CLOCK_WRONG)))
        await is_whole(bed, len(bed.at_second()) + 2)
        begins = np.array([g.times.corrected_ns for g in bed.groups()]) / NS_PER_S
        assert np.abs(np.diff(begins) - 1).max() < 2  # the clock is 20 years off

    await at_both_beds(holds)


async def test_an_electrode_that_is_pulled_off_is_no_ecg_and_a_probe_that_is_out_measures_nothing(tmp_path: Path):
    async with bed_4(tmp_path, "--loop-pause-s", "0") as bed:
        await bed.has(2)
        bed.order("FAULT pull-lead 4")
        unusable = {Quality.LEAD_OFF, Quality.SATURATED, Quality.FLAT}
        await until(lambda: any(set(g.quality) & unusable for g in bed.groups()))
        await until(lambda: not set(bed.groups()[-1].quality) & unusable)
        railed = [n for n, g in enumerate(bed.groups()) if (g.array() == 32767).all()]
        assert len(railed) == 4
        begun_ns = bed.groups()[0].times.device_ns or 0
        await until(lambda: (bed.temperatures()[-1].times.device_ns or 0) > begun_ns + (railed[-1] + 1) * NS_PER_S)
        measured = [round(((o.times.device_ns or 0) - begun_ns) / NS_PER_S) for o in bed.temperatures()]
        assert not set(measured) & set(railed)


@pytest.mark.req("IOT-5.4c", surface="protocol")
async def test_every_sample_is_stored_once_although_the_agent_is_killed_twice(tmp_path: Path):
    async with bed_4(tmp_path, "--loop-pause-s", "0") as bed:
        for _ in range(2):
            await bed.has(len(bed.at_second()) + 3)
            await bed.at.agent.kill(signal.SIGKILL)
            await bed.at.agent.start()
        await is_whole(bed, len(bed.at_second()) + 5)
        assert bed.at.store.stored_twice == []
        assert not bed.gaps()
