"""A hub whose database is put back to an older state gets from its gateways what it lost: a base backup, replaced while all stands still."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.identity import Identity, save_identity
from hub.migrations.runner import migrate
from protocols.link import Lane
from protocols.record import Presence
from tests.fixtures.database import quiet
from tests.fixtures.hub import RunningHub, running_hub
from tests.fixtures.sender import Sending, route_of, sender
from tests.fixtures.spool_records import T0_NS, alarm, heart_rate, waveform
from tests.fixtures.waiting import until
from wardlink.local.database import Database, stack_down, stack_up
from wardlink.local.database.choice import find_or_build_programs
from wardlink.local.database.identity import choose_identity
from wardlink.local.places import Places

pytestmark = pytest.mark.integration
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
