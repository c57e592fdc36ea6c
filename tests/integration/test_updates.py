"""The agent, as its own process that is started again as systemd does, goes over to signed releases, or back by itself."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from edge.identity import save_identity
from edge.update.person import put
from edge.update.state import Answer, Folder
from firmware_adapters.simulate.cyton import RATE_HZ, Board
from protocols.link import Lane
from protocols.record import WaveformGroup
from tests.fixtures.agent import Gateway
from tests.fixtures.hub_peer import Authority, HubPeer, Store, hub_peer, write_config
from tests.fixtures.releases import AGENT, NO_START, Releases
from tests.fixtures.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def board() -> Board:
    return Board(np.arange(300 * RATE_HZ, dtype=np.float64)[None, :])


class Service:
    """The agent as systemd keeps it: `Restart=always`."""

    def __init__(self, config: Path) -> None:
        self.agent = Gateway(config)
        self.starts = 0
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Service":
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
async def service(releases: Releases, folder: Path, port: Path) -> AsyncGenerator[tuple[Service, HubPeer, Folder]]:
    authority, store = Authority(), Store()
    assert releases.keys.parent == folder
    async with hub_peer(store, authority) as hub:
        save_identity(folder / "state", authority.identity(f"127.0.0.1:{hub.port}"))
        device = f'[[devices]]\nid = "amp"\nfamily = "cyton"\nurl = "{port}"\n[devices.options]\nchannels = {{ "1" = "II" }}\n'
        config = write_config(folder, device, "[spool]\nmax_mib = 66\n[update]\nhealthy_within_s = 15\n")
        async with Service(config) as running:
            try:
                await until(lambda: len(samples(store)) > 100, 30)
                yield running, hub, Folder(folder / "state")
            except BaseException:
                print(*running.agent.log, sep="\n")
                raise


def samples(store: Store) -> list[int]:
    """The numbers of the samples that the hub has, in order."""
    groups = [one for one in store.records(Lane.WAVEFORM) if isinstance(one, WaveformGroup)]
    return sorted(n for group in groups for n in range(group.first_sample, group.first_sample + group.n))


async def answered(folder: Folder, request: str, within_s: float = 60) -> Answer:
    def is_known() -> bool:
        answer = folder.state().answer
        return answer is not None and answer.request == request

    await until(is_known, within_s)
    answer = folder.state().answer
    assert answer is not None
    return answer


async def test_a_release_is_tried_and_kept_one_that_does_not_start_is_given_up_and_no_sample_is_lost_untold(
    releases: Releases, tmp_path: Path, port: Path
):
    state = tmp_path / "state"
    async with service(releases, tmp_path, port) as (running, hub, folder):
        good = await answered(folder, put(state, releases.make("0.2.0")))
        assert (good.outcome, good.version, good.reason) == ("applied", "0.2.0", "")
        assert running.release().startswith("0.2.0-")
        assert running.starts == 1, "it goes over in the same process"

        bad = await answered(folder, put(state, releases.make("0.3.0", {AGENT: NO_START})))
        assert (bad.outcome, bad.version) == ("rolled_back", "0.3.0")
        assert "3 times" in bad.reason
        before = len(samples(hub.store))
        await until(lambda: len(samples(hub.store)) > before + 100, 30)
        assert running.release().startswith("0.2.0-")
        assert hub.store.stored_twice == []
