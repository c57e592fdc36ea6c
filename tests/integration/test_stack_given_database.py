"""DATABASE_URL: that database is used, or its failure is told; another one is never taken in its place."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from wardlink.local.database import Database, create_database, stack_down, stack_status, stack_up
from wardlink.local.errors import StackError
from wardlink.local.places import Places
from wardlink.local.ports import free_port

pytestmark = pytest.mark.integration


def quiet(_line: str) -> None:
    """Drop progress lines."""


def test_a_database_url_that_fails_says_so_and_starts_nothing(usual_places: Places, short_folder: Callable[[], Path]):
    url = f"postgresql://somebody:hidden@127.0.0.1:{free_port()}/ward"
    own = replace(usual_places, data=short_folder(), database_url=url)
    with pytest.raises(StackError, match="DATABASE_URL") as refused:
        stack_up(own, quiet)
    assert "nothing listens at the address" in str(refused.value)
    assert "hidden" not in str(refused.value)
    assert not (own.data / "server").exists()
    assert not stack_status(own).running


@pytest.mark.parametrize(
    "url",
    ["postgresql://a:hidden@b/c?colour=red", "host=/tmp dbname=x password=hidden", "postgresql://a:hidden@127.0.0.1"],
)
def test_a_database_url_that_cannot_be_read_says_how_to_write_it(
    usual_places: Places, short_folder: Callable[[], Path], url: str
):
    own = replace(usual_places, data=short_folder(), database_url=url)
    with pytest.raises(StackError, match="postgresql://user:password@host:port/database") as refused:
        stack_up(own, quiet)
    assert "hidden" not in f"{refused.value}{stack_status(own)}"


def test_a_given_database_without_our_secrets_is_left_as_it_is(
    timescale: Database, usual_places: Places, short_folder: Callable[[], Path]
):
    own = replace(usual_places, data=short_folder(), database_url=timescale.admin_url)
    with pytest.raises(StackError, match="its secret is not in"):
        stack_up(own, quiet)
    with closing(psycopg.connect(timescale.url_for("wardlink_web"))) as web:
        assert web.execute("select 1").fetchone() == (1,)


def test_a_given_server_is_not_stopped(timescale: Database, usual_places: Places, short_folder: Callable[[], Path]):
    own = replace(usual_places, data=short_folder(), database_url=timescale.admin_url)
    assert not stack_down(own, quiet)
    assert stack_status(own).running


def test_a_copy_of_a_template_has_its_tables_and_is_a_database_of_its_own(
    make_database: Callable[[Database | None], Database],
):
    template = make_database(None)
    with closing(psycopg.connect(template.url_for("wardlink_owner"), autocommit=True)) as owner:
        owner.execute("create table bed (time timestamptz not null, name text)")
        owner.execute("select create_hypertable('bed', by_range('time'))")
        owner.execute("insert into bed values (now(), '监护室 3 床')")
    copy = make_database(template)
    with closing(psycopg.connect(copy.url_for("wardlink_owner"), autocommit=True)) as owner:
        owner.execute("insert into bed values (now(), '4')")
        assert owner.execute("select count(*) from bed").fetchone() == (2,)
    with closing(psycopg.connect(template.url_for("wardlink_owner"))) as owner:
        assert owner.execute("select count(*) from bed").fetchone() == (1,)


def test_a_database_name_that_is_taken_is_refused(timescale: Database):
    with pytest.raises(StackError, match="already"):
        create_database(timescale, timescale.name)
