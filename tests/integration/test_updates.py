"""The agent, as its own process that is started again as systemd does, goes over to signed releases, or back by itself."""

import asyncio
import random
import signal
import time
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
from hub.core.errors import DomainError
from hub.core.principal import Role
from hub.core.sql import load_queries
from hub.updates.service import Plan, RolloutRow, Updates
from hub.updates.turns import Turns
from protocols.link import UPDATE, Connection, LinkSender
from protocols.uplink_pb2 import UPDATE_OUTCOME_ROLLED_BACK, GatewayMessage, HubMessage, UpdateAnswer, UpdateRequest
from tests.fixtures.agent import Gateway
from tests.fixtures.amplifier_rows import holes, samples
from tests.fixtures.gateway_peer import Peer, open_channel, open_stream
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import write_config
from tests.fixtures.long_form import kills
from tests.fixtures.releases import NO_START, START, Releases, small_wheel
from tests.fixtures.waiting import until, until_asked
from tests.fixtures.web import RunningWeb
from wardlink.local.database import Database as Local
from wardlink.release.building import head_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
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


async def ended(updates: Updates, rollout: int, within_s: float = 200) -> RolloutRow:
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
async def test_a_signed_release_comes_over_the_link_and_is_kept_one_that_does_not_start_is_given_up_and_halts_its_rollout(
    hub: RunningHub, releases: Releases, tmp_path: Path, port: Path, seed: random.Random
):
    """In the long form the agent is killed at random moments while it takes the first one."""
    often = kills(0, 5)
    papers = await hub.enrol(NAME)
    identity = Identity(papers.tenant, NAME, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem)
    await hub.enrol("that-is-away")
    async with (
        Database(hub.database.url_for("wardlink_web"), "test web", max_size=2) as pool,
        service(tmp_path, releases, port, lambda state: save_identity(state, identity)) as running,
    ):
        updates = Updates(pool, AuditLog(pool))
        await until(lambda: samples(hub) > 100)
        await add(updates, releases.make("0.2.0"))
        plan = await updates.plan(OPERATOR, Plan("0.2.0", "1,100%", 3600, only=[NAME]))
        for _ in range(often):
            await asyncio.sleep(seed.uniform(0, 6))
            if running.release():
                break  # of starts in its trial it has three
            running.kill()
        done = await ended(updates, plan.rollout_id)
        assert (done.state, [one.state for one in done.gateways]) == ("finished", ["applied"])
        assert running.release().startswith("0.2.0-")
        assert running.starts == 1 or often, "it goes over in the same process"
        await add(updates, releases.make("0.3.0", {START: NO_START}))
        starts = running.starts
        plan = await updates.plan(OPERATOR, Plan("0.3.0", "1,100%", 0, first=[NAME]))
        halted = await ended(updates, plan.rollout_id)
        assert (halted.state, [one.state for one in halted.gateways]) == ("halted", ["rolled_back", "waiting"])
        assert "3 times" in halted.reason
        assert running.release().startswith("0.2.0-")
        assert running.starts == starts + 3, "one fell in the same process, two more, and the one that went back"
        before = samples(hub)
        await until(lambda: samples(hub) > before + 100)
    missing, told, reasons = holes(hub)
    assert told == missing, "what the restarts cost is told as gaps"
    assert reasons <= {"agent_restart"}


class Gatekeeper(Peer):
    """A gateway that takes releases, without an agent."""

    def __post_init__(self) -> None:
        super().__post_init__()
        identity = (self.credentials.tenant, self.credentials.gateway, self.epoch)
        self.sender = LinkSender(*identity, agent_version="test", features=(UPDATE,))


@pytest.mark.req("IOT-6.3e", surface="api")
async def test_a_rollout_opens_stage_by_stage_can_be_paused_and_halts_when_a_gateway_goes_back(
    hub: RunningHub, web: RunningWeb, releases: Releases
):
    release = releases.of([small_wheel(releases.folder, "0.2.0", "x = 1" * 100_000)], "small")
    content = await asyncio.to_thread(release.read_bytes)
    digest = head_of(release).digest
    await hub.enrol("ward-2")
    first = Gatekeeper(await hub.enrol("ward-1"), bytes(16))

    async def said(*messages: GatewayMessage, until_seen: Callable[[], bool] = lambda: True) -> None:
        """Say this on a new connection, behind its hello."""
        async with asyncio.timeout(20), open_channel(hub.uplink, first.credentials) as channel:
            stream = open_stream(channel)
            hello = first.sender.connected(Connection.DATA, time.monotonic_ns())
            for message in (hello, *messages):
                await stream.write(message.SerializeToString())
            while not until_seen():
                raw = await stream.read()
                assert isinstance(raw, bytes), await stream.details()
                first.messages.append(HubMessage.FromString(raw))
            stream.cancel()

    def offers() -> list[int]:
        return [one.update.rollout for one in first.messages if one.HasField("update")]

    def chunks() -> list[bytes]:
        return [one.update_chunk.data for one in first.messages if one.HasField("update_chunk")]

    async with Database(hub.database.url_for("wardlink_web"), "test web", max_size=2) as pool:
        updates = Updates(pool, AuditLog(pool))
        head = head_of(release)
        with pytest.raises(DomainError, match="not what the manifest says"):
            await updates.add(OPERATOR, head, content[: head.size], [content[head.size : -1], b"?"])
        assert await updates.releases(OPERATOR) == []
        await add(updates, release)
        plan = await updates.plan(OPERATOR, Plan("0.2.0", "1,100%", 0))
        assert [(one.name, one.stage) for one in plan.gateways] == [("ward-1", 0), ("ward-2", 1)]
        with pytest.raises(DomainError, match=r"0\.2\.0 is running"):
            await updates.plan(OPERATOR, Plan("0.2.0", "100%", 0))
        await said(until_seen=lambda: offers() == [plan.rollout_id])

        def asked(offset: int, length: int) -> GatewayMessage:
            return GatewayMessage(update_request=UpdateRequest(rollout=plan.rollout_id, offset=offset, length=length))

        await said(asked(262_000, 1 << 30), until_seen=lambda: len(chunks()) == 1)
        assert chunks()[0] == content[262_000:262_144], "to the end of its row, never more than a message may hold"
        engineer = await web.signed_in("chen", Role.ENGINEER, ())
        pause = f"/api/v1/updates/{plan.rollout_id}/pause"
        assert (await engineer.post(pause)).json()["state"] == "paused"
        assert (await engineer.post(pause)).status_code == 409
        await said(asked(0, 1000), until_seen=lambda: len(chunks()) == 2)
        assert chunks()[1] == b"", "nothing while it is paused"
        await updates.act(OPERATOR, None, "resume")
        outcome = UpdateAnswer(
            rollout=plan.rollout_id, digest=digest, outcome=UPDATE_OUTCOME_ROLLED_BACK, reason="amp is <not> up"
        )
        answer = GatewayMessage(update_answer=outcome)
        await said(answer, answer, asked(0, 10), until_seen=lambda: len(chunks()) == 3)
        halted = await ended(updates, plan.rollout_id)
        assert (halted.state, halted.reason) == ("halted", "ward-1 rolled back: amp is <not> up")

    told = (await engineer.get("/api/v1/updates")).json()
    assert [(one["state"], one["stage"], one["acts"]) for one in told["rollouts"]] == [
        ("halted", 1, ["resume", "cancel"])
    ]
    assert [one["version"] for one in told["releases"]] == ["0.2.0"]
    page = (await engineer.get("/gateways")).text
    assert 'ward-1: went back to the release before <span lang="en">(amp is &lt;not&gt; up)</span>' in page, (
        "seen, and not only by who points at it"
    )
    bureau = await web.signed_in("bureau", Role.BUREAU, ())
    assert f"/updates/{plan.rollout_id}/cancel" not in (await bureau.get("/gateways")).text
    assert (await bureau.post(f"/api/v1/updates/{plan.rollout_id}/cancel")).status_code == 403
    assert (await engineer.post(f"/api/v1/updates/{plan.rollout_id}/cancel")).json()["state"] == "cancelled"
    written = [
        row[0]
        for row in hub.rows(
            "select action from audit where action ~ '^(update|rollout)[.]' and action <> 'update.read'"
        )
    ]
    acts = [
        "update.add",
        "update.plan",
        "rollout.stage",
        "update.pause",
        "update.resume",
        "rollout.halt",
        "update.cancel",
    ]
    assert sorted(set(map(str, written)) - {"update.change"}) == sorted(acts)


def went_back(database: Local, tenant: int) -> int:
    """A rollout of a tenant that runs and whose only gateway went back: its next step is to halt."""
    values = {"tenant": tenant, "name": f"of-{tenant}"}
    with database.connect_admin() as admin:
        admin.execute(
            "insert into tenant (name) select %(name)s where not exists (select from tenant where tenant_id = %(tenant)s)",
            values,
        )
        row = admin.execute(
            """with g as (insert into gateway (tenant_id, name) values (%(tenant)s, %(name)s) returning gateway_id),
                    e as (insert into release (tenant_id, digest, version, python, machine, size, signers, added_by)
                          values (%(tenant)s, decode(repeat('00', 32), 'hex'), '0.2.0', '3.11', 'x86_64', 1, '', 'test') returning release_id),
                    r as (insert into rollout (tenant_id, release_id, stages, soak_s, made_by)
                          select %(tenant)s, release_id, '100%%', 0, 'test' from e returning rollout_id)
               select rollout_id, gateway_id from r, g""",
            values,
        ).fetchone()
        assert row is not None
        values |= {"rollout": row[0], "gateway": row[1]}
        admin.execute("insert into rollout_gateway values (%(rollout)s, %(gateway)s, %(tenant)s, 0)", values)
        admin.execute(
            "insert into rollout_event (tenant_id, rollout_id, state, who) values (%(tenant)s, %(rollout)s, 'running', 'test')",
            values,
        )
        admin.execute(
            "insert into rollout_gateway_event (tenant_id, rollout_id, gateway_id, state) values (%(tenant)s, %(rollout)s, %(gateway)s, 'rolled_back')",
            values,
        )
    return int(str(row[0]))


CANCEL = "insert into rollout_event (tenant_id, rollout_id, state, who) values (%s, %s, 'cancelled', 'a person')"


async def test_what_a_person_has_cancelled_does_not_open_again_by_a_halt_behind_it(hub_database: Local):
    ours, theirs = went_back(hub_database, 1), went_back(hub_database, 2)

    def states() -> dict[int, str]:
        with hub_database.connect_admin() as admin:
            return {int(str(n)): str(state) for n, state in admin.execute("select rollout_id, state from rollout_now")}

    async with (
        Database(hub_database.url_for("wardlink_ingest"), "test ingest", max_size=2) as pool,
        Database(hub_database.url_for("wardlink_web"), "test web", max_size=2) as pages,
    ):
        turns = Turns(pool, AuditLog(pool))
        with hub_database.connect_admin() as table:
            table.autocommit = False
            table.execute("lock table rollout_gateway_event in access exclusive mode")
            step = asyncio.create_task(turns.advance())  # it has read that both run, and waits within its step of ours

            async def waits() -> bool:
                with hub_database.connect_admin() as admin:
                    found = admin.execute("select count(*) from pg_locks where not granted and locktype = 'relation'")
                    return found.fetchall() == [(1,)]

            await until_asked(waits, 10)
            with hub_database.connect_admin() as admin:
                admin.execute(CANCEL, (2, theirs))
            table.rollback()
        await step
        assert states() == {ours: "halted", theirs: "cancelled"}

        await Updates(pages, AuditLog(pages)).act(OPERATOR, ours, "resume")
        async with pages.transaction(1) as person:  # as `act` does, and it has not ended yet
            await person.execute(load_queries("hub.updates")["in_turn"], {"tenant": 1})
            await person.execute(CANCEL.encode(), (1, ours))
            await turns.advance()
        assert states() == {ours: "cancelled", theirs: "cancelled"}
