"""A hospital's hub as a gateway of the regional one: what its rules let go up is there once, whatever is killed on the way, and nothing else is."""

import asyncio
import os
import random
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import grpc
import pytest

from hub.app import sharing_rules
from hub.core.principal import operator
from hub.settings import HubSettings
from hub.upstream.domain import RecordClass, Rule
from protocols.link import Connection, Lane
from protocols.nomenclature import HEART_RATE, SPO2
from protocols.record import (
    AlarmCondition,
    AlarmKind,
    DeviceEvent,
    Observation,
    Presence,
    Priority,
    Record,
    SourcePath,
    Times,
)
from protocols.uplink_pb2 import Batch, Envelope, GatewayMessage, Origin
from protocols.wire import encode_record
from tests.fixtures.ecg_groups import recording_groups, sent_hash, stored_hash
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import eventually
from tests.fixtures.hub_roles import Installation, Role, ports_in
from tests.fixtures.migrated_database import MigratedDatabases
from tests.fixtures.superuser import Superuser
from tests.fixtures.web import now_ns
from wardlink.local.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

MONITOR = SourcePath("monitor-1", ("n",))
UP_WITHIN_S = 40
AT_ONCE_S = 2  # two transactions, two looks at an outbox and two disks


def reading(code: str, value: float) -> Observation:
    return Observation(MONITOR, code, value, "%" if code == SPO2 else "/min", Times(now_ns()))


def alarm(code: str) -> AlarmCondition:
    at_ns = now_ns()
    return AlarmCondition(
        uuid4(), MONITOR, code, Priority.HIGH, AlarmKind.PHYSIOLOGICAL, Presence.PRESENT, at_ns, at_ns, Times(at_ns)
    )


@dataclass
class Hub:
    """An installation and what runs of it."""

    installation: Installation
    running: Role | None = None
    ports: dict[str, int] = field(default_factory=dict[str, int])

    def start(self, *, upstream: bool) -> None:
        self.running = self.installation.start("ingest", upstream=upstream)
        for _ in range(2 if upstream else 1):
            self.ports |= ports_in(self.running.said("ready"))

    def end(self) -> None:
        if self.running is not None and self.running.runs:
            assert self.running.end() == 0

    @property
    def uplink(self) -> str:
        return f"127.0.0.1:{self.ports['uplink_port']}"

    def does(self, *words: str) -> str:
        """A command of the hub that succeeds."""
        done = self.installation.command(*words)
        assert (done.returncode, done.stderr if done.returncode else "") == (0, "")
        return done.stdout.strip()

    def upstream(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """The command `wardlink upstream` here."""
        command = [sys.executable, "-m", "wardlink", "upstream", *words]
        environment = self.installation.settings("worker")
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def kill(self, word: str) -> None:
        """The process of this hub whose command line has the word."""
        assert self.running is not None
        starter = self.running.process.pid
        children = Path(f"/proc/{starter}/task/{starter}/children").read_text().split()
        [pid] = [int(pid) for pid in children if word in Path(f"/proc/{pid}/cmdline").read_text()]
        os.kill(pid, signal.SIGKILL)

    async def killed_and_started_again(self, word: str) -> None:
        """One of several: the command that started it starts it again."""
        assert self.running is not None
        self.kill(word)
        await asyncio.to_thread(self.running.said, "ready")

    async def killed_and_started(self) -> None:
        """The only role that runs here."""
        assert self.running is not None
        self.running.end(signal.SIGKILL)
        await asyncio.to_thread(self.start, upstream=False)


@dataclass
class Tiers:
    """The hospital's hub, a gateway of it, and the region's."""

    hospital: Hub
    region: Hub
    gateway: Peer

    async def send(self, lane: Lane, *records: Record) -> None:
        """From the gateway to the hospital, acknowledged."""
        self.gateway.batch(lane, [encode_record(record) for record in records])
        await self.gateway.deliver(self.hospital.uplink, Connection.ALARM if lane is Lane.ALARM else Connection.DATA)


@pytest.fixture
async def tiers(migrated_databases: MigratedDatabases, short_folder: Callable[[], Path]) -> AsyncIterator[Tiers]:
    """Both run; the hospital shares alarms, oxygen saturation and samples."""
    with ExitStack() as stack:
        databases = [stack.enter_context(migrated_databases.lent()) for _ in range(2)]
        superusers = [stack.enter_context(closing(Superuser(one))) for one in databases]
        hospital, region = (
            Hub(Installation(database, short_folder(), free_port(), superuser))
            for database, superuser in zip(databases, superusers, strict=True)
        )
        stack.callback(hospital.end)
        stack.callback(region.end)
        region.start(upstream=False)
        enrolled = hospital.upstream("enrol", region.does("gateway", "add", "hospital-a", "--forwards"))
        assert (enrolled.returncode, "hospital-a" in enrolled.stdout) == (0, True), enrolled.stderr
        settings = HubSettings.model_validate({"web_url": hospital.installation.database.url_for("wardlink_web")})
        async with sharing_rules(settings, "default") as (rules, tenant):
            for shared in (RecordClass.ALARM, ""), (RecordClass.NUMERIC, SPO2), (RecordClass.WAVEFORM, ""):
                await rules.set(operator("test", tenant), Rule(*shared, share=True))
        hospital.start(upstream=True)
        yield Tiers(hospital, region, await hospital.installation.peer(hospital.ports["enrolment_port"]))


@pytest.mark.req("IOT-5.1a", "IOT-5.3a", "IOT-5.3b", surface="protocol")
async def test_what_the_rules_let_go_up_is_at_the_region_with_its_gateway_and_nothing_else_is(tiers: Tiers):
    region, hospital = tiers.region.installation, tiers.hospital.installation
    await tiers.send(Lane.NUMERIC, reading(HEART_RATE, 71.0), reading(SPO2, 96.0), reading(HEART_RATE, 72.0))
    await tiers.send(Lane.EVENT, DeviceEvent(MONITOR, "MDC_EVT_LEADS_OFF", Times(now_ns())))
    await tiers.send(Lane.ALARM, alarm("MDC_EVT_ASYSTOLE"))
    await eventually(lambda: region.count("alarm") == 1, AT_ONCE_S * 5)
    await eventually(lambda: region.count("observation") == 1, UP_WITHIN_S)
    assert region.rows("select s.code, o.value from observation o join series s using (series_id)") == [(SPO2, 96.0)]
    assert hospital.count("observation") == 3
    assert (region.count("device_event where code = 'MDC_EVT_LEADS_OFF'"), hospital.count("device_event")) == (0, 1)
    assert region.rows("select d.name, g.name from device d join gateway g using (gateway_id)") == [
        ("monitor-1", "hospital-a")
    ]
    assert region.rows("select alarm_id, code from alarm") == hospital.rows("select alarm_id, code from alarm")
    # A rule that is turned round holds for what comes from then on.
    tiers.hospital.does("sharing", "keep", "numeric", "--code", SPO2)
    tiers.hospital.does("sharing", "share", "numeric")
    assert [line.split()[:3] for line in tiers.hospital.does("sharing", "list").splitlines()] == [
        ["alarm", "every", "code"],
        ["numeric", "every", "code"],
        ["numeric", SPO2, "stays"],
        ["waveform", "every", "code"],
    ]
    await asyncio.sleep(1)  # until ingest has read them
    await tiers.send(Lane.NUMERIC, reading(HEART_RATE, 73.0), reading(SPO2, 97.0))
    await eventually(lambda: region.count("observation where value = 73") == 1, UP_WITHIN_S)
    assert region.count("observation") == 2
    assert hospital.count("upstream_outbox") == 0
    # A gateway that is no hub may not say that it speaks for another.
    n = tiers.gateway.batch(Lane.NUMERIC, [])
    message = Batch(lane=Lane.NUMERIC.wire, n=n, closed_ns=now_ns())
    origin = Origin(gateway="gateway-9", epoch=secrets.token_bytes(16))
    message.records.append(Envelope(record=encode_record(reading(SPO2, 91.0)), origin=origin))
    tiers.gateway.batches[Lane.NUMERIC, n] = GatewayMessage(batch=message).SerializeToString()
    await tiers.gateway.deliver(tiers.hospital.uplink, Connection.DATA)
    assert hospital.rows("select reason from quarantine") == [("origin",)]
    assert hospital.count("observation where value = 91") == 0


@pytest.mark.req("IOT-5.3a", surface="protocol")
async def test_every_sample_is_at_the_region_once_though_processes_are_killed_and_a_database_is_put_back(
    tiers: Tiers, seed: random.Random
):
    region, hospital = tiers.region.installation, tiers.hospital.installation
    groups = recording_groups()
    numbers = iter(range(len(groups)))

    def more(count: int) -> None:
        for n in [n for _, n in zip(range(count), numbers, strict=False)]:
            tiers.gateway.batch(Lane.WAVEFORM, [groups[n]])

    for victim in ("upstream", "region", "upstream", "ingest"):
        more(seed.randrange(10, 40))
        delivering = asyncio.create_task(tiers.gateway.deliver(tiers.hospital.uplink, Connection.DATA, 60))
        await asyncio.sleep(seed.uniform(0.0, 0.4))
        if victim == "region":
            await tiers.region.killed_and_started()
        else:
            await tiers.hospital.killed_and_started_again(victim)
        with suppress(grpc.aio.AioRpcError):
            await delivering
    more(len(groups))
    await tiers.gateway.deliver(tiers.hospital.uplink, Connection.DATA, 60)
    await eventually(lambda: region.count("waveform") >= len(groups), UP_WITHIN_S)
    assert stored_hash(hospital.database.admin_url) == sent_hash(groups)
    assert stored_hash(region.database.admin_url) == sent_hash(groups)
    # As after a restore: the hospital knows nothing of these batches, its gateway sends them again, and so goes up nothing but the new.
    hospital.do("delete from waveform")
    hospital.do("delete from lane_position")
    tiers.hospital.end()
    await asyncio.to_thread(tiers.hospital.start, upstream=True)
    await tiers.send(Lane.NUMERIC, reading(SPO2, 98.0))
    await eventually(lambda: region.count("observation") == 1, UP_WITHIN_S)
    await eventually(lambda: hospital.count("upstream_outbox") == 0, UP_WITHIN_S)
    assert stored_hash(hospital.database.admin_url) == sent_hash(groups)
    assert stored_hash(region.database.admin_url) == sent_hash(groups)
    assert (region.count("gap"), region.count("quarantine")) == (0, 0)


def test_without_a_certificate_of_the_hub_above_the_way_up_says_what_to_do(installation: Installation):
    done = Hub(installation).upstream("run")
    assert done.returncode == 1
    assert "not enrolled at a hub above" in done.stderr
    assert "wardlink upstream enrol" in done.stderr
