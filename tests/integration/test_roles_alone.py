"""The three roles of the hub, each a process with its own settings and database role only: it does its work, not the others'."""

import secrets
import signal
from collections.abc import Generator
from dataclasses import dataclass, field

import httpx
import procrastinate
import psycopg
import pytest

from hub.accounts.domain import Invitation
from hub.app import people
from hub.core.principal import Role as PersonRole
from hub.core.principal import operator
from hub.settings import HubSettings
from protocols.link import Connection, Lane
from protocols.nomenclature import HEART_RATE
from protocols.record import Observation, SourcePath, Times
from protocols.wire import encode_record
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub_roles import ROLES, Installation, Role, ports_in
from tests.fixtures.web import PASSWORD, now_ns, token_of

pytestmark = pytest.mark.integration
OPERATOR = operator("test", 1)


@dataclass
class Hub:
    """An installation and which of its roles run. `works[role]()` has the role do its work and returns when it is done."""

    installation: Installation
    roles: dict[str, Role] = field(default_factory=dict[str, Role])
    ports: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    peer: Peer | None = None

    def start(self, role: str) -> None:
        """Start it with its own settings; returns when it says that it is ready."""
        self.roles[role] = self.installation.start(role)
        ready = self.roles[role].said("ready")
        assert ready["role"] == role
        self.ports[role] = ports_in(ready)

    async def ingest(self) -> None:
        """Take a reading from a gateway that was enrolled at its door, and store it."""
        if self.peer is None:
            self.peer = await self.installation.peer(self.ports["ingest"]["enrolment_port"])
        before = self.installation.count("observation")
        reading = Observation(SourcePath("monitor-1", ("n",)), HEART_RATE, 61.0, "/min", Times(now_ns()))
        self.peer.batch(Lane.NUMERIC, [encode_record(reading)])
        await self.peer.deliver(f"127.0.0.1:{self.ports['ingest']['uplink_port']}", Connection.DATA, 60)
        assert self.installation.count("observation") == before + 1

    async def web(self) -> None:
        """Let a person in who follows a one-time link of the database; the password is stored as RFC 9106 recommends."""
        settings = HubSettings.model_validate({"web_url": self.installation.database.url_for("wardlink_web")})
        async with people(settings, "default") as found:
            name = f"nurse.{secrets.token_hex(4)}"
            token = await found.accounts.invite(OPERATOR, Invitation(name, name, frozenset({PersonRole.NURSE}), ()))
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.ports['web']['web_port']}", timeout=30
        ) as client:
            page = await client.get(f"/welcome/{token}")
            assert (page.status_code, name in page.text) == (200, True)
            fields = {"csrf": token_of(page), "password": PASSWORD, "password_again": PASSWORD}
            assert (await client.post(f"/welcome/{token}", data=fields)).status_code == 303
        ((stored,),) = self.installation.rows("select password_hash from account where name = %s", name)
        assert str(stored).startswith("$argon2id$v=19$m=65536,t=3,p=4$")  # RFC 9106, 4: the second recommended option

    async def worker(self) -> None:
        """Do a job that another role left in the queue."""
        connector = procrastinate.PsycopgConnector(
            conninfo=self.installation.database.url_for("wardlink_web"),
            kwargs={"options": "-c search_path=jobs,public"},
        )
        async with procrastinate.App(connector=connector).open_async() as queue:
            await queue.configure_task("secrets.purge").defer_async(timestamp=now_ns() // 10**9)
        assert self.roles["worker"].said("secrets-purged")["tokens"] == 0

    async def work(self, role: str) -> None:
        """Have one role do its work."""
        await {"ingest": self.ingest, "web": self.web, "worker": self.worker}[role]()


@pytest.fixture
def hub(installation: Installation) -> Generator[Hub]:
    """An installation where nothing runs yet; what a test leaves running is ended."""
    found = Hub(installation)
    yield found
    for role in found.roles.values():
        role.end(signal.SIGKILL)


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_alone_starts_with_its_own_settings_does_its_work_and_ends_at_sigterm(hub: Hub, role: str):
    hub.start(role)
    await hub.work(role)
    assert hub.roles[role].end(signal.SIGTERM) == 0


@pytest.mark.parametrize("role", ROLES)
def test_a_role_without_its_own_settings_says_which_is_missing_though_the_others_are_there(
    installation: Installation, role: str
):
    done = installation.command("run", "--role", role, roles=[other for other in ("owner", *ROLES) if other != role])
    assert (done.returncode, f"HUB_{role.upper()}_URL" in done.stderr) == (1, True)


# What a role is there for and no other is, as the least statement of it.
WORK = {
    "ingest": (
        "insert into lane_position (gateway_id, epoch, lane, cumulative) select 0, '', 1, 1 where false",
        "insert into stream (fs_hz) select 1 where false",
        "insert into gateway_certificate (serial) select '' where false",
        "update gateway set status = null where false",
    ),
    "web": (
        "update account set password_hash = '' where false",
        "insert into alarm_limit (point_of_care_id) select 1 where false",
        "insert into enrolment_token (token_hash) select '' where false",
        "insert into patient_association (patient_id) select 1 where false",
    ),
    "worker": (
        "delete from enrolment_token where false",
        "delete from account_session where false",
        "select last_hash from audit_writer where false",
    ),
}


@pytest.mark.parametrize(("owner", "statement"), [(role, text) for role, texts in WORK.items() for text in texts])
def test_the_work_of_a_role_is_refused_to_the_others_by_the_database(
    installation: Installation, owner: str, statement: str
):
    for role in ROLES:
        with psycopg.connect(installation.database.url_for(f"wardlink_{role}")) as connection:
            if role == owner:
                connection.execute(statement.encode())
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())


@pytest.mark.parametrize("killed", ROLES)
async def test_the_others_go_on_when_a_role_is_killed_and_it_goes_on_when_it_is_started_again(hub: Hub, killed: str):
    for role in ROLES:
        hub.start(role)
        await hub.work(role)
    hub.roles[killed].end(signal.SIGKILL)
    others = [role for role in ROLES if role != killed]
    for role in others:
        await hub.work(role)
        assert hub.roles[role].runs
    hub.start(killed)
    await hub.work(killed)
    assert [hub.roles[role].end(signal.SIGTERM) for role in ROLES] == [0, 0, 0]
