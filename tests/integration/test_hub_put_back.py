"""A hub whose database is put back to an older state gets from its gateways what it lost, whether the hub stands still meanwhile or runs on."""

import asyncio
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from edge.identity import Identity, save_identity
from hub.migrations.runner import migrate
from protocols.link import Lane
from protocols.record import Presence, SourcePath
from tests.fixtures.database import quiet
from tests.fixtures.hub import RunningHub, running_hub
from tests.fixtures.sender import Sending, route_of, sender
from tests.fixtures.spool_records import T0_NS, alarm, heart_rate, waveform
from tests.fixtures.waiting import until, until_asked
from tests.fixtures.web import OPERATOR, RunningWeb, furnish, running_web
from tests.integration.test_web_live import Event, events, socket, wanted
from wardlink.local.database import Database, stack_down, stack_up
from wardlink.local.database.choice import find_or_build_programs
from wardlink.local.database.identity import choose_identity
from wardlink.local.places import Places

pytestmark = pytest.mark.integration
T = TypeVar("T")
BEFORE, BEHIND = 40, 60  # batches of each lane before the backup and behind it
ALARM = alarm()


@pytest.fixture
def own_server(usual_places: Places, short_folder: Callable[[], Path]) -> Iterator[Places]:
    """A server of this test alone: one that others use cannot be replaced."""
    places = replace(usual_places, data=short_folder(), database_url=None, durable=False)
    yield places
    stack_down(places, quiet)


def base_backup(places: Places, database: Database, folder: Path) -> None:
    """What an operator does every night: pg_basebackup with the WAL that it needs."""
    layout, programs, environ = database.layout, find_or_build_programs(places, quiet), places.tool_environ()
    identity = choose_identity(programs / "postgres", layout.base, layout.server, environ)
    words = ["-D", str(folder), "-X", "stream", "-c", "fast", "-d", database.admin_url]
    identity.run([programs / "pg_basebackup", *words], "the base backup failed", environ)


def put_back(places: Places, database: Database, folder: Path) -> Database:
    """Replace the data by the backup, and let the server recover from it."""
    stack_down(places, quiet)
    shutil.rmtree(database.layout.data)
    folder.rename(database.layout.data)
    assert (database.layout.data / "backup_label").exists(), "it has to be recovered with WAL"
    return stack_up(places, quiet)


async def append(agent: Sending, first: int, last: int) -> None:
    for i in range(first, last):
        await agent.append(Lane.WAVEFORM, waveform(25 * i))
        await agent.append(Lane.NUMERIC, heart_rate(60 + i % 40, T0_NS + i * 10**9))
        if i % 10 == 0:
            await agent.append(Lane.ALARM, alarm())
    await until(agent.all_acknowledged)


def stored(hub: RunningHub) -> list[tuple[object, ...]]:
    """Rows, and different ones, of each kind; the alarm that ended behind the backup."""
    return [
        *hub.rows("select count(*), count(distinct first_sample), max(first_sample) from waveform"),
        *hub.rows("select count(*), count(distinct time) from observation"),
        *hub.rows("select count(*), count(*) filter (where presence = 'ended') from alarm"),
        *hub.rows("select count(*) from gap"),
        *hub.rows("select count(*) from quarantine"),
    ]


@pytest.mark.req("IOT-8.4e", "IOT-9.3a", "ECG-6.2.3a", surface="protocol")
async def test_what_was_acknowledged_behind_a_base_backup_comes_again_and_is_there_once(
    own_server: Places, short_folder: Callable[[], Path], tmp_path: Path
):
    database = await asyncio.to_thread(stack_up, own_server, quiet)
    await asyncio.to_thread(migrate, database.url_for("wardlink_owner"))
    state, backup = short_folder(), database.layout.server / "backup"
    total = BEFORE + BEHIND
    expected = [(total, total, 25 * (total - 1)), (total, total), (total // 10 + 1, 1), (0,), (0,)]
    async with running_hub(database, state) as hub:
        hub.do("update tenant set admission = 'open'")
        papers = await hub.enrol("gateway-1")
        save_identity(
            tmp_path,
            Identity(papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem),
        )
        port = hub.server.uplink_port
        agent_at = sender(tmp_path, route_of(tmp_path, [hub.uplink]))
        agent = await agent_at.__aenter__()
        try:
            await agent.append(Lane.ALARM, ALARM)
            await append(agent, 0, BEFORE)
            await asyncio.to_thread(base_backup, own_server, database, backup)
            await agent.append(Lane.ALARM, replace(ALARM, presence=Presence.ENDED))
            await append(agent, BEFORE, total)
            assert stored(hub) == expected
            assert agent.sent_again == []
        except BaseException:
            await agent_at.__aexit__(None, None, None)
            raise
    try:
        again = await asyncio.to_thread(put_back, own_server, database, backup)
        async with running_hub(again, state, uplink_port=port) as hub:
            assert hub.rows("select count(*) from waveform") == [(BEFORE,)]
            await until(lambda: stored(hub) == expected)
            assert {lane for lane, _ in agent.sent_again} == {Lane.ALARM, Lane.NUMERIC, Lane.WAVEFORM}
            assert len([1 for lane, _ in agent.sent_again if lane is Lane.WAVEFORM]) == BEHIND
            await append(agent, total, total + 1)
    finally:
        await agent_at.__aexit__(None, None, None)


FIRST, SECOND, WAITING = (SourcePath(name, ("ecg",)) for name in ("cyton-2", "cyton-3", "cyton-4"))
READINGS_OF = (
    "select d.name, count(*), count(distinct o.time), count(distinct p.source_id) from observation o"
    " join series s using (series_id) join source p using (source_id) join device d using (device_id) group by d.name order by d.name"
)
SAMPLES_OF = (
    "select d.name, count(*), count(distinct w.first_sample) from waveform w"
    " join stream s using (stream_id) join source p using (source_id) join device d using (device_id) group by d.name order by d.name"
)


async def enrolled(hub: RunningHub, name: str, folder: Path) -> AbstractAsyncContextManager[Sending]:
    """The agent of a gateway that this hub has enrolled; its state goes into `folder`."""
    papers = await hub.enrol(name)
    identity = (papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem)
    save_identity(folder, Identity(*identity))
    return sender(folder, route_of(folder, [hub.uplink]), names=(papers.tenant, papers.gateway))


async def measured(agent: Sending, source: SourcePath, first: int, last: int) -> None:
    """A device of the gateway measures, and the hub says that it has it. A device has heart rates of its own."""
    rate = 60 if source is not SECOND else 160
    for i in range(first, last):
        await agent.append(Lane.WAVEFORM, waveform(25 * i, source=source))
        await agent.append(Lane.NUMERIC, replace(heart_rate(rate + i, T0_NS + i * 10**9), source=source))
    await until(agent.all_acknowledged)


@pytest.mark.req("IOT-8.4e", "IOT-9.3a", "ECG-6.2.3a", surface="protocol")
async def test_a_hub_that_runs_on_while_its_database_is_put_back_remembers_nothing_of_what_was(
    own_server: Places, short_folder: Callable[[], Path]
):
    """Nothing comes from the gateway meanwhile: no batch fails, so that nothing but the database itself can tell ingest."""
    database = await asyncio.to_thread(stack_up, own_server, quiet)
    await asyncio.to_thread(migrate, database.url_for("wardlink_owner"))
    backup = database.layout.server / "backup"
    async with running_hub(database, short_folder()) as hub, running_web(database, hub.live_path) as web:
        hub.do("update tenant set admission = 'open'")
        await furnish(web)  # bed 1, with cyton-1
        async with (
            await enrolled(hub, "gateway-1", short_folder()) as agent,
            await enrolled(hub, "gateway-2", short_folder()) as other,
        ):
            await agent.append(Lane.ALARM, ALARM)
            await measured(agent, ALARM.source, 0, 3)
            await measured(agent, WAITING, 0, 1)
            hub.do("update device set admission = 'waiting' where name = %s", WAITING.device)
            nurse = await web.signed_in()
            await asyncio.to_thread(base_backup, own_server, database, backup)
            hub.do("update device set admission = 'admitted' where name = %s", WAITING.device)
            await agent.append(Lane.ALARM, replace(ALARM, presence=Presence.ENDED))
            await measured(agent, ALARM.source, 3, 5)
            await measured(agent, FIRST, 0, 4)
            await measured(agent, WAITING, 1, 3)
            assert hub.rows(READINGS_OF) == [("cyton-1", 5, 5, 1), ("cyton-2", 4, 4, 1), ("cyton-4", 3, 3, 1)]
            gone = await place(web, FIRST, "2")

            async with events(nurse) as stream, socket(web, nurse) as strips:
                before = (await wanted(stream, "hello")).data["history"]
                await asyncio.to_thread(put_back, own_server, database, backup)
                told, _ = await rest_of(stream), await rest_of(strips)
                assert all(one.data["history"] != before for one in told if one.name == "hello"), (
                    "numbers of beds and events mean nothing more"
                )

            assert await place(web, SECOND, "3") == gone, "what numbers are must not matter to whoever had a page open"
            async with events(nurse, 0) as stream:
                assert (await wanted(stream, "hello")).data["history"] != before
                shown = asyncio.create_task(numbers(stream, "3", 161))
                await measured(other, SECOND, 0, 2)  # it may get the ids that FIRST had
                await measured(agent, FIRST, 4, 6)
                await measured(agent, WAITING, 3, 4)
                assert set(await shown) <= {160, 161}

            async def all_there() -> bool:
                return hub.rows("select presence from alarm") == [("ended",)] and hub.rows(READINGS_OF) == [
                    ("cyton-1", 5, 5, 1),
                    ("cyton-2", 6, 6, 1),
                    ("cyton-3", 2, 2, 1),
                    ("cyton-4", 1, 1, 1),
                ]

            await until_asked(all_there)
            assert hub.rows(SAMPLES_OF) == [("cyton-1", 5, 5), ("cyton-2", 6, 6), ("cyton-3", 2, 2), ("cyton-4", 1, 1)]
            held = "select device, reason, count(*) from quarantine group by 1, 2"
            assert hub.rows(held) == [("cyton-4", "device_not_admitted", 6)], "nobody has admitted it, by the backup"
            assert hub.rows("select count(*) from gap") == [(0,)]
            assert {lane for lane, _ in agent.sent_again} == {Lane.ALARM, Lane.NUMERIC, Lane.WAVEFORM}


async def place(web: RunningWeb, source: SourcePath, bed: str) -> int:
    """Put a device to a new bed; returns the bed's number."""
    await web.placement.add_bed(OPERATOR, "7b", bed)
    await web.placement.place_device(OPERATOR, source.device, "7b", bed)
    return next(key for key, point in (await web.placement.points(OPERATOR)).items() if point.bed == bed)


async def rest_of(stream: AsyncIterable[T]) -> list[T]:
    """What still comes to a page that then has to come again; its session may have been asked for while nobody could answer."""
    found: list[T] = []
    with suppress(httpx.RemoteProtocolError, ConnectionClosed):
        async with asyncio.timeout(60):
            found += [one async for one in stream if not (isinstance(one, Event) and one.name == "beat")]
    return found


async def numbers(stream: AsyncIterator[Event], bed: str, last: float) -> list[float]:
    """What a page shows at a bed as it comes, up to a number; one that another overtakes before it is sent is left out."""
    found: list[float] = []
    while last not in found:
        number = (await wanted(stream, "numeric", 20)).data
        if number["bed"] == bed:
            found.append(number["value"])
    return found
