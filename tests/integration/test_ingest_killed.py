"""The hub is killed (SIGKILL) while a recording comes in: every sample is in the store exactly once, and no gap is left."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import grpc
import pytest

from protocols.link import Connection, Lane
from tests.fixtures.ecg_groups import recording_groups, sent_hash, stored_hash
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import running_hub
from tests.fixtures.hub_process import start_hub
from tests.fixtures.superuser import Superuser
from wardlink.local.database import Database

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
