"""Hub or database is killed (SIGKILL) while a recording comes in: every sample is in the store exactly once, and no gap is left."""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from hub.migrations.runner import migrate
from protocols.link import Connection, Lane
from tests.fixtures.database import quiet
from tests.fixtures.ecg_groups import recording_groups, sent_hash, stored_hash
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import running_hub
from tests.fixtures.hub_process import start_hub
from tests.fixtures.superuser import Superuser
from wardlink.local.database import Database, stack_down, stack_up
from wardlink.local.database.liveness import postmaster_pid
from wardlink.local.places import Places

pytestmark = pytest.mark.integration


async def enrolled(database: Database, state: Path) -> Peer:
    async with running_hub(database, state) as hub:
        return await hub.peer()


@pytest.fixture
def stored(hub_database: Database) -> Iterator[Superuser]:
    with closing(Superuser(hub_database)) as superuser:
        yield superuser


@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
async def test_killed_at_a_point_of_the_commit_everything_is_there_once(
    point: str, hub_database: Database, stored: Superuser, short_folder: Callable[[], Path]
):
    state = short_folder()
    peer = await enrolled(hub_database, state)
    groups = recording_groups()
    for group in groups:
        peer.batch(Lane.WAVEFORM, [group])
    for count in (1, 2, 3):
        process = start_hub(hub_database, state, point, count)
        with pytest.raises(grpc.aio.AioRpcError):
            await peer.deliver(process.uplink, Connection.DATA)
        assert process.wait() == -9
    process = start_hub(hub_database, state)
    try:
        await peer.deliver(process.uplink, Connection.DATA)
    finally:
        process.kill()
    assert stored_hash(hub_database.admin_url) == sent_hash(groups)
    assert stored.rows("select cumulative from lane_position") == [(len(groups),)]
    assert stored.rows("select count(*) from gap") == [(0,)]
    assert stored.rows("select count(*) from quarantine") == [(0,)]


async def test_killed_at_random_moments_everything_is_there_once(
    hub_database: Database, stored: Superuser, short_folder: Callable[[], Path], seed: random.Random
):
    state = short_folder()
    peer = await enrolled(hub_database, state)
    groups = recording_groups()
    for _ in range(5):
        process = start_hub(hub_database, state)
        delivering = asyncio.create_task(peer.run(process.uplink, Connection.DATA, lambda: False))
        for group in groups[peer.newest[Lane.WAVEFORM] :][: seed.randrange(20, 60)]:
            peer.batch(Lane.WAVEFORM, [group])
        await asyncio.sleep(seed.uniform(0.0, 0.3))
        process.kill()
        with suppress(grpc.aio.AioRpcError):
            await delivering
    for group in groups[peer.newest[Lane.WAVEFORM] :]:
        peer.batch(Lane.WAVEFORM, [group])
    process = start_hub(hub_database, state)
    try:
        await peer.deliver(process.uplink, Connection.DATA)
    finally:
        process.kill()
    assert stored_hash(hub_database.admin_url) == sent_hash(groups)
    assert stored.rows("select count(*) from gap") == [(0,)]


@pytest.fixture
def own_server(usual_places: Places, short_folder: Callable[[], Path]) -> Iterator[Places]:
    """The places of a server that waits for the disk and that nobody else uses, with migrated tables."""
    places = replace(usual_places, data=short_folder(), database_url=None)
    database = stack_up(places, quiet)
    migrate(database.url_for("wardlink_owner"))
    with closing(Superuser(database)) as superuser:
        superuser.do("update tenant set admission = 'open'")
    yield places
    stack_down(places, quiet)


async def test_the_database_is_killed_at_random_moments_and_everything_is_there_once(
    own_server: Places, short_folder: Callable[[], Path], seed: random.Random
):
    database, state = stack_up(own_server, quiet), short_folder()
    peer = await enrolled(database, state)
    groups = recording_groups()
    process = start_hub(database, state)
    try:
        for _ in range(5):
            delivering = asyncio.create_task(peer.run(process.uplink, Connection.DATA, lambda: False))
            for group in groups[peer.newest[Lane.WAVEFORM] :][: seed.randrange(20, 60)]:
                peer.batch(Lane.WAVEFORM, [group])
            await asyncio.sleep(seed.uniform(0.0, 0.3))
            postmaster = postmaster_pid(database.layout.data)
            assert postmaster is not None
            os.kill(postmaster, signal.SIGKILL)
            await asyncio.to_thread(stack_up, own_server, quiet)
            delivering.cancel()
            with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
                await delivering
        for group in groups[peer.newest[Lane.WAVEFORM] :]:
            peer.batch(Lane.WAVEFORM, [group])
        async with asyncio.timeout(30):
            while not peer.all_acknowledged(Connection.DATA):  # the hub's own connections come back in their time
                with suppress(grpc.aio.AioRpcError):
                    await peer.deliver(process.uplink, Connection.DATA)
    finally:
        process.kill()
    assert stored_hash(database.admin_url) == sent_hash(groups)
    with closing(Superuser(database)) as superuser:
        assert superuser.rows("select count(*) from gap") == [(0,)]
        assert superuser.rows("select count(*) from quarantine") == [(0,)]
