"""The whole agent as its own process: a simulated board on a pseudo-terminal at one end, a hub over gRPC with mutual TLS at the other."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from edge.identity import save_identity
from firmware_adapters.simulate.cyton import RATE_HZ, Board
from protocols.link import Lane, Position
from protocols.record import Gap, Observation, WaveformGroup
from protocols.uplink_pb2 import PlacedBed, Placement
from tests.fixtures.agent import Gateway
from tests.fixtures.hub_peer import Authority, Store, hub_peer, write_config
from tests.fixtures.waiting import PATIENCE_S, until

pytestmark = pytest.mark.integration
SAMPLES = 60 * RATE_HZ


@pytest.fixture
def board() -> Board:
    """Each sample tells its number, in steps larger than the amplifier's count."""
    return Board(np.arange(SAMPLES, dtype=np.float64)[None, :])


@asynccontextmanager
async def gateway(folder: Path, authority: Authority, hub_port: int, port: Path | None) -> AsyncGenerator[Gateway]:
    device = (
        f'[[devices]]\nid = "amp"\nfamily = "cyton"\nurl = "{port}"\n[devices.options]\nchannels = {{ "1" = "II" }}\n'
    )
    save_identity(folder / "state", authority.identity(f"127.0.0.1:{hub_port}"))
    agent = Gateway(write_config(folder, device if port else ""))
    await agent.start()
    try:
        yield agent
    except BaseException:
        print(*agent.log, sep="\n")
        raise
    finally:
        await agent.kill()


def ecg(store: Store) -> list[WaveformGroup]:
    groups = [r for r in store.records(Lane.WAVEFORM) if isinstance(r, WaveformGroup) and r.source.path == ("ecg",)]
    return sorted(groups, key=lambda g: g.first_sample)


def count(store: Store) -> int:
    return sum(g.n for g in ecg(store))


def complete(store: Store, sent: int) -> bool:
    """Whether the first `sent` samples are all there."""
    groups = ecg(store)
    return sum(min(g.end_sample, sent) - g.first_sample for g in groups if g.first_sample < sent) >= sent


def check_once(store: Store, board: Board, sent: int = SAMPLES) -> list[tuple[int, int]]:
    """Every stored sample is the board's, once; the stretches between them, as far as they begin below `sent`."""
    assert not store.stored_twice
    missing: list[tuple[int, int]] = []
    end = 0
    for group in ecg(store):
        assert group.first_sample >= end, "a sample is stored twice"
        if group.first_sample > end and end < sent:
            missing.append((end, group.first_sample))
        expected = board.counts[group.first_sample : group.end_sample, 0]
        assert group.array()[0].tolist() == expected.tolist()
        end = group.end_sample
    return missing


def ecg_gaps(store: Store) -> list[tuple[int | None, int | None]]:
    gaps = [r for lane in (Lane.WAVEFORM, Lane.EVENT) for r in store.records(lane) if isinstance(r, Gap)]
    return sorted(
        ((g.from_sample, g.to_sample) for g in gaps if g.source.path == ("ecg",)), key=lambda ends: ends[0] or 0
    )


async def test_what_the_board_measures_arrives_once_over_restarts_of_the_hub(
    tmp_path: Path, board: Board, port: Path, seed: random.Random
):
    store, authority = Store(), Authority()
    async with AsyncExitStack() as hubs:
        hub = await hubs.enter_async_context(hub_peer(store, authority))
        hub.delay_s = 0.05
        number = hub.port
        async with gateway(tmp_path, authority, number, port) as agent:
            await until(lambda: count(store) > 100)
            for _ in range(3):
                await hub.stop()
                await asyncio.sleep(seed.uniform(0, 0.8))
                hub = await hubs.enter_async_context(hub_peer(store, authority, number))
                hub.delay_s = seed.uniform(0, 0.1)
                hub.acknowledge = seed.random() < 0.7
                await asyncio.sleep(seed.uniform(0.5, 1.5))
            hub.acknowledge = True
            await hub.stop()
            await hubs.enter_async_context(hub_peer(store, authority, number))
            sent = board.sample
            await until(lambda: complete(store, sent))
            assert await agent.kill(signal.SIGTERM) == 0
    assert check_once(store, board, sent) == []
    assert ecg_gaps(store) == []


async def test_an_agent_that_is_killed_leaves_one_gap_with_the_numbers_that_are_missing(
    tmp_path: Path, board: Board, port: Path, seed: random.Random
):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub, gateway(tmp_path, authority, hub.port, port) as agent:
        await until(lambda: count(store) > 100)
        for _ in range(3):
            await asyncio.sleep(seed.uniform(0.3, 1.0))
            await agent.kill()
            await asyncio.sleep(seed.uniform(0, 0.5))
            await agent.start()
            before = count(store)
            await until(lambda n=before: count(store) > n + 50)
        assert await agent.kill(signal.SIGTERM) == 0
        await agent.start()
        await until(lambda: len(agent.said("uplink-up")) >= 2)
        before = count(store)
        await until(lambda: count(store) > before + 50)
    missing = check_once(store, board)
    assert missing
    assert [g for g in ecg_gaps(store) if g[0] != g[1]] == missing
    reasons = {r.reason for r in store.records(Lane.WAVEFORM) if isinstance(r, Gap)}
    assert reasons == {"agent_restart"}


async def test_with_the_hub_gone_the_spool_grows_and_drains_when_it_is_back(tmp_path: Path, board: Board, port: Path):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        number = hub.port
        async with gateway(tmp_path, authority, number, port) as agent:
            await until(lambda: count(store) > 50)
            await hub.stop()
            before = count(store)
            await asyncio.sleep(3)
            assert count(store) == before
            async with hub_peer(store, authority, number):
                sent = board.sample
                await until(lambda: complete(store, sent))
                assert agent.said("uplink-down")
    assert check_once(store, board, sent) == []
    assert sent > before + 2 * RATE_HZ


async def test_a_hub_of_a_foreign_authority_is_not_spoken_to(tmp_path: Path, port: Path):
    store = Store()
    async with (
        hub_peer(store, Authority()) as hub,
        gateway(tmp_path, Authority(), hub.port, port) as agent,
    ):
        await until(lambda: bool(agent.said("uplink-down")))
        await asyncio.sleep(1)
    assert not store.batches
    assert not store.positions


async def test_an_expired_certificate_is_named_before_it_is_shown_and_the_bed_is_watched_on(tmp_path: Path, port: Path):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub, gateway(tmp_path, authority, hub.port, port) as agent:
        await until(lambda: count(store) > 0)
        await agent.kill()
        save_identity(tmp_path / "state", authority.identity(f"127.0.0.1:{hub.port}", days=-1))
        positions = len(store.arrived)
        await agent.start()
        await until(lambda: bool(agent.said("uplink-not-possible")))
        assert "expired on" in str(agent.said("uplink-not-possible")[0]["reason"])
        assert len(store.arrived) == positions
        save_identity(tmp_path / "state", authority.identity(f"127.0.0.1:{hub.port}"))
        await until(lambda: len(store.arrived) > positions)


async def test_the_hubs_placement_is_applied_and_kept(tmp_path: Path, port: Path):
    store, authority = Store(), Authority()
    placement = Placement(version=7, beds=[PlacedBed(point_of_care="bed-1", devices=["amp"], age_group="child")])
    async with (
        hub_peer(store, authority, placement=placement) as hub,
        gateway(tmp_path, authority, hub.port, port),
    ):
        await until(lambda: 7 in store.applied)
    assert Placement.FromString((tmp_path / "state" / "placement.pb").read_bytes()) == placement


async def test_a_placement_that_is_not_newer_than_the_one_of_its_connection_is_neither_taken_nor_answered(
    tmp_path: Path, port: Path
):
    store, authority = Store(), Authority()
    newest = Placement(version=8)
    async with hub_peer(store, authority, placement=Placement(version=7)) as hub:
        hub.more_placements = (Placement(version=6), Placement(version=7), newest)
        async with gateway(tmp_path, authority, hub.port, port):
            await until(lambda: 8 in store.applied)
    assert store.applied == [7, 8]
    assert Placement.FromString((tmp_path / "state" / "placement.pb").read_bytes()) == newest


async def test_a_restored_hubs_older_placement_is_applied_and_kept(tmp_path: Path, port: Path):
    store, authority = Store(), Authority()
    newer = Placement(version=7, beds=[PlacedBed(point_of_care="bed-1", devices=["amp"], age_group="child")])
    older = Placement(version=3, beds=[PlacedBed(point_of_care="bed-1", devices=["amp"], age_group="adult")])
    async with hub_peer(store, authority, placement=newer) as hub, gateway(tmp_path, authority, hub.port, port):
        await until(lambda: store.applied == [7])
        await hub.stop()
        async with hub_peer(store, authority, hub.port, older):
            await until(lambda: store.applied == [7, 3])
    assert Placement.FromString((tmp_path / "state" / "placement.pb").read_bytes()) == older


async def test_a_hub_restored_from_an_old_backup_gets_the_rest_again(tmp_path: Path, board: Board, port: Path):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub, gateway(tmp_path, authority, hub.port, port):
        await until(lambda: count(store) > 400)
        await hub.stop()
        [epoch] = store.positions
        old = Store()
        kept = 3
        for lane in Lane:
            old.positions.setdefault(epoch, {})[lane] = Position([(1, kept)] if lane is Lane.WAVEFORM else [])
        for key in [k for k in store.batches if k[1] is Lane.WAVEFORM and k[2] <= kept]:
            old.batches[key] = store.batches[key]
        async with hub_peer(old, authority, hub.port):
            sent = board.sample
            await until(lambda: complete(old, sent))
    assert check_once(old, board, sent) == []


async def test_one_device_that_cannot_be_opened_does_not_touch_the_other(tmp_path: Path, port: Path):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        save_identity(tmp_path / "state", authority.identity(f"127.0.0.1:{hub.port}"))
        devices = "".join(
            f'[[devices]]\nid = "{name}"\nfamily = "{family}"\nurl = "{url}"\n'
            for name, family, url in (
                ("absent", "cyton", tmp_path / "nothing"),
                ("odd", "no-such-family", "x"),
                ("amp", "cyton", port),
            )
        )
        agent = Gateway(write_config(tmp_path, devices))
        await agent.start()
        try:
            await until(lambda: count(store) > 100)
            assert "no-such-family" in str(agent.said("device-not-usable")[0]["reason"])
            assert "nothing" in str(agent.said("link-lost")[0]["error"])
        finally:
            await agent.kill()


async def test_two_agents_do_not_share_one_state(tmp_path: Path):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub, gateway(tmp_path, authority, hub.port, None) as agent:
        await until(lambda: bool(agent.said("agent-started")))
        second = Gateway(agent.config)
        await second.start()
        assert second.process is not None
        async with asyncio.timeout(PATIENCE_S):
            assert await second.process.wait() == 1
        await second.kill()
        assert any("another agent works with" in str(line["event"]) for line in second.log)


def mapped(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def memory_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def test_the_agent_stays_small(tmp_path: Path, port: Path):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub, gateway(tmp_path, authority, hub.port, port) as agent:
        await until(lambda: count(store) > 500)
        assert agent.process is not None
        used = memory_mib(agent.process.pid)
        begun, cpu = time.monotonic(), cpu_s(agent.process.pid)
        await asyncio.sleep(2)
        share = (cpu_s(agent.process.pid) - cpu) / (time.monotonic() - begun)
        maps = mapped(agent.process.pid)
        print(f"agent: {used:.0f} MiB resident, {share:.0%} of a core")
        assert used < 150  # a gateway of 512 MB has room for it beside the system
        assert "site-packages/scipy/" not in maps
        assert "site-packages/pandas/" not in maps
        assert any(isinstance(r, WaveformGroup | Observation) for r in store.records(Lane.WAVEFORM))


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
