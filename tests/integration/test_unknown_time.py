"""A gateway that starts without knowing the time: its battery is empty, nothing has set its clock. An agent, a board, a hub over gRPC."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from edge.app import Agent
from edge.clock import GatewayClock
from edge.identity import save_identity
from edge.settings import load_settings
from firmware_adapters.simulate.cyton import RATE_HZ, Board
from protocols.link import Lane
from protocols.nomenclature import EVT_CLOCK_STEP, LINK_LOST
from protocols.record import NS_PER_S, AlarmCondition, DeviceEvent, Gap, WaveformGroup
from tests.fixtures.hub_peer import Authority, Store, hub_peer, write_config
from tests.fixtures.waiting import until
from wardlink.local.ports import free_port

pytestmark = pytest.mark.integration
Y2001_NS = 978_307_200 * NS_PER_S
DEVICES = """
[[devices]]
id = "amp"
family = "cyton"
url = "{port}"
[devices.options]
channels = {{ "1" = "II" }}
[[devices]]
id = "unplugged"
family = "cyton"
url = "/dev/nothing-here"
[devices.options]
channels = {{ "1" = "II" }}
"""


@pytest.fixture
def board() -> Board:
    return Board(np.arange(60 * RATE_HZ, dtype=np.float64)[None, :])


class Machine:
    """A machine whose clock begins with 2001 until something sets it."""

    def __init__(self) -> None:
        self.is_set = False
        self.off_ns = 0  # that something has it jump by
        self._began_ns = time.time_ns()

    def system_ns(self) -> int:
        return time.time_ns() + self.off_ns if self.is_set else time.time_ns() - self._began_ns + Y2001_NS

    def clock(self, not_before_ns: int) -> GatewayClock:
        return GatewayClock(self.system_ns, not_before_ns=not_before_ns, is_synchronised=lambda: self.is_set)


@asynccontextmanager
async def running(
    folder: Path, port: Path, hub_port: int, authority: Authority, machine: Machine
) -> AsyncGenerator[None]:
    save_identity(folder / "state", authority.identity(f"127.0.0.1:{hub_port}"))
    settings = load_settings(write_config(folder, DEVICES.format(port=port)))
    stop = asyncio.Event()
    agent = asyncio.create_task(Agent(settings, machine.clock).run(stop))
    try:
        yield
    finally:
        stop.set()
        await agent


def ecg(store: Store) -> list[WaveformGroup]:
    groups = [r for r in store.records(Lane.WAVEFORM) if isinstance(r, WaveformGroup) and r.source.path == ("ecg",)]
    return sorted(groups, key=lambda g: g.first_sample)


def is_whole(groups: list[WaveformGroup], until_ns: int) -> bool:
    """Whether all has come that was measured up to then."""
    followed = [g.first_sample for g in groups[1:]] == [g.end_sample for g in groups[:-1]]
    return bool(groups) and groups[0].first_sample == 0 and followed and groups[-1].times.gateway_ns > until_ns


def unplugged(store: Store) -> list[AlarmCondition]:
    return [a for a in store.records(Lane.ALARM) if isinstance(a, AlarmCondition) and a.code == LINK_LOST]


def steps(store: Store) -> list[DeviceEvent]:
    return [e for e in store.records(Lane.EVENT) if isinstance(e, DeviceEvent) and e.code == EVT_CLOCK_STEP]


def is_right(
    groups: list[WaveformGroup], board: Board, began_ns: int, now_ns: Callable[[], int] = time.time_ns
) -> None:
    """Every sample once, in order, at the board's rate from when it began, without a hole."""
    assert [g.first_sample for g in groups[1:]] == [g.end_sample for g in groups[:-1]]
    starts = np.array([g.times.best_ns for g in groups])
    assert np.diff(starts).min() > 0
    assert began_ns - NS_PER_S < starts[0] < began_ns + 5 * NS_PER_S
    assert starts[-1] < now_ns()
    rate = (groups[-1].first_sample - groups[0].first_sample) / (starts[-1] - starts[0]) * NS_PER_S
    assert rate == pytest.approx(RATE_HZ, rel=0.1)
    assert groups[0].array()[0].tolist() == board.counts[groups[0].first_sample : groups[0].end_sample, 0].tolist()


async def test_data_wait_for_the_time_and_get_right_ones_from_the_hubs_hello(tmp_path: Path, board: Board, port: Path):
    store, authority, began_ns, hub_port = Store(), Authority(), time.time_ns(), free_port()
    async with running(tmp_path, port, hub_port, authority, Machine()):
        await asyncio.sleep(7)  # a hub that cannot be reached; an unplugged device is alarmed after 5 s
        learned_ns = time.time_ns()
        async with hub_peer(store, authority, hub_port):
            await until(lambda: is_whole(ecg(store), learned_ns + NS_PER_S))
            await until(lambda: bool(unplugged(store)) and bool(steps(store)))
            is_right(ecg(store), board, began_ns)
    assert not [g for g in store.records(Lane.WAVEFORM) if isinstance(g, Gap)]
    alarm = unplugged(store)[0]
    assert began_ns - NS_PER_S < alarm.onset_ns < learned_ns
    assert "time_uncertain" not in dict(alarm.params), "by the time it could be sent, the time was known"
    assert [dict(e.params)["learned"] for e in steps(store) if e.source.device == "gateway-1"] == [True]
    assert {str(e.source) for e in steps(store)} == {"gateway-1"}, "no device's clock was set"


async def test_alarms_go_at_once_and_say_so_where_nobody_knows_the_time_and_data_wait(
    tmp_path: Path, board: Board, port: Path
):
    store, authority, began_ns, machine = Store(), Authority(), time.time_ns(), Machine()
    async with hub_peer(store, authority) as hub:
        hub.now_ns = lambda: 0  # a hub of before, or one that has no time itself
        async with running(tmp_path, port, hub.port, authority, machine):
            await until(lambda: bool(unplugged(store)))
            assert dict(unplugged(store)[0].params)["time_uncertain"] is True
            assert not ecg(store)
            machine.is_set = True
            set_ns = time.time_ns()
            await until(lambda: is_whole(ecg(store), set_ns + NS_PER_S))
            is_right(ecg(store), board, began_ns)
    assert not [g for g in store.records(Lane.WAVEFORM) if isinstance(g, Gap)]


@pytest.mark.parametrize("off_years", [73, -56])
async def test_a_gateway_whose_clock_jumps_to_2099_or_1970_sends_no_such_time(
    tmp_path: Path, board: Board, port: Path, off_years: int
):
    store, authority, began_ns, machine = Store(), Authority(), time.time_ns(), Machine()
    machine.is_set = True
    async with hub_peer(store, authority) as hub, running(tmp_path, port, hub.port, authority, machine):
        await until(lambda: is_whole(ecg(store), began_ns))
        for jump in (True, False):
            machine.off_ns = off_years * 365 * 86_400 * NS_PER_S if jump else 0
            jumped_ns = time.time_ns()
            await until(lambda at_ns=jumped_ns: is_whole(ecg(store), at_ns + 3 * NS_PER_S))
        is_right(ecg(store), board, began_ns)
        every = [r for lane in Lane for r in store.records(lane)]
        assert all(began_ns - NS_PER_S < r.times.gateway_ns < time.time_ns() + NS_PER_S for r in every)
        assert not [r for r in every if isinstance(r, Gap)]
    assert [dict(e.params)["learned"] for e in steps(store) if e.source.device == "gateway-1"] == [True]
