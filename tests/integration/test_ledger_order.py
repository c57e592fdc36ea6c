"""Who writes of several devices takes their rows in one order, by code points, whatever the batches say first."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest

from hub.core.db import Connection, Database
from hub.ingest.learnt import learn
from hub.ingest.rows import Rows
from hub.ingest.writer import Pending, insert
from protocols.link import Lane
from tests.fixtures.superuser import Superuser
from tests.fixtures.waiting import until
from wardlink.local.database import Database as Local

pytestmark = pytest.mark.integration

FIRST, OTHER = "Zoll-1", "monitor-1"  # by code points; a person, and many a collation, puts them the other way round
WAITS = "select count(*) from pg_stat_activity where application_name = 'second writer' and wait_event_type = 'Lock'"
HEARD_AT = datetime.now(UTC)


def heard(device: str) -> tuple[str, dict[str, object]]:
    return "heard", {"device": device, "at": HEARD_AT}


def batch(rows: Rows) -> Pending:
    return Pending(1, 1, "gateway-1", bytes(16), Lane.NUMERIC, 1, 1, rows, lambda _, __: None)


async def has_heard_of_both(connection: Connection) -> None:
    await learn(connection, [(1, *heard(OTHER)), (1, *heard(FIRST))])


async def has_refused_some_of_one(connection: Connection) -> None:
    await insert(connection, [batch(Rows(refused={OTHER: 3})), batch(Rows(ledger=[heard(FIRST)]))])


@pytest.mark.parametrize("write", [has_heard_of_both, has_refused_some_of_one])
async def test_a_writer_that_waits_for_the_first_of_its_devices_holds_none_of_the_others(
    hub_database: Local, write: Callable[[Connection], Awaitable[None]]
):
    with closing(Superuser(hub_database)) as superuser:
        superuser.do("insert into device (tenant_id, name) values (1, %s), (1, %s)", FIRST, OTHER)
        take = "update device set last_seen = now() where name = %s"
        async with Database(hub_database.url_for("wardlink_ingest"), "second writer", max_size=1) as database:

            async def second() -> None:
                async with database.transaction() as connection:
                    await write(connection)

            with psycopg.connect(hub_database.url_for("wardlink_ingest")) as writer:
                writer.execute("set lock_timeout = '2s'")
                writer.execute(take, [FIRST])
                waiting = asyncio.create_task(second())
                await until(lambda: superuser.rows(WAITS) == [(1,)], within_s=10.0)
                writer.execute(take, [OTHER])
                writer.commit()
            await waiting
        seen = dict(superuser.rows("select name, refused from device"))
    assert seen == {FIRST: 0, OTHER: 3 if write is has_refused_some_of_one else 0}
