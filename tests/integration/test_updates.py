"""The agent, as its own process that is started again as systemd does, goes over to signed releases, or back by itself."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from edge.identity import Identity, save_identity
from firmware_adapters.simulate.cyton import RATE_HZ, Board
from hub.core import principal
from hub.core.audit import AuditLog
from hub.core.db import Database
from hub.updates.service import Plan, RolloutRow, Updates
from tests.fixtures.agent import Gateway
from tests.fixtures.amplifier_rows import holes, samples
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import write_config
from tests.fixtures.releases import NO_START, START, Releases
from tests.fixtures.waiting import until, until_asked
from wardlink.release.building import head_of

pytestmark = pytest.mark.integration
OPERATOR = principal.operator("test", 1)
NAME = "gateway-1"


@pytest.fixture
def board() -> Board:
    return Board(np.arange(300 * RATE_HZ, dtype=np.float64)[None, :])


class Service:
    """The agent as systemd keeps it: `Restart=always`."""

    def __init__(self, config: Path) -> None:
        self.agent = Gateway(config)
        self.starts = 0
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._keeping is not None
        self._keeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeping
        await self.agent.kill()

    async def _keep(self) -> None:
        while True:
            await self.agent.start()
            self.starts += 1
            assert self.agent.process is not None
            await self.agent.process.wait()
            await asyncio.sleep(0.1)

    def kill(self) -> None:
        assert self.agent.process is not None
        self.agent.process.send_signal(signal.SIGKILL)

    def release(self) -> str:
        """Which release its process is, "" for what is installed."""
        assert self.agent.process is not None
        try:
            environment = Path(f"/proc/{self.agent.process.pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return "none"
        return next(
            (one.partition(b"=")[2].decode() for one in environment if one.startswith(b"WARDLINK_RELEASE=")), ""
        )


@asynccontextmanager
async def service(
    folder: Path, releases: Releases, port: Path, save: Callable[[Path], None]
) -> AsyncGenerator[Service]:
    assert releases.keys.parent == folder
    save(folder / "state")
    device = (
        f'[[devices]]\nid = "amp"\nfamily = "cyton"\nurl = "{port}"\n[devices.options]\nchannels = {{ "1" = "II" }}\n'
    )
    config = write_config(folder, device, "[spool]\nmax_mib = 66\n[update]\nhealthy_within_s = 60\n")
    async with Service(config) as running:
        try:
            yield running
        except BaseException:
            print(*running.agent.log, sep="\n")
            raise


async def ended(updates: Updates, rollout: int, within_s: float = 60) -> RolloutRow:
    """A rollout when it runs no more."""

    async def row() -> RolloutRow:
        return next(one for one in await updates.rollouts(OPERATOR) if one.rollout_id == rollout)

    async def is_over() -> bool:
        return (await row()).state != "running"

    await until_asked(is_over, within_s)
    return await row()


async def add(updates: Updates, path: Path) -> None:
    head, data = head_of(path), await asyncio.to_thread(path.read_bytes)
    await updates.add(OPERATOR, head, data[: head.size], [data[head.size :]])


@pytest.mark.req("IOT-6.3e", surface="protocol")
async def test_a_signed_release_comes_over_the_link_is_tried_and_kept_and_one_that_does_not_start_is_given_up_and_halts_its_rollout(
    hub: RunningHub, releases: Releases, tmp_path: Path, port: Path
):
    papers = await hub.enrol(NAME)
    identity = Identity(papers.tenant, NAME, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem)
    await hub.enrol("that-is-away")
    good, bad = releases.make("0.2.0"), releases.make("0.3.0", {START: NO_START})
    async with (
        Database(hub.database.url_for("wardlink_web"), "test web", max_size=2) as pool,
        service(tmp_path, releases, port, lambda state: save_identity(state, identity)) as running,
    ):
        updates = Updates(pool, AuditLog(pool))
        await until(lambda: samples(hub) > 100, 30)
        await add(updates, good)
        plan = await updates.plan(OPERATOR, Plan("0.2.0", "1,100%", 3600, only=[NAME]))
        done = await ended(updates, plan.rollout_id)
        assert (done.state, [one.state for one in done.gateways]) == ("finished", ["applied"])
        assert running.release().startswith("0.2.0-")
        assert running.starts == 1, "it goes over in the same process"

        await add(updates, bad)
        plan = await updates.plan(OPERATOR, Plan("0.3.0", "1,100%", 0, first=[NAME]))
        halted = await ended(updates, plan.rollout_id)
        assert (halted.state, [one.state for one in halted.gateways]) == ("halted", ["rolled_back", "waiting"])
        assert "3 times" in halted.reason
        before = samples(hub)
        await until(lambda: samples(hub) > before + 100, 30)
        assert running.release().startswith("0.2.0-")
        assert running.starts == 4, "the one that fell in its process, two more, and the one that went back"
    missing, told, reasons = holes(hub)
    assert told == missing, "what the restarts cost is told as gaps"
    assert reasons <= {"agent_restart"}
    actions = [
        str(row[0]) for row in hub.rows("select action from audit where action ~ '^(update|rollout)' order by 1")
    ]
    assert actions == [
        "rollout.finish",
        "rollout.halt",
        *["rollout.stage"] * 2,
        *["update.add"] * 2,
        *["update.plan"] * 2,
    ]
