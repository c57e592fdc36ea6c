"""The hub gives a gateway settings: the agent, as its own process with a board at a line, applies them, refuses them or goes back by itself."""

import asyncio
import socket
import time
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from edge.identity import Identity, save_identity
from firmware_adapters.simulate.cyton import RATE_HZ, Board
from hub.core import principal
from hub.core.audit import AuditLog
from hub.core.db import Database
from hub.core.errors import DomainError
from hub.core.principal import Principal, PrincipalKind, Role
from hub.gateways.configuration import ConfigurationRow, GatewayConfigurations
from protocols.link import Lane
from tests.fixtures.agent import Gateway
from tests.fixtures.amplifier_rows import holes, samples
from tests.fixtures.foreign_adapter import install
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import write_config
from tests.fixtures.systemd import Systemd
from tests.fixtures.waiting import until, until_asked
from tests.fixtures.web import deliver, heart_rate, now_ns

pytestmark = pytest.mark.integration
OPERATOR = principal.operator("test", 1)
NAME = "gateway-1"
_STATES = {"READY=1", "RELOADING=1", "STOPPING=1"}


@pytest.fixture
def board() -> Board:
    return Board(np.arange(120 * RATE_HZ, dtype=np.float64)[None, :])


@asynccontextmanager
async def services(hub: RunningHub) -> AsyncGenerator[GatewayConfigurations]:
    async with Database(hub.database.url_for("wardlink_web"), "test web", max_size=2) as pool:
        yield GatewayConfigurations(pool, AuditLog(pool))


@asynccontextmanager
async def gateway(
    hub: RunningHub, folder: Path, port: Path, within_s: float, **environment: str
) -> AsyncGenerator[Gateway]:
    papers = await hub.enrol(NAME)
    identity = (papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem)
    save_identity(folder / "state", Identity(*identity))
    device = (
        f'[[devices]]\nid = "amp"\nfamily = "cyton"\nurl = "{port}"\n[devices.options]\nchannels = {{ "1" = "II" }}\n'
        f"[configuration]\nhealthy_within_s = {within_s}\n"
    )
    agent = Gateway(write_config(folder, device), environment=environment)
    await agent.start()
    try:
        await until(lambda: samples(hub) > 100, 30)
        yield agent
    except BaseException:
        print(*agent.log, sep="\n")
        raise
    finally:
        await agent.kill()


async def became(
    service: GatewayConfigurations, version: int, within_s: float = 45, *, but: str = "sent"
) -> ConfigurationRow:
    """What became of a version, when that is known."""

    async def row() -> ConfigurationRow:
        return next(r for r in await service.versions(OPERATOR, NAME) if r.version == version)

    async def known() -> bool:
        return (await row()).state not in {"waiting", but}

    await until_asked(known, within_s)
    return await row()


def taken() -> socket.socket:
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.listen()
    return held


def free() -> int:
    with taken() as held:
        return int(held.getsockname()[1])


def scraped(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return b"edge_spool_bytes" in answer.read()
    except OSError:
        return False


@pytest.mark.req("IOT-6.3e", surface="protocol")
async def test_settings_are_refused_with_the_reason_or_applied_or_rolled_back_and_no_sample_goes_untold(
    hub: RunningHub, tmp_path: Path, port: Path
):
    packages = str(install(tmp_path / "packages"))
    async with services(hub) as service, gateway(hub, tmp_path, port, 30, PYTHONPATH=packages) as agent:
        for toml, reason in (
            ("[metrics]\nbort = 1\n", "metrics.bort"),
            ("[metrics]\nport = 70000\n", "less than or equal to 65535"),
            ('state_dir = "/tmp"\n', "state_dir: only the gateway's own file may set it"),
            ('[[devices]]\nid = "new"\nfamily = "nobodys"\nurl = "x"\n', "nobodys"),
        ):
            row = await became(service, await service.configure(OPERATOR, NAME, toml))
            assert (row.state, reason in row.reason) == ("refused", True), row
        assert len(agent.said("agent-started")) == 1, "what is refused restarts nothing"

        metrics = free()
        late = f'[[devices]]\nid = "late"\nfamily = "cyton"\nurl = "{tmp_path / "not-there-yet"}"\n'
        # Another maker's adapter would refuse this url; it says so in its own process only, which is begun in the trial.
        foreign = '[[devices]]\nid = "foreign"\nfamily = "third"\nurl = "nowhere"\n'
        applied = await service.configure(OPERATOR, NAME, f"{late}{foreign}[metrics]\nport = {metrics}\n")
        assert (await became(service, applied)).state == "applied"
        assert await asyncio.to_thread(scraped, metrics)
        assert agent.said("agent-started")[-1]["devices"] == ["amp", "late", "foreign"]

        with taken() as held:
            number = held.getsockname()[1]
            tried = await service.configure(OPERATOR, NAME, f"[metrics]\nport = {number}\n")
            row = await became(service, tried)
        assert (row.state, "Address already in use" in row.reason) == ("rolled_back", True), row
        assert await asyncio.to_thread(scraped, metrics), "what was applied before holds again"
        assert agent.said("agent-started")[-1]["devices"] == ["amp", "late", "foreign"]
        assert [r.state for r in await service.versions(OPERATOR, NAME)] == ["rolled_back", "applied", *["refused"] * 4]

        # A start of the agent's own keeps what was applied, and nothing is tried again.
        await agent.kill()
        before = samples(hub)
        await agent.start()
        await until(lambda: samples(hub) > before + 100, 30)
        assert await asyncio.to_thread(scraped, metrics)
        assert len(agent.said("configuration-tried")) == 2
        missing, told, reasons = holes(hub)
    assert told == missing
    assert reasons <= {"agent_restart"}
    written = hub.rows(
        "select principal, target, outcome from audit where action = 'gateway.configure' and body like '%version%'"
    )
    assert written == [("system:test", f"gateway:{NAME}", "done")] * 6


@pytest.mark.req("IOT-6.3e", surface="protocol")
async def test_a_device_that_does_not_come_up_again_and_a_kill_in_the_trial_both_lead_back(
    hub: RunningHub, tmp_path: Path, port: Path
):
    systemd = Systemd(address := f"@wardlink-test-{tmp_path.name}-{time.monotonic_ns()}")
    lost = f'[[devices]]\nid = "amp"\nurl = "{tmp_path / "nowhere"}"\n'
    async with services(hub) as service, gateway(hub, tmp_path, port, 6, NOTIFY_SOCKET=address) as agent:
        row = await became(service, await service.configure(OPERATOR, NAME, lost))
        assert row.state == "rolled_back"
        assert "device amp is not up" in row.reason
        before = samples(hub)
        await until(lambda: samples(hub) > before + 100, 30)
        told_systemd = [line for _, text in systemd.messages for line in text.splitlines() if line in _STATES]
        assert told_systemd == ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1"]
        systemd.close()

        killed = await service.configure(OPERATOR, NAME, lost)
        await until(lambda: len(agent.said("agent-started")) >= 4, 30)
        await agent.kill()
        await agent.start()
        row = await became(service, killed)
        assert (row.state, row.reason) == ("rolled_back", "the agent ended before the trial was over")
        before = samples(hub)
        await until(lambda: samples(hub) > before + 100, 30)
        missing, told, _ = holes(hub)
    assert told == missing


async def test_a_gateway_that_is_away_and_an_older_one_are_not_bothered_and_others_may_not_configure(hub: RunningHub):
    old = await hub.peer("old")
    assert isinstance(old, Peer)
    async with services(hub) as service:
        version = await service.configure(OPERATOR, "old", "[metrics]\nport = 0\n")
        await deliver(hub, old, Lane.NUMERIC, heart_rate(61, now_ns()))  # its hello names no feature
        assert [(r.version, r.state) for r in await service.versions(OPERATOR, "old")] == [(version, "waiting")]
        for who, name, toml in (
            (Principal(PrincipalKind.USER, "7", 1, frozenset({Role.NURSE, Role.ADMINISTRATOR})), "old", ""),
            (OPERATOR, "nobody", ""),
            (OPERATOR, "old", "= no toml"),
            (OPERATOR, "old", "#" * 65_537),
        ):
            with pytest.raises(DomainError):
                await service.configure(who, name, toml)
    assert hub.rows("select count(*) from gateway_configuration") == [(1,)]
