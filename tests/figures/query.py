"""Figure `query`: how long latest values, ranges and fuzzy searches, and batches of them take for eight clients, cold and warm.

The readings are made server-side: the last day at 1 Hz and the 30 days before it at one a minute. Then the hub's worker does what it would
have done by then: rollups and spelling of names; not sealing, which takes an hour for so much at once. The long form has about 80 million readings and
200,000 names, and keeps its database in build/figures-query between runs.
"""

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg

from hub.accounts.domain import Invitation
from hub.accounts.service import Accounts
from hub.core.audit import AuditLog
from hub.core.db import Database as Pool
from hub.core.principal import Role
from hub.migrations.runner import migrate
from hub.queries.spelling import spell_all
from hub.store.rollups import CLOSES_AFTER, roll_up
from tests.figures.entry import Entry, Figure
from tests.fixtures.database import quiet
from tests.fixtures.hub_roles import Installation
from tests.fixtures.web import OPERATOR, PASSWORD, token_of
from wardlink.local.database import Database, create_database, remove_database, stack_down, stack_up
from wardlink.local.places import Places, default_places

CLIENTS = 8
ROUNDS = 12  # of each kind of question a client, cold and warm: 96 each
SEED = 7_410
CODES = ("MDC_ECG_HEART_RATE", "MDC_PULS_OXIM_SAT_O2", "MDC_PULS_OXIM_PULS_RATE", "MDC_TTHOR_RESP_RATE", "MDC_PRESS_BLD_NONINV_SYS", "MDC_TEMP_BODY")  # fmt: skip
MAKERS = ("迈瑞", "飞利浦", "理邦", "Mindray", "Philips", "Nihon Kohden", "宝莱特", "Dräger")
TYPED = (
    "mindray",
    "mindrey",
    "迈瑞",
    "mairui",
    "feilipu",
    "nihon khoden",
    "monitor-17",
    "unit 1734",
    "drager",
    "lb",
    "baolaite",
)
NAME = "figure_query"
KEPT = Path(__file__).parents[2] / "build" / "figures-query"
_MARK = "create table if not exists figure_query_whole (until timestamptz not null, readings bigint not null)"
_DEVICES = """
with made as (
    insert into device (tenant_id, name, make, admission, admitted_at)
    select 1, 'monitor-' || n, (%(makers)s::text[])[1 + n %% cardinality(%(makers)s::text[])], 'admitted', now() from generate_series(1, %(devices)s) n
    returning device_id, name
), sources as (
    insert into source (tenant_id, device_id, path) select 1, device_id, name || '/n' from made returning source_id
)
insert into series (tenant_id, source_id, code, site, unit, averaging_ns, value_kind)
select 1, source_id, code, '', '1', 0, 'number' from sources cross join unnest(%(codes)s::text[]) as code
"""
_NAMES = """
insert into device (tenant_id, name, make, admission)
select 1, 'unit ' || n, (%(makers)s::text[])[1 + n %% cardinality(%(makers)s::text[])], 'retired' from generate_series(1, %(names)s) n
"""
# A reading a second or a minute, with a spike now and then that no answer may lose.
_READINGS = """
insert into observation (time, series_id, quality, value, gateway_offset_ms, uncertainty_ms)
select at, series_id, 1, case when extract(epoch from at)::bigint %% 5000 = 0 then 250 else 70 + 20 * sin(extract(epoch from at) / 600 + series_id) end, 0, 1
  from series join source using (source_id) join device using (device_id)
 cross join generate_series(%(from)s::timestamptz, %(to)s::timestamptz - interval '1 millisecond', %(step)s::interval) as at
 where device.name = any (%(names)s)
"""


@dataclass(frozen=True)
class Size:
    """How much there is to be asked. `days`: of one reading a minute, before `hours` of one a second."""

    devices: int
    hours: int
    days: int
    names: int

    @property
    def readings(self) -> int:
        """In all."""
        return self.devices * len(CODES) * (self.hours * 3600 + self.days * 1440)


SHORT = Size(devices=12, hours=2, days=2, names=5_000)
FULL = Size(devices=103, hours=24, days=30, names=200_000)


@dataclass
class Times:
    """Seconds of each kind of question."""

    latest: list[float] = field(default_factory=list[float])
    range: list[float] = field(default_factory=list[float])
    search: list[float] = field(default_factory=list[float])
    batch: list[float] = field(default_factory=list[float])


def measure(_: Path) -> Sequence[Entry]:
    """A tenth and less of the readings, in a database that goes."""
    folder = Path(tempfile.mkdtemp(prefix="wl-"))
    folder.chmod(0o755)
    try:
        return _measure(SHORT, replace(default_places(os.environ, None), data=folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure_full(_: Path) -> Sequence[Entry]:
    """All of it, in a database that stays."""
    KEPT.mkdir(parents=True, exist_ok=True)
    return _measure(FULL, replace(default_places(os.environ, None), data=KEPT))


def _measure(size: Size, places: Places) -> Sequence[Entry]:
    try:
        database, until = _filled(stack_up(places, quiet), size)
        asyncio.run(_worked_off(database, until))
        cold, warm = Times(), Times()
        # A server that has just started has nothing in its buffers.
        stack_down(places, quiet)
        dropped = size is FULL and _drop_caches()
        stack_up(places, quiet)
        with (
            tempfile.TemporaryDirectory(prefix="wl-") as state,
            Installation(database, Path(state)).running("web") as ready,
        ):
            asyncio.run(_ask(database, ready["web"]["web_port"], size, until, (cold, warm)))
    finally:
        stack_down(places, quiet)
    note = "" if size is FULL else f"not in full: {size.readings:,} readings of {FULL.readings:,}"
    if size is FULL and not dropped:
        note = "cold is without the server's buffers alone: this user may not drop the page cache"
    return [
        _entry("query-latest", 1.0, 0.05, cold.latest, warm.latest, note, {}),
        _entry(
            "query-range", 2.0, 0.1, [*cold.range, *cold.search], [*warm.range, *warm.search], note,
            {"range warm": _p95(warm.range), "fuzzy warm": _p95(warm.search), "range cold": _p95(cold.range), "fuzzy cold": _p95(cold.search)},
        ),
        _entry("query-batch", 3.0, 0.15, cold.batch, warm.batch, note, {}),
    ]  # fmt: skip


def _entry(
    name: str, gate: float, goal: float, cold: list[float], warm: list[float], note: str, more: dict[str, object]
) -> Entry:
    """The worse of cold and warm."""
    return Entry(
        id=name, group="hub", value=max(_p95(cold), _p95(warm)), unit="s, P95, 8 clients", gate=gate, goal=goal,
        reference="T/GDIOT 009, 7.1: 1, 2, 3 s", higher_is_better=False, n=len(cold) + len(warm), note=note,
        details={"P95 cold": _p95(cold), "P95 warm": _p95(warm), **more},
    )  # fmt: skip


def _p95(times: Sequence[float]) -> float:
    return round(sorted(times)[max(0, -(-95 * len(times) // 100) - 1)], 4)


def _filled(server: Database, size: Size) -> tuple[Database, datetime]:
    """The database with its readings, made unless it is there; and the moment up to which there are some."""
    try:
        with psycopg.connect(server.named(NAME).admin_url) as admin:
            kept = admin.execute("select until from figure_query_whole where readings = %s", [size.readings]).fetchone()
        if kept is not None:
            found = server.named(NAME)
            migrate(found.url_for("wardlink_owner"))
            return found, kept[0]
        remove_database(server, NAME)
    except psycopg.errors.UndefinedTable:
        remove_database(server, NAME)
    except psycopg.OperationalError:
        pass  # it is not there yet
    made = create_database(server, NAME)
    migrate(made.url_for("wardlink_owner"))
    until = datetime.now(UTC).replace(microsecond=0)
    with closing(made.connect_admin()) as admin:
        admin.execute(_DEVICES.encode(), {"makers": list(MAKERS), "devices": size.devices, "codes": list(CODES)})
        admin.execute(_NAMES.encode(), {"makers": list(MAKERS), "names": size.names})
        seconds_from = until - timedelta(hours=size.hours)
        for n in range(1, size.devices + 1):
            for start, end, step in (
                (seconds_from - timedelta(days=size.days), seconds_from, "1 minute"),
                (seconds_from, until, "1 second"),
            ):
                admin.execute(_READINGS.encode(), {"from": start, "to": end, "step": step, "names": [f"monitor-{n}"]})
        admin.execute("vacuum analyze")
        admin.execute(_MARK.encode())
        admin.execute("insert into figure_query_whole values (%s, %s)", [until, size.readings])
        counted = admin.execute("select count(*) from observation").fetchone()
    assert counted is not None
    assert int(str(counted[0])) == size.readings
    return made, until


async def _worked_off(database: Database, until: datetime) -> None:
    """What the hub's worker has done by the time of the last reading; nothing, where it has been done before."""
    async with Pool(database.url_for("wardlink_worker"), "figure", max_size=2) as pool:
        await roll_up(pool, until + CLOSES_AFTER)
        await spell_all(pool)


def _drop_caches() -> bool:
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


async def _ask(database: Database, port: int, size: Size, until: datetime, phases: tuple[Times, ...]) -> None:
    async with _signed_in(database, f"http://127.0.0.1:{port}") as clients:
        for phase, times in enumerate(phases):
            await asyncio.gather(
                *(
                    _Asker(client, size, until, random.Random(SEED + 100 * phase + n), times).run()
                    for n, client in enumerate(clients)
                )
            )


@asynccontextmanager
async def _signed_in(database: Database, address: str) -> AsyncGenerator[list[httpx.AsyncClient]]:
    """Eight engineers."""
    clients: list[httpx.AsyncClient] = []
    async with Pool(database.url_for("wardlink_web"), "figure", max_size=2) as pool:
        accounts = Accounts(pool, AuditLog(pool, "figure"))
        for n in range(CLIENTS):
            name = f"engineer-{time.time_ns()}-{n}"
            token = await accounts.invite(OPERATOR, Invitation(name, name, frozenset({Role.ENGINEER}), ()))
            client = httpx.AsyncClient(base_url=address, timeout=60)
            clients.append(client)
            fields = {
                "csrf": token_of(await client.get(f"/welcome/{token}")),
                "password": PASSWORD,
                "password_again": PASSWORD,
            }
            assert (await client.post(f"/welcome/{token}", data=fields)).status_code == 303
            client.headers["X-CSRF-Token"] = token_of(await client.get("/sign-in"))
    yield clients
    for client in clients:
        await client.aclose()


@dataclass
class _Asker:
    """One client: its questions one behind the other, of all kinds in turn."""

    client: httpx.AsyncClient
    size: Size
    until: datetime
    chance: random.Random
    times: Times

    async def run(self) -> None:
        kinds: tuple[tuple[Callable[[], Awaitable[httpx.Response]], list[float]], ...] = (
            (self.latest, self.times.latest),
            (self.ranged, self.times.range),
            (self.search, self.times.search),
            (self.batch, self.times.batch),
        )
        for _ in range(ROUNDS):
            for ask, times in kinds:
                began = time.monotonic()
                answer = await ask()
                times.append(time.monotonic() - began)
                assert answer.status_code == 200, answer.text
                assert '"problem"' not in answer.text, answer.text[:500]

    async def latest(self) -> httpx.Response:
        asked = [("device", name) for name in self.devices(8)]
        return await self.client.get("/api/v1/latest", params=[*asked, ("within_s", str(self.within_s()))])

    async def ranged(self) -> httpx.Response:
        params = [("device", self.devices(1)[0]), *((name, str(value)) for name, value in self.stretch().items())]
        return await self.client.get(
            "/api/v1/range", params=[*params, ("pixels", "1200"), *(("code", code) for code in CODES[:2])]
        )

    async def search(self) -> httpx.Response:
        return await self.client.get("/api/v1/search", params={"q": self.chance.choice(TYPED)})

    async def batch(self) -> httpx.Response:
        queries: list[dict[str, object]] = [
            {"id": "latest", "kind": "latest", "devices": self.devices(8), "within_s": self.within_s()},
            {"id": "search", "kind": "search", "q": self.chance.choice(TYPED)},
        ]
        ranges: list[dict[str, object]] = [
            {
                "id": f"range-{n}",
                "kind": "range",
                "devices": self.devices(1),
                "codes": [CODES[n]],
                "pixels": 600,
                **self.stretch(),
            }
            for n in range(4)
        ]
        return await self.client.post("/api/v1/batch", json={"queries": [*queries, *ranges]})

    def devices(self, count: int) -> list[str]:
        return [f"monitor-{n}" for n in self.chance.sample(range(1, self.size.devices + 1), count)]

    def within_s(self) -> float:
        return (datetime.now(UTC) - self.until).total_seconds() + 3600

    def stretch(self) -> dict[str, int]:
        """The whole of the fine readings, an hour of them, or everything."""
        to = self.until
        start = to - self.chance.choice(
            (
                timedelta(hours=self.size.hours),
                timedelta(hours=1),
                timedelta(days=self.size.days, hours=self.size.hours),
            )
        )
        return {"from_ms": round(start.timestamp() * 1000), "to_ms": round(to.timestamp() * 1000)}


FIGURES = (
    Figure(
        "query",
        "hub",
        measure,
        code=("hub", "protocols", "tests/figures", "tests/fixtures"),
        cached=False,
        yields=("query-latest", "query-range", "query-batch"),
        long=measure_full,
    ),
)
