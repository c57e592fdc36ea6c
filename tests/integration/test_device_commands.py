"""A person at the hub tells a board to do something: the agent, as its own process with the board at a line, does it once and reads it back.

`WARDLINK_LONG=1` adds an agent that is killed and loses its ledger.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest

from edge.identity import Identity, save_identity
from firmware_adapters.simulate.cyton import RATE_HZ, Board
from firmware_adapters.simulate.faults import Switches
from hub.core import principal
from hub.core.audit import AuditLog
from hub.core.db import Database
from hub.core.errors import ConflictError, DomainError
from hub.core.principal import Principal, PrincipalKind, Role
from hub.core.sql import load_queries
from hub.device_commands.domain import CommandRow, Order
from hub.device_commands.service import DeviceCommands
from protocols.device_command import Value
from protocols.link import Lane
from protocols.record import SourcePath
from tests.fixtures.agent import Gateway
from tests.fixtures.foreign_adapter import install
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import write_config
from tests.fixtures.long_form import LONG
from tests.fixtures.waiting import until, until_asked
from tests.fixtures.web import deliver, heart_rate, now_ns

pytestmark = pytest.mark.integration
OPERATOR = principal.operator("test", 1)
NAME = "gateway-1"
BOARD = '[[devices]]\nid = "amp"\nfamily = "cyton"\nurl = "{port}"\n[devices.options]\nchannels = {{ "1" = "II" }}\n'


class MuteBoard(Board):
    """A board whose answers do not arrive while it is `mute`: it does what it is told all the same."""

    mute = False

    def command(self, data: bytes) -> bytes:
        answer = super().command(data)
        return b"" if self.mute else answer


@pytest.fixture
def board() -> MuteBoard:
    return MuteBoard(np.arange(240 * RATE_HZ, dtype=np.float64)[None, :])


@asynccontextmanager
async def gateway(
    hub: RunningHub, folder: Path, devices: str, names: tuple[str, ...] = ("amp",), **environment: str
) -> AsyncGenerator[Gateway]:
    papers = await hub.enrol(NAME)
    identity = (papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem)
    save_identity(folder / "state", Identity(*identity))
    agent = Gateway(write_config(folder, devices), environment=environment)
    await agent.start()
    try:
        await until(lambda: set(names) <= {str(name) for (name,) in hub.rows("select name from device")}, 30)
        yield agent
    except BaseException:
        print(*agent.log, sep="\n")
        raise
    finally:
        await agent.kill()


def samples(hub: RunningHub) -> int:
    return int(str(hub.rows("select coalesce(sum(n), 0) from waveform")[0][0]))


class Engineer:
    """Who asks."""

    def __init__(self, service: DeviceCommands, device_id: int) -> None:
        self.service, self.device_id = service, device_id

    async def ask(
        self, code: str, values: Mapping[str, Value], *, within_s: float = 20.0, command_id: UUID | None = None
    ) -> UUID:
        order = Order(command_id or uuid4(), code, values, within_s)
        return (await self.service.ask(OPERATOR, self.device_id, order)).command_id

    async def became(self, command_id: UUID, within_s: float = 40.0) -> CommandRow:
        """The command, when nobody has to answer any more."""

        async def row() -> CommandRow:
            return await self.service.one(OPERATOR, self.device_id, command_id)

        async def is_known() -> bool:
            return not (await row()).is_open

        await until_asked(is_known, within_s)
        return await row()

    async def told(self, code: str, values: Mapping[str, Value], within_s: float = 20.0) -> CommandRow:
        return await self.became(await self.ask(code, values, within_s=within_s))


@asynccontextmanager
async def engineer(hub: RunningHub, device: str = "amp") -> AsyncGenerator[Engineer]:
    async with Database(hub.database.url_for("wardlink_web"), "test web", max_size=2) as pool:
        service = DeviceCommands(pool, AuditLog(pool))
        yield Engineer(service, await service.named(OPERATOR, device))


def gaps(hub: RunningHub) -> list[str]:
    return [
        str(row[0])
        for row in hub.rows("select distinct reason from gap join source using (source_id) where path = 'amp/ecg'")
    ]


def audited(hub: RunningHub, command: UUID) -> list[tuple[str, str]]:
    """Who wrote which step of a command into the audit, in the order of writing."""
    rows = hub.rows(
        "select principal, coalesce(body::jsonb #>> '{details,state}', 'asked') from audit"
        f" where action = 'device.command' and body like '%{command}%' order by (body::jsonb ->> 'at_ns')::numeric"
    )
    return [(str(who), str(state)) for who, state in rows]


@pytest.mark.req("IOT-6.3e", surface="protocol")
async def test_a_board_does_once_what_it_is_told_and_says_so_itself_whatever_is_cut_off_or_killed_in_between(
    hub: RunningHub, tmp_path: Path, port: Path, board: MuteBoard, switches: Switches
):
    other = tmp_path / "nothing"
    packages = str(install(tmp_path / "packages"))
    foreign = f'[[devices]]\nid = "third"\nfamily = "third"\nurl = "{tmp_path / "do"}"\n'
    oximeter = f'[[devices]]\nid = "finger"\nfamily = "nonin"\nurl = "{other}"\n'
    devices = BOARD.format(port=port) + oximeter + foreign
    async with gateway(hub, tmp_path, devices, ("amp", "third"), PYTHONPATH=packages) as agent, engineer(hub) as person:
        await until(lambda: samples(hub) > 100, 30)
        off = await person.ask("channel-power", {"channel": 3, "on": False})
        row = await person.became(off)
        assert (row.state, row.reason, row.seen) == ("confirmed", "", {"channel": 3, "on": False, "gain": 24}), row
        assert (await person.service.of(OPERATOR, person.device_id)).commands == [row]
        assert audited(hub, off) == [
            ("system:test", "asked"), (f"gateway:{NAME}", "sent"), (f"gateway:{NAME}", "confirmed"),
        ]  # fmt: skip
        await until(lambda: gaps(hub) == ["device_restart"], 20)  # the board was stopped to be asked
        assert hub.rows("select firmware from device where name = 'amp'") == [("",)], "an answer is no version"

        # The same again, as after an answer that was lost: it is the same command, and the board hears nothing.
        assert await person.ask("channel-power", {"channel": 3, "on": False}, command_id=off) == off
        with pytest.raises(ConflictError):
            await person.ask("channel-power", {"channel": 3, "on": True}, command_id=off)
        assert board.switched == 1

        for code, values, reason, told in (
            ("channel-power", {"channel": 1, "on": False}, "not_now", "lead"),
            (
                "channel-power",
                {"channel": 9, "on": False},
                "parameters",
                "channel: expected a whole number from 1 to 8",
            ),
            (
                "channel-power",
                {"channel": 2, "on": 1, "gain": 2},
                "parameters",
                "gain: there is no such parameter; on:",
            ),
            ("explode", {}, "command_unknown", "expected one of channel-power, reset"),
        ):
            row = await person.told(code, values)
            assert (row.state, row.reason) == ("refused", reason), row
            assert told in row.details
        assert (board.switched, board.resets) == (1, 0)

        row = await person.told("reset", {})
        assert (row.state, row.seen) == ("confirmed", {"firmware": "v3.1.2"}), row
        before = samples(hub)
        await until(lambda: samples(hub) > before + 100, 20)  # it measures again

        # Another maker's adapter has commands of its own, in its own process.
        async with engineer(hub, "third") as another:
            for word, state, reason, seen in (
                ("hello", "confirmed", "", {"word": "hello"}),
                ("no", "refused", "not_now", {}),
                ("perhaps", "refused", "parameters", {}),
            ):
                row = await another.told("say", {"word": word})
                assert (row.state, row.reason, row.seen) == (state, reason, seen), row

        switches.take("drop-link 3600")
        await until(lambda: bool(agent.said("link-lost")), 20)
        row = await person.told("channel-power", {"channel": 4, "on": False}, within_s=2)
        assert (row.state, row.reason) == ("expired", "not_connected"), row
        late = await person.ask("channel-power", {"channel": 5, "on": False})
        switches.take("drop-link 0")
        assert (await person.became(late)).state == "confirmed"
        assert (board.switched, board.resets) == (2, 1)

        # Killed between doing and reading back: it is not done again, and the board says what holds.
        board.mute = True
        off = await person.ask("channel-power", {"channel": 6, "on": False}, within_s=1)
        await until(lambda: board.switched == 3, 20)
        await agent.kill()
        assert (await person.service.one(OPERATOR, person.device_id, off)).state == "sent"
        board.mute = False
        await agent.start()
        row = await person.became(off)
        assert (row.state, row.seen) == ("confirmed", {"channel": 6, "on": False, "gain": 24}), row
        assert (board.switched, board.resets) == (3, 1)
        if LONG:
            await lose_the_ledger(agent, person, board, tmp_path / "state" / "commands.json")


async def lose_the_ledger(agent: Gateway, person: Engineer, board: MuteBoard, ledger: Path) -> None:
    """Killed as well, and what it has told devices is gone as a disk goes: of what was sent before nobody knows whether it was done."""
    board.mute = True
    reset = await person.ask("reset", {})
    await until(lambda: board.resets == 2, 20)
    await agent.kill()
    board.mute = False
    await asyncio.to_thread(ledger.unlink)
    await agent.start()
    row = await person.became(reset)
    assert (row.state, row.reason) == ("unconfirmed", "ledger_lost"), row
    assert (board.switched, board.resets) == (3, 2)


async def test_what_a_gateway_cannot_or_will_not_answer_any_more_ends_and_others_may_not_ask(hub: RunningHub):
    old, away = await hub.peer("old"), await hub.peer("away")
    for peer, device in ((old, "monitor-1"), (away, "monitor-2")):
        await deliver(hub, peer, Lane.NUMERIC, replace(heart_rate(61, now_ns()), source=SourcePath(device)))
    async with engineer(hub, "monitor-1") as person, engineer(hub, "monitor-2") as other:
        assert (await person.service.of(OPERATOR, person.device_id)).offers is None
        waiting = await person.ask("reset", {}, within_s=60)
        await deliver(
            hub, old, Lane.NUMERIC, replace(heart_rate(62, now_ns()), source=SourcePath("monitor-1"))
        )  # names no feature
        row = await person.became(waiting)
        assert (row.state, row.reason) == ("refused", "gateway_too_old")

        row = await other.told("reset", {}, within_s=1)
        assert (row.state, row.reason) == ("expired", "gateway_away")
        cut_off = await other.ask("reset", {}, within_s=600)
        sent = await other.ask("reset", {}, within_s=600)
        hub.do(
            "insert into device_command_event (tenant_id, device_command_id, state, ledger)"
            f" values (1, '{sent}', 'sent', decode('{'00' * 16}', 'hex'))"
        )
        hub.do("update gateway set revoked_at = now() where name = 'away'")
        ended = [await other.became(one) for one in (cut_off, sent)]
        assert [(row.state, row.reason) for row in ended] == [
            ("refused", "gateway_revoked"), ("unconfirmed", "gateway_revoked"),
        ]  # fmt: skip
        order = Order(uuid4(), "reset", {})
        nurse = Principal(PrincipalKind.USER, "7", 1, frozenset({Role.NURSE, Role.DOCTOR, Role.ADMINISTRATOR}))
        for who, device_id, wanted in (
            (nurse, person.device_id, order),
            (OPERATOR, 10_000, order),
            (OPERATOR, other.device_id, order),
            (OPERATOR, person.device_id, replace(order, within_s=3601)),
            (OPERATOR, person.device_id, replace(order, values={"text": "a" * 65})),
        ):
            with pytest.raises(DomainError):
                await person.service.ask(who, device_id, wanted)
    assert hub.rows("select count(*) from device_command") == [(4,)]
    assert hub.rows("select count(*) from audit where action = 'device.command' and outcome = 'denied'") == [(1,)]


async def test_commands_end_one_by_one_and_an_answer_on_its_way_holds_up_neither_them_nor_the_audit(hub: RunningHub):
    peer = await hub.peer("away")
    await deliver(hub, peer, Lane.NUMERIC, replace(heart_rate(61, now_ns()), source=SourcePath("monitor-1")))
    commands = [uuid4() for _ in range(3)]
    async with Database(hub.database.url_for("wardlink_ingest"), "test ingest", max_size=1) as pool:
        async with pool.transaction() as answer:
            hub.do(
                "insert into device_command (device_command_id, tenant_id, gateway_id, device_id, code, parameters, asked_by, asked_at, deadline)"
                " select c, 1, gateway_id, device_id, 'reset', '{}', 'test', now() - make_interval(secs => 10 - n), now() + interval '2 seconds'"
                " from device, unnest(%s) with ordinality as u (c, n)",
                commands,
            )
            step = {"gateway": 1, "state": "confirmed", "reason": "", "details": "", "seen": "{}", "ledger": None}
            query = load_queries("hub.ingest")["device_command_state"]
            written = await answer.execute(query, {**step, "command": commands[1]})
            assert await written.fetchone() == (True,)
            await until(lambda: len(audited(hub, commands[0])) == 1, 20)
            writers = hub.rows("select writer from audit where body like %s", f"%{commands[0]}%")
            instance = str(writers[0][0]).partition(":")[2]
            async with asyncio.timeout(1):
                await AuditLog(pool, instance).write(answer, OPERATOR, "device.command", "command:of the test")
        await until(lambda: len(audited(hub, commands[2])) == 1, 20)
    ended = dict(hub.rows("select device_command_id, state from device_command_event"))
    assert [ended[one] for one in commands] == ["expired", "confirmed", "expired"]
    assert hub.rows("select count(*) from pg_indexes where indexname = 'device_command_asked'") == [(1,)]
