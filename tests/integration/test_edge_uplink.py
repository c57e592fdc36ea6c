"""The shell of the uplink with a real spool and a real gRPC connection: overtaking, damage, overflow, a copied disk, a black hole."""

import asyncio
import errno
import os
import shutil
import threading
import time
from collections import Counter
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from edge.app import Agent
from edge.identity import save_identity
from edge.settings import load_settings
from edge.spool import Limits
from edge.spool.store import Store as SpoolStore
from edge.uplink import ClientPapers, Route, refused
from protocols.link import Connection, Lane
from protocols.link import sender as link_sender
from protocols.nomenclature import HEART_RATE, SPOOL_CORRUPT, SPOOL_FULL, lead
from protocols.record import AlarmCondition, Evidence, Gap, WaveformGroup
from tests.fixtures.hub_peer import Authority, Store, hub_peer, write_config
from tests.fixtures.sender import Sending, sender
from tests.fixtures.spool_records import ECG, alarm, heart_rate, noisy_waveform, waveform
from tests.fixtures.tcp_proxy import Proxy
from tests.fixtures.waiting import PATIENCE_S, longest_turn_s, until

pytestmark = pytest.mark.integration
SMALL = Limits(total_bytes=6 * 65536, segment_bytes=65536, alarm_segment_bytes=32768)


def sending(folder: Path, authority: Authority, port: int, limits: Limits) -> AbstractAsyncContextManager[Sending]:
    papers = authority.gateway()
    client = ClientPapers(papers.key, papers.certificate, authority.pem)
    return sender(folder, lambda: Route(lambda: [f"127.0.0.1:{port}"], lambda: client), limits)


async def delivered(agent: Sending, store: Store, within_s: float = PATIENCE_S) -> None:
    """All that this spool ever made has come to the hub, and the agent has heard it."""
    made = {lane: agent.spool.newest(lane) for lane in Lane}
    await until(
        lambda: Counter(at for at, _, _ in store.arrived) == Counter(made) and agent.all_acknowledged(), within_s
    )


def gaps(store: Store) -> list[Gap]:
    return [r for r in store.records(Lane.EVENT) if isinstance(r, Gap)]


async def test_an_alarm_overtakes_a_backlog_and_live_data_overtake_it_too(tmp_path: Path):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        hub.delay_s = 0.02
        async with sending(tmp_path, authority, hub.port, Limits()) as agent:
            await hub.stop()
            for i in range(400):
                await agent.append(Lane.WAVEFORM, noisy_waveform(1000 * i, 1000))
            async with hub_peer(store, authority, hub.port) as again:
                again.delay_s = 0.02
                await until(lambda: len(store.arrived) > 60)
                begun = time.monotonic()
                await agent.append(Lane.ALARM, alarm())
                await until(lambda: bool(store.records(Lane.ALARM)))
                took_s = time.monotonic() - begun
                print(
                    f"alarm stored {took_s * 1e3:.0f} ms behind its append, with {agent.link.waiting(Lane.WAVEFORM)} batches waiting"
                )
                assert took_s < 0.5
                assert agent.link.waiting(Lane.WAVEFORM) > 100
                await agent.append(Lane.WAVEFORM, noisy_waveform(400_000, 1000))
                newest = agent.spool.newest(Lane.WAVEFORM)
                await until(lambda: any(n == newest for lane, n, _ in store.arrived if lane is Lane.WAVEFORM), 2)
                assert agent.link.waiting(Lane.WAVEFORM) > 10


async def test_batches_that_the_spool_gave_up_reach_the_hub_as_gaps_once(tmp_path: Path):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        async with sending(tmp_path, authority, hub.port, SMALL) as agent:
            await agent.append(Lane.WAVEFORM, noisy_waveform(0, 500))
            await until(lambda: len(store.arrived) == 1)
            await hub.stop()
            for i in range(1, 300):
                await agent.append(Lane.WAVEFORM, noisy_waveform(500 * i, 500))
            async with hub_peer(store, authority, hub.port):
                await until(lambda: bool(store.lost) and not agent.link.waiting(Lane.WAVEFORM))
        # told before, and not again behind a restart
        async with hub_peer(store, authority, hub.port), sending(tmp_path, authority, hub.port, SMALL) as agent:
            told = len(gaps(store))
            await agent.append(Lane.NUMERIC, heart_rate(60))
            await until(lambda: bool(store.records(Lane.NUMERIC)))
    assert len(gaps(store)) == told
    assert {g.reason for g in gaps(store)} == {SPOOL_FULL}
    stored = sum(r.n for r in store.records(Lane.WAVEFORM) if isinstance(r, WaveformGroup))
    missing = sum((g.to_sample or 0) - (g.from_sample or 0) for g in gaps(store) if g.source == ECG)
    assert stored + missing == 300 * 500


async def test_a_batch_that_is_damaged_on_disk_reaches_the_hub_as_a_gap_and_holds_up_nothing(tmp_path: Path):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        async with sending(tmp_path, authority, 1, SMALL) as agent:
            for i in range(9):
                await agent.append(Lane.WAVEFORM, waveform(25 * i))
        segment = next((tmp_path / "spool" / "waveform").glob("*.seg"))
        data = bytearray(segment.read_bytes())
        fourth = [i for i in range(len(data)) if data.startswith(b"WLF1", i)][3]
        data[fourth + 70] ^= 0x10
        segment.write_bytes(data)
        async with sending(tmp_path, authority, hub.port, SMALL):
            await until(lambda: bool(store.lost) and len(store.records(Lane.WAVEFORM)) == 8)
    [gap] = gaps(store)
    assert (gap.reason, gap.from_sample, gap.to_sample) == (SPOOL_CORRUPT, 75, 100)
    assert store.lost == [(Lane.WAVEFORM, 4, 4)]


async def test_a_backlog_that_cannot_be_read_for_a_moment_arrives_whole_and_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        async with sending(tmp_path, authority, 1, SMALL) as agent:
            for i in range(9):
                await agent.append(Lane.WAVEFORM, waveform(25 * i))
                await agent.append(Lane.ALARM, alarm())
        real, reads = os.pread, count()

        def pread(fd: int, size: int, offset: int) -> bytes:
            if next(reads) in {3, 4, 6}:
                raise OSError(errno.ENOMEM, "Cannot allocate memory")
            return real(fd, size, offset)

        async with sending(tmp_path, authority, hub.port, SMALL) as agent:
            monkeypatch.setattr(os, "pread", pread)
            await until(agent.all_acknowledged, 20)
            assert agent.spool.held(Lane.WAVEFORM) == [(1, 9)]
    assert next(reads) > 6
    assert (store.lost, gaps(store)) == ([], [])
    assert [n for lane, n, _ in store.arrived if lane is Lane.ALARM] == list(range(1, 10))


async def test_alarms_go_past_one_that_cannot_be_read_new_ones_at_once_and_those_on_the_disk_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        async with sending(tmp_path, authority, 1, Limits()) as agent:
            for _ in range(3):
                await agent.append(Lane.ALARM, alarm())
        monkeypatch.setattr(refused, "MOMENT_S", 1.5)
        real = SpoolStore.read

        def read(self: SpoolStore, lane: Lane, n: int) -> bytes | None:
            if (lane, n) == (Lane.ALARM, 1):
                raise OSError(errno.EMFILE, "Too many open files")
            return real(self, lane, n)

        def arrived() -> list[int]:
            return [n for lane, n, _ in store.arrived if lane is Lane.ALARM]

        monkeypatch.setattr(SpoolStore, "read", read)
        async with sending(tmp_path, authority, hub.port, Limits()) as agent:
            await agent.append(Lane.ALARM, alarm())
            for i in range(20):  # more than memory has room for
                await agent.append(Lane.WAVEFORM, *(noisy_waveform(8000 * i + 1000 * j, 1000) for j in range(8)))
            assert agent.spool.is_recent(Lane.ALARM, 4) or arrived() == [4]
            await until(lambda: arrived() == [4], 1)
            await until(lambda: arrived() == [4, 2, 3], 5)
            monkeypatch.setattr(SpoolStore, "read", real)
            await until(agent.all_acknowledged, 5)
            await until(lambda: not agent.spool.is_recent(Lane.ALARM, 4))
    assert (arrived(), store.lost) == ([4, 2, 3, 1], [])


async def test_a_copied_disk_begins_a_new_spool_and_loses_nothing(tmp_path: Path):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        state = tmp_path / "state"
        async with sending(state, authority, hub.port, Limits()) as agent:
            for i in range(3):
                await agent.append(Lane.WAVEFORM, waveform(25 * i))
            await until(lambda: len(store.arrived) == 3)
        await asyncio.to_thread(shutil.copytree, state / "spool", tmp_path / "image")
        async with sending(state, authority, hub.port, Limits()) as agent:
            for i in range(3, 9):
                await agent.append(Lane.WAVEFORM, waveform(25 * i))
            await until(lambda: len(store.arrived) == 9)
        await asyncio.to_thread(shutil.rmtree, state / "spool")
        await asyncio.to_thread((tmp_path / "image").rename, state / "spool")
        async with sending(state, authority, 1, Limits()) as agent:  # written while the hub was out of reach
            await agent.append(Lane.WAVEFORM, waveform(1000))
        save_identity(state, authority.identity(f"127.0.0.1:{hub.port}"))
        stop = asyncio.Event()
        running = asyncio.create_task(Agent(load_settings(write_config(tmp_path))).run(stop))
        try:
            await until(lambda: waveform(1000) in store.records(Lane.WAVEFORM))
        finally:
            stop.set()
            await running
    assert len(store.positions) == 2
    assert [r for r in store.records(Lane.WAVEFORM) if r == waveform(1000)] == [waveform(1000)]
    assert not (state / "spool.superseded").exists()


async def test_a_disk_that_was_put_back_and_has_passed_the_hub_since_loses_nothing(tmp_path: Path):
    """Restored to an image of the third batch while the hub, which has nine, cannot be reached until the spool has made twelve again."""
    store, authority = Store(), Authority()
    before = [waveform(25 * i) for i in range(9)]
    behind = [waveform(1000 + 25 * i) for i in range(9)]
    alarms = [alarm() for _ in range(4)]
    async with hub_peer(store, authority) as hub:
        state = tmp_path / "state"
        for records, one in ((before[:3], alarms[0]), (before[3:], alarms[1])):
            async with sending(state, authority, hub.port, Limits()) as agent:
                for record in records:
                    await agent.append(Lane.WAVEFORM, record)
                await agent.append(Lane.ALARM, one)
                await delivered(agent, store)
            if one is alarms[0]:
                await asyncio.to_thread(shutil.copytree, state / "spool", tmp_path / "image")
        await asyncio.to_thread(shutil.rmtree, state / "spool")
        await asyncio.to_thread((tmp_path / "image").rename, state / "spool")
        async with sending(state, authority, 1, Limits()) as agent:
            for record in behind:
                await agent.append(Lane.WAVEFORM, record)
            for one in alarms[2:]:
                await agent.append(Lane.ALARM, one)
        save_identity(state, authority.identity(f"127.0.0.1:{hub.port}"))
        stop = asyncio.Event()
        running = asyncio.create_task(Agent(load_settings(write_config(tmp_path))).run(stop))
        try:
            await until(lambda: len(store.arrived) == 11 + len(behind) + 2)
        finally:
            stop.set()
            await running
    stored = [r for r in store.records(Lane.WAVEFORM) if isinstance(r, WaveformGroup)]
    assert sorted(stored, key=lambda r: r.first_sample) == [*before, *behind]
    assert Counter(r.id for r in store.records(Lane.ALARM) if isinstance(r, AlarmCondition)) == Counter(
        a.id for a in alarms
    )
    assert len(store.positions) == 2


async def test_a_hub_that_names_the_newest_batch_is_believed_again_and_again_by_the_spool_that_made_it(tmp_path: Path):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        for life in range(2):
            async with sending(tmp_path, authority, hub.port, Limits()) as agent:
                for lane, record in ((Lane.WAVEFORM, waveform(25 * life)), (Lane.ALARM, alarm())):
                    await agent.append(lane, record)
                await delivered(agent, store)
                await hub.stop()
                await agent.append(Lane.WAVEFORM, waveform(500 + 25 * life))
                await hub.start(hub.port)
                await delivered(agent, store)
                assert not any(task.done() for task in agent.tasks)
    assert len(store.positions) == 1
    assert not store.stored_twice


async def test_a_disk_that_does_not_say_when_a_batch_was_closed_holds_up_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        async with sending(tmp_path, authority, hub.port, Limits()) as agent:
            await agent.append(Lane.ALARM, alarm())
            await until(lambda: len(store.arrived) == 1)
        answers, asked = threading.Event(), list[int]()

        def hangs(_: SpoolStore, lane: Lane, n: int) -> int | None:
            asked.append(n)
            answers.wait()
            return None

        monkeypatch.setattr(SpoolStore, "closed_ns", hangs)
        try:
            async with sending(tmp_path, authority, hub.port, Limits()) as agent:
                for _ in range(3):
                    await agent.append(Lane.ALARM, alarm())
                    await delivered(agent, store, 3)
                    await hub.stop()
                    await hub.start(hub.port)
                assert asked == [1]  # however often the hub comes back: one thread waits for the disk
        finally:
            answers.set()


async def test_a_hub_that_accepts_and_answers_nothing_is_given_up_and_found_again(tmp_path: Path):
    store, authority = Store(), Authority()
    async with (
        hub_peer(store, authority) as hub,
        Proxy(hub.port) as proxy,
        sending(tmp_path, authority, proxy.port, Limits()) as agent,
    ):
        await agent.append(Lane.NUMERIC, heart_rate(60))
        await until(lambda: len(store.arrived) == 1)
        proxy.swallow()
        await agent.append(Lane.NUMERIC, heart_rate(61))
        await until(lambda: proxy.accepted > 2, 20)  # both connections were given up, and are tried again
        proxy.heal()
        await until(lambda: len(store.arrived) == 2, 20)
    assert not store.stored_twice


async def test_a_link_on_which_a_handshake_takes_longer_than_a_try_is_made_at_the_first_try(tmp_path: Path):
    """Four ways of 1.5 s are more than the 5 s behind which another try is made; the first one goes on beside it."""
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub, Proxy(hub.port) as proxy:
        proxy.delay_s = 1.5
        begun = time.monotonic()
        async with sending(tmp_path, authority, proxy.port, Limits()) as agent:
            await agent.append(Lane.NUMERIC, heart_rate(60))
            await until(lambda: len(store.arrived) == 1, 20)
            took_s = time.monotonic() - begun
    print(f"stored {took_s:.1f} s after the start: six ways")
    assert took_s < 13  # given up after 5 s and begun anew it is more than 15


async def test_a_gateway_whose_disk_hangs_connects_again_with_what_it_read_of_its_identity_before(tmp_path: Path):
    store, authority = Store(), Authority()
    papers = authority.gateway()
    hangs, asked = threading.Event(), list[int]()

    def read() -> ClientPapers:
        asked.append(len(asked))
        if len(asked) > len(Connection):
            hangs.wait()
        return ClientPapers(papers.key, papers.certificate, authority.pem)

    try:
        async with hub_peer(store, authority) as hub:
            async with sender(tmp_path, lambda: Route(lambda: [f"127.0.0.1:{hub.port}"], read)) as agent:
                for _ in range(3):
                    await agent.append(Lane.ALARM, alarm())
                    await delivered(agent, store, 5)
                    await hub.stop()
                    await hub.start(hub.port)
            assert len(asked) == 2 * len(Connection), "a thread for each connection, however often it begins anew"
    finally:
        hangs.set()


async def test_an_agent_with_a_page_of_its_own_goes_on_over_a_disk_that_hangs_below_its_identity(tmp_path: Path):
    """In the place of each file stands a pipe that nobody writes to: whoever opens it waits."""
    store, authority = Store(), Authority()
    state, papers = tmp_path / "state", authority.gateway(days=30)
    async with hub_peer(store, authority) as hub:
        enrolled = replace(authority.identity(f"127.0.0.1:{hub.port}"), key_pem=papers.key)
        page = authority.page_of(papers)
        save_identity(state, replace(enrolled, certificate_pem=papers.certificate, server_certificate_pem=page))
        settings = load_settings(write_config(tmp_path, '[local_page]\nlisten = "127.0.0.1:0"'))
        stop = asyncio.Event()
        running = asyncio.create_task(Agent(settings).run(stop))
        try:
            await until(lambda: any("https://localhost:" in str(record) for record in store.records(Lane.EVENT)))
            for file in list((state / "identity").iterdir()):
                file.unlink()
                os.mkfifo(file)
            assert await longest_turn_s(3.0) < 0.5
        finally:
            stop.set()
            await running


@pytest.mark.parametrize("connection", list(Connection))
async def test_a_hub_that_greets_and_reads_no_more_is_left_for_the_next_address(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """More is on its way than its door holds, so that a write waits; its connection is alive, and answers pings."""
    monkeypatch.setattr(link_sender, "ACK_TIMEOUT_NS", 2_000_000_000)
    lane = Lane.ALARM if connection is Connection.ALARM else Lane.WAVEFORM
    store, authority = Store(), Authority()
    papers = authority.gateway()
    client = ClientPapers(papers.key, papers.certificate, authority.pem)
    # what HTTP/2 itself lets through unread, as at a proxy; gRPC between two of its own takes 4 MB
    window = (("grpc.http2.lookahead_bytes", 65_535), ("grpc.http2.bdp_probe", 0))
    async with hub_peer(store, authority, options=window) as first, hub_peer(store, authority) as second:
        hubs = [f"127.0.0.1:{hub.port}" for hub in (first, second)]
        async with sender(tmp_path, lambda: Route(lambda: hubs, lambda: client), Limits()) as agent:
            await agent.append(Lane.NUMERIC, heart_rate(60))
            await agent.append(Lane.ALARM, alarm())
            await delivered(agent, store)
            first.reads[connection].clear()
            small, large = noisy_waveform(0, 25), noisy_waveform(25, 40_000)
            begun = time.monotonic()
            for strip in (small, large):
                in_it = replace(alarm(), evidence=Evidence("vf", "1", strip))
                await agent.append(lane, in_it if lane is Lane.ALARM else strip)
            await delivered(agent, store, 20)
            print(f"all of it stored by the next address {time.monotonic() - begun:.1f} s behind the first's last word")
    assert not store.lost


async def test_an_idle_link_that_swallows_everything_is_given_up_within_twelve_seconds(tmp_path: Path):
    """By the agent alone: this hub sends no pings, and nothing waits for an acknowledgement."""
    up = [("edge_uplink_up", {"connection": connection}) for connection in ("alarm", "data")]
    store, authority = Store(), Authority()
    async with (
        hub_peer(store, authority) as hub,
        Proxy(hub.port) as proxy,
        sending(tmp_path, authority, proxy.port, Limits()) as agent,
    ):
        await agent.append(Lane.NUMERIC, heart_rate(60))
        await until(lambda: [REGISTRY.get_sample_value(*one) for one in up] == [1, 1] and len(store.arrived) == 1)
        proxy.swallow()
        await until(lambda: [REGISTRY.get_sample_value(*one) for one in up] == [0, 0], 12)
        proxy.heal()


@pytest.mark.req("IOT-9.3f", surface="protocol")
async def test_data_on_their_way_can_be_neither_read_nor_changed(tmp_path: Path):
    store, authority = Store(), Authority()
    async with (
        hub_peer(store, authority) as hub,
        Listening(hub.port) as proxy,
        sending(tmp_path, authority, proxy.port, Limits()) as agent,
    ):
        await agent.append(Lane.NUMERIC, heart_rate(60))
        await agent.append(Lane.WAVEFORM, waveform(0))
        await until(lambda: len(store.arrived) == 2)
        connections = proxy.accepted
        proxy.flip_next = True
        await agent.append(Lane.NUMERIC, heart_rate(61))
        await until(lambda: proxy.accepted > connections, 20)  # the changed byte ended its connection
        assert not proxy.flip_next
        await until(lambda: len(store.arrived) == 3, 20)
    assert store.records(Lane.NUMERIC) == [heart_rate(60), heart_rate(61)]
    assert store.records(Lane.WAVEFORM) == [waveform(0)]
    assert not store.stored_twice
    plain = b"".join(batch.SerializeToString() for batch in store.batches.values())
    for word in (ECG.device.encode(), HEART_RATE.encode(), lead("II").encode()):
        assert word in plain
        assert word not in proxy.seen


class Listening(Proxy):
    """Sees all bytes, and changes one on request."""

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream)
        self.seen = bytearray()
        self.flip_next = False  # change one byte of what the agent sends next

    def passing(self, data: bytes, *, up: bool) -> bytes:
        self.seen += data
        if up and self.flip_next:
            self.flip_next = False
            middle = len(data) // 2
            return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        return data
