"""A bed that nobody watches any more: the agent's process on a pseudo-terminal that falls silent or is pulled, seen at the hub's end."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from edge.identity import save_identity
from edge.pipeline.silence import FIRST_HEARD_S
from firmware_adapters.cyton import CytonAdapter
from firmware_adapters.simulate.cyton import RATE_HZ, Board
from firmware_adapters.simulate.pty import PtyPlayer
from protocols.link import Lane
from protocols.nomenclature import EVT_HEARD_AGAIN, EVT_SILENT, LINK_LOST
from protocols.record import NS_PER_S, AlarmCondition, AlarmKind, DeviceEvent, Presence, Priority, WaveformGroup
from tests.fixtures.agent import Gateway
from tests.fixtures.hub_peer import Authority, Store, hub_peer, write_config
from tests.fixtures.waiting import until

pytestmark = pytest.mark.integration
SILENCE_NS = CytonAdapter.silence_ns
STORED_WITHIN_NS = NS_PER_S  # from the agent's decision over disk and uplink to the hub


class MutedBoard(Board):
    """Measures on and sends nothing while `muted`: its batteries are low, or its radio is out of range."""

    muted = False

    def next_packet(self) -> bytes:
        packet = super().next_packet()
        return b"" if self.muted else packet


@contextmanager
def played(board: Board, port: Path) -> Generator[Callable[[], None]]:
    """Plays the board until the end, or until what it gives out is called: the cable is pulled."""
    player = PtyPlayer(board, port, rate_hz=RATE_HZ)
    stopped = threading.Event()
    thread = threading.Thread(target=player.run, args=(lambda: not stopped.is_set(),))
    thread.start()

    def pull() -> None:
        if not stopped.is_set():
            stopped.set()
            thread.join()
            player.close()

    try:
        yield pull
    finally:
        pull()


def lost(store: Store) -> list[AlarmCondition]:
    return [r for r in store.records(Lane.ALARM) if isinstance(r, AlarmCondition) and r.code == LINK_LOST]


def told(store: Store, code: str) -> int:
    return sum(isinstance(r, DeviceEvent) and r.code == code for r in store.records(Lane.EVENT))


def samples(store: Store) -> int:
    return sum(r.n for r in store.records(Lane.WAVEFORM) if isinstance(r, WaveformGroup))


def agent_with(folder: Path, authority: Authority, hub_port: int, port: Path) -> Gateway:
    save_identity(folder / "state", authority.identity(f"127.0.0.1:{hub_port}"))
    return Gateway(write_config(folder, f'[[devices]]\nid = "amp"\nfamily = "cyton"\nurl = "{port}"\n'))


def check_in_time(alarm: AlarmCondition) -> None:
    assert (alarm.kind, alarm.priority, alarm.presence) == (AlarmKind.TECHNICAL, Priority.MEDIUM, Presence.PRESENT)
    assert alarm.source.device == "amp"
    assert alarm.detected_ns - alarm.onset_ns < SILENCE_NS + NS_PER_S // 2
    assert time.time_ns() - alarm.detected_ns < STORED_WITHIN_NS


async def test_a_device_that_falls_silent_on_an_open_port_is_an_alarm_at_the_hub_until_it_is_heard_again(
    tmp_path: Path,
):
    board = MutedBoard(np.zeros((1, 120 * RATE_HZ)))
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        agent = agent_with(tmp_path, authority, hub.port, tmp_path / "amp")
        with played(board, agent.config.parent / "amp"):
            await agent.start()
            try:
                await until(lambda: samples(store) > RATE_HZ)
                assert lost(store) == []
                board.muted = True
                silent_ns = time.time_ns()
                await until(lambda: bool(lost(store)))
                [alarm] = lost(store)
                check_in_time(alarm)
                assert abs(alarm.onset_ns - silent_ns) < NS_PER_S // 2
                await until(lambda: told(store, EVT_SILENT) == 1)
                board.muted = False
                await until(lambda: len(lost(store)) == 2)
                assert [(a.id, a.presence) for a in lost(store)] == [
                    (alarm.id, Presence.PRESENT),
                    (alarm.id, Presence.ENDED),
                ]
                await until(lambda: told(store, EVT_HEARD_AGAIN) == 1)
                assert told(store, EVT_SILENT) == 1
                assert not agent.said("link-lost")
            finally:
                await agent.kill()


async def test_a_cable_that_is_pulled_is_the_same_alarm_until_it_is_plugged_in_again(tmp_path: Path):
    board = Board(np.zeros((1, 120 * RATE_HZ)))
    port = tmp_path / "amp"
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        agent = agent_with(tmp_path, authority, hub.port, port)
        with played(board, port) as pull:
            await agent.start()
            try:
                await until(lambda: samples(store) > RATE_HZ)
                pull()
                await until(lambda: bool(lost(store)))
                [alarm] = lost(store)
                check_in_time(alarm)
                await until(lambda: len(agent.said("link-lost")) >= 5)
                assert len(lost(store)) == 1
                with played(board, port):
                    await until(lambda: len(lost(store)) == 2)
                    assert lost(store)[1].presence is Presence.ENDED
                    assert lost(store)[1].id == alarm.id
            finally:
                await agent.kill()


async def test_a_device_that_was_never_there_is_an_alarm_that_a_restart_of_the_agent_does_not_double(tmp_path: Path):
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        agent = agent_with(tmp_path, authority, hub.port, tmp_path / "amp")
        await agent.start()
        try:
            await until(lambda: bool(lost(store)))
            assert (
                FIRST_HEARD_S <= (lost(store)[0].detected_ns - lost(store)[0].onset_ns) / NS_PER_S < FIRST_HEARD_S + 1
            )
            await until(lambda: told(store, EVT_SILENT) == 1)
            await agent.kill()
            await agent.start()
            await until(lambda: told(store, EVT_SILENT) == 2)
            assert len(lost(store)) == 1
        finally:
            await agent.kill()
