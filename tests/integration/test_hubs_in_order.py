"""Several addresses of one hub: the first that answers has the gateway, the first of all has it back, and every reading is there once."""

import asyncio
import itertools
import random
import shutil
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from edge.identity import Identity, save_identity
from protocols.link import Lane
from tests.fixtures.hub import RunningHub, running_hub
from tests.fixtures.migrated_database import MigratedDatabases
from tests.fixtures.sender import Sending, route_of, sender
from tests.fixtures.spool_records import T0_NS, alarm, heart_rate, waveform
from tests.fixtures.tcp_proxy import Proxy
from tests.fixtures.waiting import until
from wardlink.local.database import Database

pytestmark = pytest.mark.integration
HOME_AFTER_S = 2.0
WITHIN_S = 12.0  # in which a dead link is seen
LATE_S = 2.0  # of each byte, in each direction
RECONNECTS_S = 20.0


def beside(state: Path, short_folder: Callable[[], Path]) -> Path:
    """The state of a second copy of the hub: the same authority."""
    folder = short_folder()
    for name in ("ca.key", "ca.pem"):
        shutil.copy(state / name, folder / name)
    return folder


async def enrolled(hub: RunningHub, state: Path) -> None:
    papers = await hub.enrol("gateway-1")
    save_identity(
        state,
        Identity(papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem),
    )


async def append(agent: Sending, i: int) -> None:
    await agent.append(Lane.WAVEFORM, waveform(25 * i))
    await agent.append(Lane.NUMERIC, heart_rate(60, T0_NS + i * 10**9))
    await agent.append(Lane.ALARM, alarm())


def streams_at(hub: RunningHub) -> int:
    return len(tuple(hub.server.streams))


@pytest.mark.req("AIQ-7.3d", surface="protocol")
async def test_a_gateway_goes_to_the_next_address_and_back_to_the_first_with_nothing_twice_or_missing(
    hub_database: Database, short_folder: Callable[[], Path], tmp_path: Path
):
    async with AsyncExitStack() as stack:
        state = short_folder()
        first_alone = AsyncExitStack()
        first = await first_alone.enter_async_context(running_hub(hub_database, state))
        port = first.server.uplink_port
        second = await stack.enter_async_context(running_hub(hub_database, beside(state, short_folder)))
        await enrolled(first, tmp_path)
        hubs = [first.uplink, second.uplink]
        agent = await stack.enter_async_context(sender(tmp_path, route_of(tmp_path, hubs, HOME_AFTER_S)))
        for i in range(5):
            await append(agent, i)
        await until(agent.all_acknowledged)
        assert (streams_at(first), streams_at(second)) == (2, 0)
        await first_alone.aclose()
        begun = time.monotonic()
        for i in range(5, 10):
            await append(agent, i)
        await until(agent.all_acknowledged)
        print(f"taken over by the second after {time.monotonic() - begun:.2f} s")
        assert streams_at(second) == 2
        before = sum(agent.link.sends.values())
        again = await stack.enter_async_context(running_hub(hub_database, state, uplink_port=port))
        for i in range(10, 60):
            await append(agent, i)
            await asyncio.sleep(0.1)
        await until(lambda: (streams_at(again), streams_at(second)) == (2, 0))
        await until(agent.all_acknowledged)
        assert sum(agent.link.sends.values()) - before == 3 * 50, "the way back costs no batch a second sending"
        for table, rows in (("waveform", 60), ("observation", 60), ("alarm", 60), ("gap", 0)):
            assert again.rows(f"select count(*) from {table}") == [(rows,)]


async def test_a_first_address_that_swallows_everything_or_is_another_hub_is_passed_over(
    hub: RunningHub, migrated_databases: MigratedDatabases, short_folder: Callable[[], Path], tmp_path: Path
):
    """A hub with a database of its own knows no certificate of ours, whoever its authority is: it gets nothing."""
    await enrolled(hub, tmp_path)
    with migrated_databases.lent() as database:
        async with running_hub(database, beside(hub.state, short_folder)) as other, Proxy(1) as silent:
            silent.swallow()
            hubs = [f"127.0.0.1:{silent.port}", other.uplink, hub.uplink]
            async with sender(tmp_path, route_of(tmp_path, hubs)) as agent:
                await append(agent, 0)
                await until(agent.all_acknowledged, 20)
            assert hub.rows("select count(*) from observation") == [(1,)]
            assert other.rows("select count(*) from lane_position") == [(0,)]


async def test_a_link_that_is_two_seconds_late_is_made_carries_and_is_not_taken_for_dead(
    hub: RunningHub, tmp_path: Path
):
    """A handshake takes four ways and a ping two, and nothing of that ends the link while nothing is to be said either."""
    await enrolled(hub, tmp_path)
    async with Proxy(hub.server.uplink_port) as line:
        line.delay_s = LATE_S
        async with sender(tmp_path, route_of(tmp_path, [f"127.0.0.1:{line.port}"])) as agent:
            await append(agent, 0)
            await until(agent.all_acknowledged, RECONNECTS_S + 4 * LATE_S)
            tries = line.accepted
            await asyncio.sleep(WITHIN_S)
            await append(agent, 1)
            await until(agent.all_acknowledged, 2 * LATE_S + 1.5)
            assert (line.accepted, agent.sent_again) == (tries, [])


async def test_a_connection_whose_pause_has_grown_is_made_at_once_when_the_hub_answers_the_other(
    hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Chance gives one of the two a pause of minutes while the way is away; the other one comes back soon and ends it."""
    chances = itertools.chain([1000.0], itertools.repeat(1.0))
    monkeypatch.setattr(random, "uniform", lambda *_: next(chances))
    await enrolled(hub, tmp_path)
    async with Proxy(hub.server.uplink_port) as line:
        line.cut()
        async with sender(tmp_path, route_of(tmp_path, [f"127.0.0.1:{line.port}"])) as agent:
            await append(agent, 0)
            await until(lambda: line.accepted >= 4)
            line.heal()
            await until(agent.all_acknowledged)


async def test_a_link_that_swallows_everything_while_nothing_is_to_be_said_is_seen_as_dead_on_both_sides(
    hub: RunningHub, tmp_path: Path
):
    """Within 12 s, by the pings of HTTP/2: nothing waits for an acknowledgement. The hub is the first to see it, and says so."""

    def is_up(connection: str) -> bool:
        return REGISTRY.get_sample_value("edge_uplink_up", {"connection": connection}) == 1

    await enrolled(hub, tmp_path)
    async with (
        Proxy(hub.server.uplink_port) as line,
        sender(tmp_path, route_of(tmp_path, [f"127.0.0.1:{line.port}"])) as agent,
    ):
        await append(agent, 0)
        await until(lambda: agent.all_acknowledged() and is_up("alarm") and is_up("data"))
        line.swallow()
        begun = time.monotonic()
        await until(lambda: streams_at(hub) == 0, WITHIN_S)
        print(f"the hub saw it after {time.monotonic() - begun:.1f} s")
        await until(lambda: not is_up("alarm") and not is_up("data"), WITHIN_S - (time.monotonic() - begun))
        print(f"the gateway saw it after {time.monotonic() - begun:.1f} s")
        line.heal()
        await until(lambda: is_up("alarm") and is_up("data"), 20)
        assert agent.sent_again == []
