"""The agent's process as systemd has it: told when it is ready, fed while it goes round, ended within five seconds whatever holds it."""

import asyncio
import resource
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from signal import SIGTERM

import numpy as np
import pytest

from edge.identity import save_identity
from firmware_adapters.simulate.cyton import RATE_HZ, Board
from protocols.link import Lane
from protocols.nomenclature import EVT_GATEWAY_STATUS
from protocols.record import NS_PER_S, DeviceEvent
from tests.fixtures.agent import Gateway
from tests.fixtures.foreign_adapter import install_our_own
from tests.fixtures.hub_peer import Authority, Store, hub_peer, write_config
from tests.fixtures.systemd import Systemd
from tests.fixtures.waiting import until

pytestmark = pytest.mark.integration
WATCHDOG_S, HELD_S = 0.6, 1.5
STOP_S = 5.0  # what the unit gives it


@pytest.fixture
def board() -> Board:
    return Board(np.zeros((1, 120 * RATE_HZ)))


@asynccontextmanager
async def agent_of(
    folder: Path, hub: int, authority: Authority, devices: str, environment: dict[str, str]
) -> AsyncGenerator[Gateway]:
    save_identity(folder / "state", authority.identity(f"127.0.0.1:{hub}"))
    agent = Gateway(write_config(folder, devices))
    agent.environment |= {"PYTHONPATH": str(install_our_own(folder / "packages")), **environment}
    await agent.start()
    try:
        yield agent
    except BaseException:
        print(*agent.log, sep="\n")
        raise
    finally:
        await agent.kill()


def at(line: dict[str, object]) -> float:
    return datetime.fromisoformat(str(line["timestamp"])).timestamp()


def stopped_after_s(agent: Gateway) -> float:
    [stopping], [stopped] = agent.said("agent-stopping"), agent.said("agent-stopped")
    return at(stopped) - at(stopping)


def amplifier(port: Path) -> str:
    return f'[[devices]]\nid = "amp"\nfamily = "cyton"\nurl = "{port}"\n'


async def test_the_watchdog_is_fed_while_the_loop_goes_round_and_who_holds_it_up_is_named(tmp_path: Path, port: Path):
    store, authority, trigger = Store(), Authority(), tmp_path / "hold"
    door = f'[[doors]]\nname = "hatch"\nkind = "hatch"\nurl = "{trigger}"\n'
    systemd = Systemd(address := f"@wardlink-test-{tmp_path.name}-{time.monotonic_ns()}")
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": str(round(WATCHDOG_S * 1e6))}
    try:
        async with (
            hub_peer(store, authority) as hub,
            agent_of(tmp_path, hub.port, authority, amplifier(port) + door, environment) as agent,
        ):
            await until(lambda: len(systemd.times_of("WATCHDOG=1")) >= 5)
            [ready] = agent.said("agent-ready")
            assert int(str(ready["up"])) >= 1
            assert len(systemd.times_of("READY=1")) == 1
            trigger.write_text(str(HELD_S))
            await until(lambda: bool(agent.said("loop-goes-on")))
            fed = systemd.times_of("WATCHDOG=1")
            assert max(b - a for a, b in zip(fed, [*fed[1:], time.monotonic()], strict=True)) >= HELD_S - WATCHDOG_S / 3
            [culprit] = [line for line in agent.said("loop-held-up") if "look" in str(line["where"])]
            assert culprit["task"] == "door-hatch"
            assert "third_adapter.py" in str(culprit["where"])
            assert 0.2 <= float(str(culprit["late_s"])) < HELD_S
            assert float(str(culprit["processor_s"])) < float(str(culprit["late_s"]))
            before = len(systemd.times_of("WATCHDOG=1"))
            await until(lambda: len(systemd.times_of("WATCHDOG=1")) > before)
            # the door does not end, and nothing waits for it
            assert await agent.kill(SIGTERM) == 0
            assert systemd.times_of("STOPPING=1")
            assert agent.said("task-does-not-end")[0]["task"] == "door-hatch"
            assert stopped_after_s(agent) < STOP_S
    finally:
        systemd.close()


def states(store: Store) -> list[DeviceEvent]:
    return [r for r in store.records(Lane.EVENT) if isinstance(r, DeviceEvent) and r.code == EVT_GATEWAY_STATUS]


async def test_a_device_that_is_switched_off_keeps_nobody_waiting_and_a_gateway_without_data_tells_that_it_lives(
    tmp_path: Path,
):
    store, authority = Store(), Authority()
    systemd = Systemd(address := str(tmp_path / "notify"))
    try:
        async with (
            hub_peer(store, authority) as hub,
            agent_of(tmp_path, hub.port, authority, amplifier(tmp_path / "none"), {"NOTIFY_SOCKET": address}) as agent,
        ):
            await until(lambda: bool(systemd.times_of("READY=1")))
            [ready] = agent.said("agent-ready")
            assert (ready["up"], ready["expected"]) == (0, 1)
            assert not systemd.times_of("WATCHDOG=1")
            await until(lambda: len(states(store)) >= 4)
            closed = sorted(batch.closed_ns for batch in store.batches.values())
            assert max(b - a for a, b in pairwise(closed)) <= 5 * NS_PER_S, "silent after 6 s (hub/gateways/domain.py)"
            told = dict(states(store)[-1].params)
            assert told["devices_down"] == 1
            assert 0 < float(told["memory_percent"]) < 100
            assert 0 <= float(told["disk_percent"]) <= 100
            assert float(told["loop_lag_ms"]) >= 0
            assert {"agent_version", "uptime_s", "python", "system", "warnings"} <= set(told)
            assert await agent.kill(SIGTERM) == 0
    finally:
        systemd.close()


async def test_the_agent_ends_in_time_with_the_hub_away_and_a_disk_that_refuses(tmp_path: Path, port: Path):
    store, authority = Store(), Authority()
    async with (
        hub_peer(store, authority) as hub,
        agent_of(tmp_path, hub.port, authority, amplifier(port), {}) as agent,
    ):
        await until(lambda: len(store.records(Lane.WAVEFORM)) > 10)
        [first] = agent.said("first-data")
        assert float(str(first["processor_s"])) < 3.0
        await hub.stop()
        assert agent.process is not None
        resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        await asyncio.sleep(1.0)
        assert await agent.kill(SIGTERM) == 0
        assert agent.said("batches-not-durable")
        assert stopped_after_s(agent) < STOP_S
