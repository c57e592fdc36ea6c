"""The whole agent as its own process, outside programs at its door, a hub over gRPC behind it: one reading, one record (IOT-5.4d)."""

import asyncio
import hashlib
import json
import re
import signal
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest

from edge.identity import Identity, save_identity
from protocols.link import Lane
from protocols.nomenclature import EVT_DEVICE_SEEN, EVT_FAULT, HEART_RATE, LINK_LOST, lead
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    DeviceEvent,
    Gap,
    Observation,
    Presence,
    Quality,
    Record,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
)
from protocols.wire import encode_package
from tests.conformance.formats import JSON, PROTOBUF, WRITERS, carries
from tests.conformance.readings import READINGS, Reading, Wave
from tests.fixtures.agent import Gateway
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import Authority, HubPeer, Store, hub_peer, write_config
from tests.fixtures.mqtt_broker import MqttBroker
from tests.fixtures.signed_http import Device
from tests.fixtures.waiting import until, until_asked
from tests.fixtures.ward_gateway import DoorGateway, door_gateway
from wardlink.local.ports import free_port

pytestmark = pytest.mark.integration
GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "http-door.md"
# As version 1 of the package was released: a record of each kind with every field set. Their values: tests/unit/wire/examples.py.
PACKAGE = Path(__file__).parents[1] / "captures" / "wire" / "v1" / "package.bin"
_DEVICE_S = 4_070_908_800  # the device believes that it is 2099
EVERY_KIND: dict[str, list[tuple[object, ...]]] = {
    """select e.code, o.comparator, o.value, o.text_value, e.unit, e.site, e.averaging_ns, e.value_kind, o.quality,
              round(extract(epoch from o.time) + o.device_offset_ms / 1000)
       from observation o join series e using (series_id) order by e.code""": [
        ("MDC_ECG_HEART_RATE", "<", 72.5, None, "/min", "MDC_ARM_UPPER", 8_000_000_000, "number", 6, _DEVICE_S),
        ("MDC_ECG_RHY", None, None, "MDC_ECG_RHY_NOS", "1", "", 0, "coded", 1, _DEVICE_S),
        ("WDL_NOTE", None, None, "电极已更换", "1", "", 0, "text", 1, _DEVICE_S),
    ],
    """select t.leads, t.fs_hz, t.gains, t.offsets, t.units, t.dtype, w.first_sample, w.n, w.samples, w.quality,
              round(extract(epoch from w.start) + w.device_offset_ms / 1000)
       from waveform w join stream t using (stream_id)""": [
        (
            ["MDC_ECG_ELEC_POTL_II", "MDC_ECG_ELEC_POTL_V1"], 250.0, [0.02235, 0.02235], [0.0, -1.5], ["uV", "uV"], "<i2", -7, 4,
            np.array([[-32768, 32767, 0, 5], [1, -1, 2, -2]], "<i2").tobytes(), bytes([1, 3]), _DEVICE_S,
        ),
    ],
    """select params, text, extract(epoch from device_time) from device_event where code = 'WDL_EVT_FIRMWARE'""": [
        ({"version": "3.1.2"}, "v3.1.2", _DEVICE_S),
    ],
    """select alarm_id::text, a.code, a.kind, a.priority, a.presence, a.params, extract(epoch from onset), extract(epoch from detected_at),
              position('\\x0080ff7f000005000100ffff0200feff'::bytea in evidence) > 0
       from alarm a join alarm_event e using (tenant_id, alarm_id) where e.evidence is not null""": [
        (
            "c0ffee00-1234-5678-9abc-def012345678", "MDC_EVT_ECG_V_FIB", "physiological", "high", "latched",
            {"rate": 312.5, "leads": -2, "lead": "II", "paced": False}, 1_749_999_990, 1_749_999_995, True,
        ),
    ],
    "select reason, recoverable, from_sample, to_sample, extract(epoch from from_time), extract(epoch from to_time) from gap": [
        ("link_loss", True, 1000, 3500, 1_749_999_980, 1_749_999_990),
    ],
    "select key_id, sealed from subject_claim": [("hub-2025", bytes(range(48)))],
    "select media_type, content, sha256 from document": [
        ("application/hl7-v2", b"MSH|^~\\&|ECG|WARD", hashlib.sha256(b"MSH|^~\\&|ECG|WARD").digest()),
    ],
    "select * from quarantine": [],
}  # fmt: skip


@dataclass
class Ward:
    """A gateway with an HTTP door, the devices it knows, and the hub behind it."""

    folder: Path
    url: str
    devices: dict[str, Device]
    store: Store
    hub: HubPeer
    agent: Gateway
    authority: Authority
    answers: list[int] = field(default_factory=list)

    def stored(self, device: str) -> list[Record]:
        return [r for lane in Lane for r in self.store.records(lane) if r.source.device == device]

    def measured(self, device: str) -> list[Observation | WaveformGroup]:
        return [r for r in self.stored(device) if isinstance(r, Observation | WaveformGroup)]

    def faults(self, device: str) -> list[DeviceEvent]:
        return [r for r in self.stored(device) if isinstance(r, DeviceEvent) and r.code == EVT_FAULT]

    async def curl(self, device: str, media_type: str, body: bytes) -> tuple[int, str]:
        """Send with the guide's own script: openssl signs, curl posts."""
        (script,) = re.findall(r"```sh\n(#!/bin/sh\n.*?)```", GUIDE.read_text("utf-8"), flags=re.DOTALL)
        for name, content in (
            ("send.sh", script.encode()),
            ("body", body),
            ("key.pem", self.devices[device].private_pem),
        ):
            (self.folder / name).write_bytes(content)
        sender = await asyncio.create_subprocess_exec(
            "sh", "send.sh", device, "key.pem", "ca.pem", self.url, media_type, "body",
            cwd=self.folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, errors = await sender.communicate()
        assert not errors, errors.decode()
        text, _, status = out.decode().strip().rpartition("\n")
        return int(status), text


def https_door(
    folder: Path,
    authority: Authority,
    devices: Iterable[Device],
    silence_s: float | None = None,
    paces: Mapping[str, float] | None = None,
) -> tuple[str, str]:
    """The address of a door that these devices may sign for, and its settings; its papers are in the folder."""
    papers = authority.server()
    for name, content in (("door.pem", papers.certificate), ("door.key", papers.key), ("ca.pem", authority.pem)):
        (folder / name).write_bytes(content)
    url = f"https://127.0.0.1:{free_port()}/packages"
    settings = f'[[doors]]\nname = "https"\nkind = "http"\nurl = "{url}"\n'
    settings += '[doors.options]\ncertificate = "door.pem"\nkey = "door.key"\n'
    for device in devices:
        (folder / f"{device.name}.pub.pem").write_text(device.public_pem)
        settings += f'[[doors.devices]]\nid = "{device.name}"\npublic_key = "{device.name}.pub.pem"\n'
        settings += "" if silence_s is None else f"silence_s = {silence_s}\n"
        settings += "".join(f"messages_per_s = {pace}\n" for name, pace in (paces or {}).items() if name == device.name)
    return url, settings


@asynccontextmanager
async def ward(
    folder: Path, *names: str, silence_s: float | None = None, paces: Mapping[str, float] | None = None
) -> AsyncGenerator[Ward]:
    store, authority = Store(), Authority()
    devices = {name: Device(name) for name in names}
    url, settings = https_door(folder, authority, devices.values(), silence_s, paces)
    async with hub_peer(store, authority) as hub:
        save_identity(folder / "state", authority.identity(f"127.0.0.1:{hub.port}"))
        agent = Gateway(write_config(folder, settings))
        await agent.start()
        try:
            await until(lambda: bool(agent.said("door-open")))
            yield Ward(folder, url, devices, store, hub, agent, authority)
        except BaseException:
            print(*agent.log, sep="\n")
            raise
        finally:
            await agent.kill()


def essence(record: Record) -> tuple[object, ...]:
    """What must be the same whichever way a reading came: everything but the moment of its arrival."""
    if isinstance(record, WaveformGroup):
        samples = record.array().tolist()
        return (record.source.path, record.leads, record.fs_hz, samples, record.scales, record.times.device_ns)
    assert isinstance(record, Observation)
    value = (record.code, record.value, record.unit, record.comparator, record.coded, record.site, record.quality)
    return (record.source.path, *value, record.times.device_ns)


def expected(reading: Reading) -> tuple[object, ...]:
    assert reading.expected is not None
    path = tuple(reading.path.split("/"))
    if isinstance(reading.value, Wave):
        assert reading.gain is not None
        scales = (Scale(reading.gain, 0.0, str(reading.expected[1])),)
        return (path, (reading.code,), reading.value.fs_hz, [list(reading.value.samples)], scales, reading.device_ns)
    value = (reading.code, *reading.expected, reading.comparator, reading.coded, reading.site, Quality(reading.quality))
    return (path, *value, reading.device_ns)


@pytest.mark.req("IOT-5.4d", "IOT-5.4e", surface="protocol")
async def test_the_table_of_readings_sent_by_curl_in_each_format_is_the_same_rows_at_the_hub(tmp_path: Path):
    names = {media_type: f"monitor-{i}" for i, media_type in enumerate(WRITERS)}
    async with ward(tmp_path, *names.values()) as at:
        for media_type, device in names.items():
            chosen = [r for r in READINGS if carries(media_type, r)]
            status, text = await at.curl(device, media_type, WRITERS[media_type](device, 1, chosen))
            assert status == 200
            refused = [r for r in chosen if r.expected is None]
            assert len(json.loads(text)["unread"]) == len(refused)
        for media_type, device in names.items():
            kept = [r for r in READINGS if carries(media_type, r) and r.expected is not None]
            whole = len(kept), sum(r.expected is None for r in READINGS)
            await until(lambda d=device, whole=whole: (len(at.measured(d)), len(at.faults(d))) == whole)
            assert sorted(map(repr, map(essence, at.measured(device)))) == sorted(map(repr, map(expected, kept)))


@pytest.mark.req("IOT-5.4d", "IOT-5.4e", surface="protocol")
async def test_the_table_of_readings_sent_by_mosquitto_pub_in_each_format_is_the_same_rows_at_the_hub(
    mqtt_broker: MqttBroker, tmp_path: Path
):
    names = {media_type: f"monitor-{i}" for i, media_type in enumerate(WRITERS)}
    await mqtt_broker.start()
    async with door_gateway(tmp_path, mqtt_broker.settings(*names.values())) as at:
        for media_type, device in names.items():
            chosen = [r for r in READINGS if carries(media_type, r)]
            body = WRITERS[media_type](device, 1, chosen)
            status, text = await mqtt_broker.publish(device, body, content_type=media_type)
            assert (status, "RC:0" in text) == (0, True)
        sent = {device: [r for r in READINGS if carries(kind, r)] for kind, device in names.items()}
        kept = {device: [r for r in given if r.expected is not None] for device, given in sent.items()}
        await until(
            lambda: all(
                len(rows_of(at, d)) >= len(kept[d]) and len(at.events(d, EVT_FAULT)) == len(sent[d]) - len(kept[d])
                for d in sent
            )
        )
        for device, readings in kept.items():
            assert sorted(map(repr, map(essence, rows_of(at, device)))) == sorted(map(repr, map(expected, readings)))


def rows_of(at: DoorGateway, device: str) -> list[Observation | WaveformGroup]:
    return [*at.stored(device, Observation), *at.stored(device, WaveformGroup)]


@pytest.mark.req("IOT-5.4b", surface="protocol")
async def test_one_package_with_every_kind_of_record_is_posted_and_each_of_them_is_at_the_hub(
    tmp_path: Path, hub: RunningHub
):
    device, papers = Device("cyton-01"), await hub.enrol("gateway-1")
    url, settings = https_door(tmp_path, Authority(), [device])
    identity = (papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem)
    save_identity(tmp_path / "state", Identity(*identity))
    agent = Gateway(write_config(tmp_path, settings))
    await agent.start()
    try:
        await until(lambda: bool(agent.said("door-open")))
        async with httpx.AsyncClient(verify=False, timeout=5) as client:
            answer = await device.post(client, url, PROTOBUF, PACKAGE.read_bytes())
        assert (answer.status_code, answer.text) == (204, "")
        for query, rows in EVERY_KIND.items():
            await until_asked(
                lambda asked=(query, rows): asyncio.to_thread(lambda: len(hub.rows(asked[0])) >= len(asked[1]))
            )
            assert hub.rows(query) == rows
    finally:
        await agent.kill()


async def test_the_guides_example_makes_a_reading_and_a_device_known_to_the_ledger(tmp_path: Path):
    async with ward(tmp_path, "monitor-5") as at:
        (body,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text("utf-8"), flags=re.DOTALL)
        assert await at.curl("monitor-5", JSON, body.encode()) == (204, "")
        await until(lambda: len({type(r) for r in at.stored("monitor-5")}) == 2)
        (reading,) = [r for r in at.stored("monitor-5") if isinstance(r, Observation)]
        assert (reading.code, reading.value, reading.unit) == ("MDC_TEMP_BODY", 37.0, "Cel")
        events = [r for r in at.stored("monitor-5") if isinstance(r, DeviceEvent)]
        (seen,) = [e for e in events if e.code == EVT_DEVICE_SEEN]
        about = {"make": "Acme", "model": "M1", "serial": "0007", "firmware": "1.2"}
        assert dict(seen.params) == {"door": "http", "listed": True, **about}


def second(number: int) -> bytes:
    """One second of a monitor: a number that tells the package, and samples that tell their own."""
    source, fs_hz = SourcePath("monitor-5", ("ecg",)), 250
    samples = np.arange(number * fs_hz, (number + 1) * fs_hz, dtype="<i4").tobytes()
    records = (
        Observation(SourcePath("monitor-5", ("n",)), HEART_RATE, 60.0 + number, "/min", Times(1)),
        WaveformGroup(
            source, (lead("II"),), float(fs_hz), number * fs_hz, samples, "<i4", (Scale(1.0, 0, "uV"),), Times(1)
        ),
    )
    return encode_package("monitor-5", number, records)


async def test_packages_are_at_the_hub_once_although_the_agent_is_killed_and_the_last_ones_are_sent_again(
    tmp_path: Path,
):
    packages = 24
    async with ward(tmp_path, "monitor-5") as at:
        device = at.devices["monitor-5"]
        begun = asyncio.Event()

        async def send_all() -> None:
            async with httpx.AsyncClient(verify=False, timeout=5) as client:
                number = 0
                while number < packages:
                    try:
                        answer = await device.post(client, at.url, PROTOBUF, second(number))
                    except httpx.HTTPError:
                        await asyncio.sleep(0.05)
                        number = max(0, number - 3)  # it may be that their acknowledgements did not come
                        continue
                    assert answer.status_code in (204, 503), answer.text
                    number += answer.status_code == 204
                    begun.set()

        sending = asyncio.create_task(send_all())
        for wait_s in (0.4, 1.1, 1.8):
            await begun.wait()
            await asyncio.sleep(wait_s)
            await at.agent.kill(signal.SIGKILL)
            await at.agent.start()
        await sending
        await until(lambda: sum(r.n for r in at.stored("monitor-5") if isinstance(r, WaveformGroup)) >= packages * 250)
        rows = at.stored("monitor-5")
        numbers = sorted(r.value for r in rows if isinstance(r, Observation) and r.source.path == ("n",))
        assert numbers == [60.0 + n for n in range(packages)]
        groups = sorted((r for r in rows if isinstance(r, WaveformGroup)), key=lambda g: g.first_sample)
        assert np.concatenate([g.array()[0] for g in groups]).tolist() == list(range(packages * 250))
        assert [g.first_sample for g in groups] == [n * 250 for n in range(packages)]
        assert not [r for r in rows if isinstance(r, Gap)]
        assert not at.store.stored_twice


async def test_a_device_that_stops_posting_is_an_alarm_at_the_hub_until_it_posts_again(tmp_path: Path):
    def lost() -> list[AlarmCondition]:
        alarms = [r for r in at.stored("monitor-5") if isinstance(r, AlarmCondition) and r.code == LINK_LOST]
        return [alarm for alarm in alarms if alarm.onset_ns >= began_ns]

    began_ns, number, in_time = time.time_ns(), 0, 0
    async with ward(tmp_path, "monitor-5", silence_s=2) as at, httpx.AsyncClient(verify=False, timeout=5) as client:
        device = at.devices["monitor-5"]
        last_ns = began_ns
        while in_time < 4:
            await asyncio.sleep(1 if number else 0)
            sent_ns = time.time_ns()
            assert (await device.post(client, at.url, PROTOBUF, second(number))).status_code == 204
            # On a machine with other work the device itself may have been silent for 2 s: then it begins anew.
            late = time.time_ns() - last_ns > 1.9 * NS_PER_S
            began_ns, in_time = (sent_ns, 1) if late else (began_ns, in_time + 1)
            last_ns, number = sent_ns, number + 1
        assert lost() == []
        await until(lambda: bool(lost()))
        [alarm] = lost()
        assert (alarm.presence, alarm.source) == (Presence.PRESENT, SourcePath("monitor-5"))
        assert 2 <= (alarm.detected_ns - alarm.onset_ns) / NS_PER_S < 2.5
        assert (await device.post(client, at.url, PROTOBUF, second(number))).status_code == 204
        await until(lambda: len(lost()) == 2)
        assert (lost()[1].id, lost()[1].presence) == (alarm.id, Presence.ENDED)


async def test_a_device_that_settings_expect_and_that_never_posts_is_an_alarm(tmp_path: Path):
    async with ward(tmp_path, "monitor-5", silence_s=2) as at:
        await until(lambda: any(isinstance(r, AlarmCondition) for r in at.stored("monitor-5")))
        [alarm] = [r for r in at.stored("monitor-5") if isinstance(r, AlarmCondition)]
        assert (alarm.code, alarm.presence) == (LINK_LOST, Presence.PRESENT)
