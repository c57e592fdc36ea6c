"""ECG carts that leave HL7 aECG files in a folder, through the agent to the hub: taken once, refused with the reason, never deleted."""

import asyncio
import hashlib
import re
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from edge.identity import Identity, save_identity
from firmware_adapters.adapter import ConfigError
from firmware_adapters.door import DoorConfig, Message, Reply, Verdict
from firmware_adapters.door_registry import make_door
from firmware_adapters.simulate.aecg import deliver, file_of, recording_of
from protocols.ecgfile.wfdb import read_record
from protocols.nomenclature import EVT_CLOCK_WRONG, EVT_DEVICE_SEEN, EVT_FAULT
from protocols.record import NS_PER_S, Document, Observation, WaveformGroup
from tests.conformance.formats import WRITERS
from tests.conformance.readings import READINGS
from tests.fixtures.agent import Gateway
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import write_config
from tests.fixtures.waiting import until_asked
from tests.fixtures.ward_gateway import CAPTURES, DoorGateway, door_gateway, joined, until
from wardlink.demo.rigs.rig import Ground
from wardlink.demo.ward import Recordings, ward
from wardlink.local.places import Places
from wardlink.processes import Processes

pytestmark = pytest.mark.integration
LUDB = CAPTURES / "ludb-101-af"
CART = "cart-6"


@dataclass
class Cart:
    """A gateway that watches a folder, and that folder."""

    at: DoorGateway
    folder: Path

    def moved(self, to: str) -> list[str]:
        """The names of the files in `taken` or `refused`, without the digests before them."""
        there = self.folder / to
        return sorted(p.name.partition("-")[2] for p in there.iterdir()) if there.is_dir() else []

    @property
    def groups(self) -> list[WaveformGroup]:
        return self.at.groups(CART, "recorded/ecg")

    def reason(self, name: str) -> str:
        (path,) = (self.folder / "refused").glob(f"*-{name}.reason.txt")
        return path.read_text("utf-8")


@asynccontextmanager
async def cart(tmp_path: Path, zone: str = "Asia/Shanghai") -> AsyncGenerator[Cart]:
    folder = tmp_path / "carts" / CART
    folder.mkdir(parents=True)
    settings = f'[[doors]]\nname = "carts"\nkind = "folder"\nurl = "{folder.parent.as_uri()}"\n'
    settings += f'[[doors.devices]]\nid = "{CART}"\nzone = "{zone}"\n'
    async with door_gateway(tmp_path, settings) as at:
        yield Cart(at, folder)


def ludb_file(begin: datetime) -> bytes:
    return file_of(recording_of(LUDB, begin))


def real_file(recordings: Path, begin: datetime | None = None) -> bytes:
    """A file that a cart on the market wrote, without offsets; `begin`: as if it had been recorded then."""
    data = (recordings / "files" / "aecg" / "hl7aecg_example.xml").read_bytes()
    if begin is None:
        return data
    own = datetime(2025, 9, 23, 10, 35, 50, tzinfo=UTC)  # the cart's time says no zone: any will do for a difference

    def later(match: "re.Match[bytes]") -> bytes:
        said = datetime.strptime(f"{match[0].decode()}+0000", "%Y%m%d%H%M%S%z")
        return f"{begin + (said - own):%Y%m%d%H%M%S}".encode()

    return re.sub(rb"20250923\d{6}", later, data)


def leads_of(data: bytes) -> "np.ndarray":
    """The digits of a file's rhythm, lead by lead, found without the reader."""
    rhythm = data.partition(b"<derivation")[0]
    return np.array([digits.split() for digits in re.findall(rb"<digits>([^<]+)</digits>", rhythm)], dtype=np.int64)


async def test_a_recording_left_in_the_folder_is_at_the_hub_as_it_was_recorded(tmp_path: Path):
    begin = (datetime.now(UTC) - timedelta(hours=3)).replace(microsecond=0)
    async with cart(tmp_path) as at:
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "firmware_adapters.simulate.aecg", LUDB, at.folder, "--begin", begin.isoformat()
        )  # fmt: skip
        assert await writer.wait() == 0
        await until(lambda: len(at.moved("taken")) == 1 and bool(at.groups))
        measured = recording_of(LUDB, begin).measured
        await until(
            lambda: bool(at.at.stored(CART, Document)) and len(at.at.stored(CART, Observation)) == len(measured)
        )
        await until(
            lambda: at.at.samples(CART, "recorded/ecg") == 10 * 500 and bool(at.at.events(CART, EVT_DEVICE_SEEN))
        )
        record = read_record(LUDB)
        sent = joined(at.groups) * np.array([[s.gain] for s in at.groups[0].scales])
        assert np.abs(sent - record.physical() * 1e3).max() <= 2.5 / 2 + 1e-6  # the cart's step is 2.5 uV
        assert [lead.removeprefix("MDC_ECG_ELEC_POTL_") for lead in at.groups[0].leads] == [
            s.description.upper() for s in record.header.signals
        ]
        times = at.groups[0].times
        assert (times.corrected_ns, times.uncertainty_ns) == (round(begin.timestamp()) * NS_PER_S, 60 * NS_PER_S)
        (document,) = at.at.stored(CART, Document)
        (taken,) = (at.folder / "taken").iterdir()
        assert document.content == taken.read_bytes()
        assert document.sha256 == hashlib.sha256(document.content).hexdigest()
        assert taken.name.startswith(document.sha256[:16])
        found = {o.code: o.value for o in at.at.stored(CART, Observation)}
        assert found == {code: value for code, (value, _) in measured.items()}
        (seen,) = at.at.events(CART, EVT_DEVICE_SEEN)
        about = {"make": "Simulated carts", "model": "Cart 12", "serial": "SIM-0001", "firmware": "1.0"}
        assert dict(seen.params) == {"door": "folder", "listed": True, **about}


@pytest.mark.recordings("files/aecg")
async def test_a_real_carts_file_is_its_samples_at_the_time_of_the_carts_own_zone(tmp_path: Path, recordings: Path):
    begin = datetime.now(ZoneInfo("Asia/Shanghai")).replace(microsecond=0) - timedelta(days=2)
    data = real_file(recordings, begin)
    async with cart(tmp_path) as at:
        deliver(data, at.folder, "export.XML")
        await until(lambda: at.moved("taken") == ["export.XML"] and bool(at.groups))
        expected = leads_of(data)
        await until(lambda: at.at.samples(CART, "recorded/ecg") == expected.shape[1])
        assert (joined(at.groups) == expected).all()
        assert at.groups[0].times.corrected_ns == round(begin.timestamp()) * NS_PER_S
        assert not at.at.events(CART, EVT_CLOCK_WRONG)


@pytest.mark.recordings("files/aecg", "cinc2015", "vfdb", "mitdb", "ecg12", "ludb")
async def test_the_demos_cart_leaves_a_real_carts_file_first_and_then_its_own_as_often_as_the_demo_is_fast(
    tmp_path: Path, recordings: Path, usual_places: Places
):
    [rig] = ward(Recordings(CAPTURES, recordings))[-1].rigs
    ground = Ground(tmp_path, tmp_path / "switched-on", usual_places, speed=120)  # a file every 1.5 s
    rig.prepare(ground)
    with Processes(tmp_path / "logs") as processes:
        async with door_gateway(tmp_path, rig.settings(ground)) as gateway:
            at = Cart(gateway, tmp_path / "carts" / CART)
            rig.start(ground, processes, {})
            ground.switched_on.touch()
            await until(lambda: len(at.moved("taken")) >= 3)
            await until(lambda: len(gateway.stored(CART, Document)) >= 3)
    assert [name for name in at.moved("taken") if not name.startswith("101-")] == ["hl7aecg_example.xml"]
    assert at.moved("refused") == []
    kept = {document.content for document in gateway.stored(CART, Document)}
    assert real_file(recordings) in kept


@pytest.mark.parametrize("year", [1999, 2099])
async def test_a_cart_whose_clock_cannot_be_right_is_placed_by_the_arrival_and_says_so(tmp_path: Path, year: int):
    begin = datetime(year, 1, 1, tzinfo=UTC)
    async with cart(tmp_path) as at:
        before_ns = time.time_ns()
        deliver(ludb_file(begin), at.folder, "ecg.xml")
        await until(lambda: bool(at.at.events(CART, EVT_CLOCK_WRONG)) and bool(at.groups))
        times, after_ns = at.groups[0].times, time.time_ns()
        assert times.device_ns == round(begin.timestamp()) * NS_PER_S
        assert before_ns - 10 * NS_PER_S <= (times.corrected_ns or 0) <= after_ns - 9 * NS_PER_S  # it lasts 10 s
        (event,) = at.at.events(CART, EVT_CLOCK_WRONG)
        off_ns = dict(event.params)["off_ns"]
        assert isinstance(off_ns, int)
        assert times.uncertainty_ns == abs(off_ns)
        assert event.times.gateway_ns + off_ns == (times.device_ns or 0) + 10 * NS_PER_S


@pytest.mark.recordings("files/aecg")
async def test_what_cannot_be_read_is_moved_away_with_the_reason_and_the_next_file_is_taken(
    tmp_path: Path, recordings: Path
):
    now = datetime.now(UTC)
    async with cart(tmp_path) as at:
        garbage = b"\x00\xff garbage >"
        deliver(garbage, at.folder, "garbage.xml")
        deliver((recordings / "files" / "aecg" / "empty.xml").read_bytes(), at.folder, "empty.xml")
        deliver(b"%PDF-1.7", at.folder, "report.pdf")
        deliver(ludb_file(now), at.folder, "ecg.xml")
        await until(lambda: at.moved("taken") == ["ecg.xml"] and len(at.moved("refused")) == 6)
        assert "expected" in at.reason("garbage.xml")
        assert "a series with a readable lead" in at.reason("empty.xml")
        assert "application/vnd.hl7.aecg+xml" in at.reason("report.pdf")
        await until(lambda: len(at.at.events(CART, EVT_FAULT)) == 3)
        shown = [bytes.fromhex(e.text) for e in at.at.events(CART, EVT_FAULT) if "encoding" not in dict(e.params)]
        assert garbage in shown


@pytest.mark.req("IOT-5.4d", surface="protocol")
async def test_a_file_of_readings_is_no_ecg_document_and_waits_in_the_hubs_quarantine_with_its_reason(
    tmp_path: Path, hub: RunningHub
):
    papers = await hub.enrol("gateway-1")
    save_identity(
        tmp_path / "state",
        Identity(papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem),
    )
    folder = tmp_path / "carts" / CART
    folder.mkdir(parents=True)
    settings = f'[[doors]]\nname = "carts"\nkind = "folder"\nurl = "{folder.parent.as_uri()}"\n'
    agent = Gateway(write_config(tmp_path, f'{settings}[[doors.devices]]\nid = "{CART}"\n'))
    await agent.start()
    try:
        # the same readings that the other doors make rows of, in each of their formats
        sent = {
            f"readings-{i}.{kind[-4:]}": write(CART, 1, READINGS[:3]) for i, (kind, write) in enumerate(WRITERS.items())
        }
        for name, body in sent.items():
            deliver(body, folder, name)

        async def held() -> list[tuple[bytes, str, str, str]]:
            await asyncio.sleep(0.3)
            return await asyncio.to_thread(hub.rows, "select bytes, reason, detail, device from quarantine")

        async def all_held() -> bool:
            return len(await held()) >= len(sent)

        await until_asked(all_held, 60)
        found = await held()
        assert sorted(bytes(raw) for raw, *_ in found) == sorted(sent.values())
        assert {(reason, device) for _, reason, _, device in found} == {("undecodable", CART)}
        assert all("application/vnd.hl7.aecg+xml" in detail for _, _, detail, _ in found)
        await until(lambda: len([*(folder / "refused").glob("*.reason.txt")]) == len(sent))
        kept = {p.name.partition("-")[2]: p.read_bytes() for p in (folder / "refused").iterdir()}
        assert {name: kept[name] for name in sent} == sent
        assert hub.rows("select count(*) from observation") == [(0,)]
    except BaseException:
        print(*agent.log, sep="\n")
        raise
    finally:
        await agent.kill()


async def test_the_same_recording_is_stored_once_whatever_its_name_and_although_the_agent_is_killed(tmp_path: Path):
    data = ludb_file(datetime.now(UTC))
    async with cart(tmp_path) as at:
        deliver(data, at.folder, "one.xml")
        await until(lambda: at.moved("taken") == ["one.xml"] and bool(at.groups))
        deliver(data, at.folder, "again.xml")
        await until(lambda: at.moved("taken") == ["again.xml", "one.xml"])
        await at.at.agent.kill()
        for path in (at.folder / "taken").iterdir():  # as if it had been killed before it could move the file
            path.rename(at.folder / path.name.partition("-")[2])
        await at.at.agent.start()
        await until(lambda: at.moved("taken") == ["again.xml", "one.xml"])
        await until(lambda: at.at.samples(CART, "recorded/ecg") == 10 * 500 and bool(at.at.stored(CART, Document)))
        await asyncio.sleep(0.5)  # what would come a second time would be on its way
        assert at.at.samples(CART, "recorded/ecg") == 10 * 500
        assert len(at.at.stored(CART, Document)) == 1
        assert at.at.store.stored_twice == []


@dataclass
class Behind:
    """What stands behind the door."""

    replies: list[Reply] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)

    async def take(self, message: Message) -> Reply:
        self.taken.append(message)
        return self.replies.pop(0) if self.replies else Reply(Verdict.ACCEPTED)


def config(root: Path, url: str = "", **device: str) -> DoorConfig:
    return DoorConfig("carts", "folder", url or root.as_uri(), time.time_ns, root, {}, {CART: device})


@asynccontextmanager
async def watching(root: Path, behind: Behind) -> AsyncGenerator[list[EventDict]]:
    (root / CART).mkdir(exist_ok=True)
    with capture_logs() as log:
        task = asyncio.create_task(make_door(config(root)).serve(behind.take))
        try:
            yield log
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_settings_that_cannot_work_are_named(tmp_path: Path):
    for wrong, named in (
        (config(tmp_path, url="ftp://carts/ecg"), "file:///"),
        (config(tmp_path, zone="Asia/Nowhere"), "Asia/Nowhere"),
        (config(tmp_path, colour="red"), "colour"),
        (DoorConfig("carts", "folder", tmp_path.as_uri(), time.time_ns, tmp_path, {"every_s": 1}), "every_s"),
        (DoorConfig("carts", "folder", tmp_path.as_uri(), time.time_ns, tmp_path), "doors.devices"),
    ):
        with pytest.raises(ConfigError, match=named):
            make_door(wrong)


async def test_a_file_that_is_still_being_written_waits_for_its_end(tmp_path: Path):
    behind = Behind()
    async with watching(tmp_path, behind):
        data = ludb_file(datetime.now(UTC))
        path = tmp_path / CART / "slow.xml"
        path.write_bytes(data[:5000])
        (tmp_path / CART / "under-way.xml.part").write_bytes(data)
        await asyncio.sleep(4)  # longer than a file must rest
        assert behind.taken == []
        with path.open("ab") as file:
            file.write(data[5000:])
        await until(lambda: bool(behind.taken))
        await until(lambda: not path.exists())
        assert [m.body for m in behind.taken] == [data]
        assert (tmp_path / CART / "under-way.xml.part").exists()


async def test_a_folder_that_goes_away_is_told_once_and_used_again_when_it_is_back(tmp_path: Path):
    behind = Behind()
    async with watching(tmp_path, behind) as log:
        folder = tmp_path / CART
        await until((folder / "taken").is_dir)
        folder.rename(tmp_path / "away")
        await until(lambda: any(line["event"] == "folder-not-usable" for line in log))
        await asyncio.sleep(2.2)  # looked into twice more
        (tmp_path / "away").rename(folder)
        deliver(b"<a>1</a>", folder, "after.xml")
        await until(lambda: [m.body for m in behind.taken] == [b"<a>1</a>"])
        await until(lambda: any(line["event"] == "file-judged" for line in log))
    told = [line["event"] for line in log if line["event"] != "door-open"]
    assert told == ["folder-not-usable", "folder-usable", "file-judged"]


async def test_a_file_told_to_come_again_is_offered_until_it_is_taken_and_the_log_does_not_name_it(tmp_path: Path):
    behind = Behind([Reply(Verdict.BUSY, "the disk is behind", 1)])
    async with watching(tmp_path, behind) as log:
        deliver(b"<a>1</a>", tmp_path / CART, "Zhang_San_1959.xml")
        await until(lambda: any(line["event"] == "file-judged" for line in log))
    assert len(behind.taken) == 2
    assert "Zhang" not in str(log)
    assert "Zhang" not in behind.taken[0].where
    (path,) = (tmp_path / CART / "taken").iterdir()
    assert path.name.endswith("-Zhang_San_1959.xml")
