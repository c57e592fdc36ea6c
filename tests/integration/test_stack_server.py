"""The local database as a user meets it: started twice, by many at once, after a kill, with wrong secrets."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from wardlink.local.database import OWNER, ROLES, Database, stack_down, stack_status, stack_up
from wardlink.local.database.liveness import postmaster_pid, processes_in
from wardlink.local.errors import StackError
from wardlink.local.places import Places

pytestmark = pytest.mark.integration

START = """
import sys
from pathlib import Path
from wardlink.local.database import stack_up
from wardlink.local.places import Places
database = stack_up(Places(Path(sys.argv[1]), Path(sys.argv[2])), lambda line: print(line, flush=True))
with database.connect_admin() as admin:
    print("answers", admin.execute("select 1").fetchone()[0])
"""


def quiet(_line: str) -> None:
    """Drop progress lines."""


@pytest.fixture(scope="module")
def places(usual_places: Places, short_folder: Callable[[], Path]) -> Iterator[Places]:
    own = replace(usual_places, data=short_folder(), database_url=None)
    yield own
    stack_down(own, quiet)


@pytest.fixture
def database(places: Places) -> Database:
    return stack_up(places, quiet)


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    user = parts.netloc.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@"))


def kill_postmaster(database: Database) -> int:
    pid = postmaster_pid(database.layout.data)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def test_up_twice_is_one_server(places: Places, database: Database):
    first = stack_status(places).pid
    told: list[str] = []
    again = stack_up(places, told.append)
    assert stack_status(places).pid == first
    assert told == ["PostgreSQL already runs"]
    assert again == database


def test_the_status_says_what_runs_where_and_in_which_versions(places: Places, database: Database):
    status = stack_status(places)
    assert status.running
    assert status.where == str(database.layout.data)
    assert status.postgresql.split(".")[0].isdigit()
    assert status.timescaledb.startswith("2.")


@pytest.mark.parametrize("starters", [2, 8])
def test_of_many_starters_at_once_one_starts_and_all_are_served(places: Places, database: Database, starters: int):
    stack_down(places, quiet)
    command = [sys.executable, "-c", START, str(places.cache), str(places.data)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(starters)]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0] * starters
    assert sum("PostgreSQL started" in text for text in said) == 1
    assert all("answers 1" in text for text in said)


def test_committed_rows_are_there_after_the_server_was_killed(places: Places, database: Database):
    with closing(psycopg.connect(database.url_for(OWNER), autocommit=True)) as owner:
        owner.execute("create table if not exists kept (n int)")
        owner.execute("insert into kept select generate_series(1, 1000)")
        before = owner.execute("select count(*) from kept").fetchone()
    kill_postmaster(database)
    stack_up(places, quiet)
    with closing(psycopg.connect(database.url_for(OWNER))) as owner:
        assert owner.execute("select count(*) from kept").fetchone() == before


def test_a_backend_that_outlives_the_killed_server_is_ended_before_the_next_start(places: Places, database: Database):
    url = database.url_for(OWNER)
    # No server checks for a dead postmaster while it counts, so this backend stays busy well beyond the five seconds.
    busy = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import psycopg, sys; psycopg.connect(sys.argv[1]).execute(sys.argv[2])",
            url,
            "select count(*) from generate_series(1, 100000000000) a",
        ],
        stderr=subprocess.DEVNULL,
    )
    with closing(database.connect_admin()) as admin:
        query = (
            "select pid from pg_stat_activity where state = 'active' and query like 'select count(*) from generate%'"
        )
        deadline = time.monotonic() + 10
        while (row := admin.execute(query).fetchone()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    backend = int(str(row[0]))
    kill_postmaster(database)
    time.sleep(0.3)
    assert backend in processes_in(database.layout.data)
    stack_up(places, quiet)
    assert backend not in processes_in(database.layout.data)
    busy.wait(timeout=10)


@pytest.mark.parametrize(
    "left", ["dead", "another", "1", "", "garbage\nx\n"], ids=["dead", "another", "init", "empty", "garbage"]
)
def test_a_stale_pid_file_does_not_keep_the_server_from_starting(places: Places, database: Database, left: str):
    stack_down(places, quiet)
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    first_line = {"dead": str(ended.pid), "another": str(os.getpid())}.get(left, left)
    pid_file = database.layout.data / "postmaster.pid"
    pid_file.write_text(f"{first_line}\n{database.layout.data}\n" if left else "")
    assert not stack_status(places).running
    assert not stack_down(places, quiet)
    stack_up(places, quiet)
    assert stack_status(places).running


def test_what_a_broken_off_start_left_at_work_is_waited_for_before_nothing_is_said_to_run(
    places: Places, database: Database
):
    stack_down(places, quiet)
    left = subprocess.Popen(["sleep", "0.5"], cwd=database.layout.data)
    assert not stack_down(places, quiet)
    assert left.poll() == 0


def test_an_installed_server_is_used_where_none_is_built(
    places: Places, database: Database, short_folder: Callable[[], Path]
):
    with closing(database.connect_admin()) as admin:
        rows = admin.execute("select name, setting from pg_config").fetchall()
    own = {str(name): str(setting) for name, setting in rows}  # what its own pg_config would print
    printed = "\n".join(f"{name} = {setting}" for name, setting in own.items())
    path, cache = short_folder(), short_folder()
    (path / "pg_config").write_text(f"#!/bin/sh\ncat <<'END'\n{printed}\nEND\n")
    (path / "pg_config").chmod(0o755)
    stack_down(places, quiet)
    told: list[str] = []
    installed = stack_up(replace(places, cache=cache, search_path=f"{path}:{places.search_path}"), told.append)
    assert f"using the installed server in {own['BINDIR']}" in told
    assert not list(cache.iterdir()), "nothing was built"
    with closing(installed.connect_admin()) as admin:
        assert admin.execute("select count(*) from pg_extension where extname = 'timescaledb'").fetchone() == (1,)


def test_a_half_made_data_folder_is_made_anew(usual_places: Places, short_folder: Callable[[], Path]):
    own = replace(usual_places, data=short_folder(), database_url=None, durable=False)
    try:
        database = stack_up(own, quiet)
        stack_down(own, quiet)
        database.layout.mark.unlink()
        (database.layout.data / "PG_VERSION").unlink()
        told: list[str] = []
        stack_up(own, told.append)
        assert any("half made" in line for line in told)
        assert stack_status(own).running
    finally:
        stack_down(own, quiet)


def test_data_of_another_postgresql_is_refused_and_kept(places: Places, database: Database):
    stack_down(places, quiet)
    version = database.layout.data / "PG_VERSION"
    right = version.read_text()
    version.write_text("12\n")
    try:
        with pytest.raises(StackError, match="made by PostgreSQL 12"):
            stack_up(places, quiet)
    finally:
        version.write_text(right)
    stack_up(places, quiet)
    assert stack_status(places).running


@pytest.mark.req("IOT-9.3b", surface="protocol")
def test_a_wrong_password_is_refused_on_the_socket(database: Database):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(with_password(database.url_for("wardlink_web"), "wrong"))


@pytest.mark.req("IOT-9.3b", surface="protocol")
def test_each_role_has_its_own_secret_that_only_its_owner_can_read(database: Database):
    files = [database.layout.secrets / role for role in ROLES]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert len({file.read_text() for file in files}) == len(ROLES)
    for role in ROLES:
        with closing(psycopg.connect(database.url_for(role))) as connection:
            assert connection.execute("select current_user").fetchone() == (role,)


def test_only_the_owner_role_may_make_tables(database: Database):
    with (
        closing(psycopg.connect(database.url_for("wardlink_web"))) as web,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        web.execute("create table intruder (n int)")


def test_no_address_of_the_network_is_listened_on(database: Database):
    with closing(database.connect_admin()) as admin:
        assert admin.execute("show listen_addresses").fetchone() == ("",)
    assert database.layout.sockets.stat().st_mode & 0o777 == 0o700


def test_chinese_text_is_found_by_its_trigrams(database: Database):
    with closing(psycopg.connect(database.url_for("wardlink_web"))) as web:
        row = web.execute("select cardinality(show_trgm('监护仪')), similarity('监护仪', '心电监护仪')").fetchone()
    # Three characters with two blanks before and one behind them make four trigrams (pg_trgm); the name of the
    # ECG monitor has six, of which two are shared: 2 / (4 + 6 - 2).
    assert row == (4, 0.25)


def test_a_long_data_path_gets_a_short_socket(usual_places: Places, short_folder: Callable[[], Path]):
    deep = short_folder() / ("long folder " * 9).strip()
    own = replace(usual_places, data=deep, database_url=None, durable=False)
    try:
        database = stack_up(own, quiet)
        assert not database.layout.sockets.is_relative_to(deep)
        assert stack_status(own).running
    finally:
        stack_down(own, quiet)
    database.layout.sockets.rmdir()


def test_a_folder_that_nobody_else_may_enter_will_do_also_for_root(
    usual_places: Places, short_folder: Callable[[], Path]
):
    closed = short_folder()
    closed.chmod(0o700)
    own = replace(usual_places, data=closed / "with blank 数据", database_url=None, durable=False)
    try:
        stack_up(own, quiet)
        assert stack_status(own).running
    finally:
        stack_down(own, quiet)
