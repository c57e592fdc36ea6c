"""The migrations on a real database, with the rights that they give."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from hub.accounts.domain import ROLES
from hub.core.errors import ConflictError
from hub.core.principal import Role
from hub.migrations.runner import Migration, migrate, shipped
from wardlink.local.database import Database

pytestmark = pytest.mark.integration


def test_an_empty_database_is_brought_up_once(make_database: Callable[[Database | None], Database]):
    url = make_database(None).url_for("wardlink_owner")
    with ThreadPoolExecutor(3) as starters:
        applied = list(starters.map(lambda _: migrate(url), range(3)))
    assert sorted(len(names) for names in applied) == [0, 0, len(shipped())]


def test_each_migration_can_be_applied_by_a_session_of_its_own_as_by_the_update_that_brings_it(
    make_database: Callable[[Database | None], Database],
):
    url = make_database(None).url_for("wardlink_owner")
    every = shipped()
    assert [migrate(url, every[: n + 1]) for n in range(len(every))] == [[m.name] for m in every]


def test_a_migration_changed_after_it_was_applied_is_refused(make_database: Callable[[Database | None], Database]):
    url = make_database(None).url_for("wardlink_owner")
    migrate(url, [Migration(1, "0001_a.sql", "create table a (x int)")])
    with pytest.raises(ConflictError, match="was changed after"):
        migrate(url, [Migration(1, "0001_a.sql", "create table a (x bigint)")])


def test_a_number_behind_an_applied_one_is_refused(make_database: Callable[[Database | None], Database]):
    url = make_database(None).url_for("wardlink_owner")
    second = Migration(2, "0002_b.sql", "create table b (x int)")
    migrate(url, [second])
    with pytest.raises(ConflictError, match="comes in behind"):
        migrate(url, [Migration(1, "0001_a.sql", "create table a (x int)"), second])


def test_a_newer_database_is_not_touched_by_an_older_version(make_database: Callable[[Database | None], Database]):
    url = make_database(None).url_for("wardlink_owner")
    migrate(url, [Migration(1, "0001_a.sql", "create table a (x int)")])
    with pytest.raises(ConflictError, match="does not know"):
        migrate(url, [])


def test_a_migration_that_fails_leaves_nothing(make_database: Callable[[Database | None], Database]):
    url = make_database(None).url_for("wardlink_owner")
    with pytest.raises(psycopg.errors.UndefinedTable):
        migrate(url, [Migration(1, "0001_a.sql", "create table a (x int); insert into nowhere values (1)")])
    with psycopg.connect(url) as connection:
        assert connection.execute("select to_regclass('a') is null").fetchone() == (True,)


@pytest.mark.parametrize("role", ["wardlink_ingest", "wardlink_web", "wardlink_worker", "wardlink_reporting"])
@pytest.mark.parametrize(
    "statement",
    [
        "update audit set body = ''",
        "delete from audit",
        "insert into audit_writer values ('x', 0, '')",
        "update alarm_event set kind = 'ended'",
        "delete from alarm_event",
        "truncate observation",
        "drop table alarm",
    ],
)
def test_no_role_can_change_a_log(hub_database: Database, role: str, statement: str):
    with psycopg.connect(hub_database.url_for(role)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_web_sees_the_tenant_of_its_transaction_and_no_other(hub_database: Database):
    with hub_database.connect_admin() as admin:
        admin.execute("insert into tenant (name) values ('other')")
        admin.execute("insert into gateway (tenant_id, name) values (1, 'ours'), (2, 'theirs')")
    with psycopg.connect(hub_database.url_for("wardlink_web")) as web:
        assert web.execute("select name from gateway").fetchall() == []
        web.execute("select set_config('wardlink.tenant', '2', true)")
        assert web.execute("select name from gateway").fetchall() == [("theirs",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            web.execute("insert into gateway (tenant_id, name) values (1, 'smuggled')")


def test_web_reads_no_time_series_but_through_the_functions(hub_database: Database):
    with psycopg.connect(hub_database.url_for("wardlink_web")) as web:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            web.execute("select * from observation")
        web.rollback()
        assert web.execute("select * from read_observations(array[1], '-infinity', 'infinity')").fetchall() == []


def test_a_device_is_at_one_point_of_care_at_a_time(hub_database: Database):
    with hub_database.connect_admin() as admin:
        admin.execute("insert into ward (tenant_id, slug, name) values (1, 'icu', 'ICU')")
        admin.execute("insert into point_of_care (tenant_id, ward_id, bed) values (1, 1, '1'), (1, 1, '2')")
        admin.execute("insert into device (tenant_id, name) values (1, 'd')")
        put = "insert into device_association (tenant_id, device_id, point_of_care_id, during) values (1, 1, %s, tstzrange(%s, %s))"
        admin.execute(put, [1, "2026-01-01", "2026-01-02"])
        admin.execute(put, [2, "2026-01-02", None])
        with pytest.raises(psycopg.errors.ExclusionViolation, match="a_device_is_at_one_point_of_care"):
            admin.execute(put, [1, "2026-01-03", "2026-01-04"])
        versions = admin.execute("select version from placement_version").fetchall()
        assert versions == [(2,)]


@pytest.mark.parametrize("role", Role)
def test_an_account_has_the_roles_that_the_rules_of_accounts_know_and_no_other(hub_database: Database, role: Role):
    with hub_database.connect_admin() as admin:
        put = "insert into account (tenant_id, name, display_name, roles) values (1, 'x', 'X', array[%s])"
        if role in ROLES:
            admin.execute(put, [role])
        else:
            with pytest.raises(psycopg.errors.CheckViolation, match="account_roles_check"):
                admin.execute(put, [role])
