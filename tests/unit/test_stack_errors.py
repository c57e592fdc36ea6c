"""What the local stack says when a program fails: each known message gets one sentence with what to do."""

import re
from pathlib import Path

import pytest

from wardlink.local.errors import ADVICE, StackError, advice_for, failed
from wardlink.local.places import Places, default_places

# Messages as the programs print them (C locale), with the word that the advice must contain.
SEEN = [
    ("E: The repository 'http://mirror/debian trixie Release' does not have a Release file.", "DATABASE_URL"),
    ("W: GPG error: http://mirror/debian trixie InRelease: ... NO_PUBKEY 6ED0E7B82643E131", "debian-archive-keyring"),
    ("E: The repository 'http://mirror/debian trixie InRelease' is not signed.", "debian-archive-keyring"),
    ("libgcc-s1 : Depends: gcc-14-base (= 14.2.0-19) but 9999 is to be installed", "STAND_INS"),
    ("initdb: error: cannot be run as root", "ordinary user"),
    ('"root" execution of the PostgreSQL server is not permitted.', "ordinary user"),
    ("initdb: error: could not look up effective user ID 54321: user does not exist", "/etc/passwd"),
    ("/bin/sh: 0: cannot open /home/a/bin/postgres: Permission denied", "folder above"),
    ("/bin/sh: 1: cannot create /var/log/pg.log: Permission denied", "log file"),
    ("unshare: unshare failed: Operation not permitted", "user namespaces"),
    ('FATAL:  lock file "postmaster.pid" already exists', "wardlink stack up"),
    ('FATAL:  lock file "/tmp/x/.s.PGSQL.5432.lock" already exists', "wardlink stack up"),
    ("FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use", "wait"),
    ('FATAL:  data directory "/d" has invalid permissions', "0700"),
    ('LOG:  Unix-domain socket path "/a/b" is too long (maximum 107 bytes)', "shorter path"),
    ('FATAL:  password authentication failed for user "wardlink_web"', "secrets"),
    ('could not access file "$libdir/timescaledb-tsl-2.19.3": No such file or directory', "apache"),
    ("Cannot change a license in a running session.", "settings"),
    ('function "compress_chunk" is not supported under the current "apache" license', "plain SQL"),
    ('functionality not supported under the current "apache" license.', "plain SQL"),
    ('unrecognized parameter namespace "tsdb"', "create_hypertable"),
    ('cannot create a unique index without the column "time" (used in partitioning)', "time column"),
    ("failed to launch job 3: out of background workers", "max_background_workers"),
    ('invalid value for parameter "TimeZone": "Europe/Berlin"', "tzdata"),
]


@pytest.mark.parametrize(("message", "word"), SEEN, ids=[word for _, word in SEEN])
def test_a_known_message_is_followed_by_what_to_do(message: str, word: str):
    error = failed("PostgreSQL does not start", message)
    text = str(error)
    assert text.startswith("PostgreSQL does not start:\n")
    assert message in text
    assert word in text.partition("What to do: ")[2]


def test_an_unknown_message_is_shown_as_it_is_and_no_advice_is_invented():
    error = failed("PostgreSQL does not start", "something never seen")
    assert "something never seen" in str(error)
    assert "What to do" not in str(error)


@pytest.mark.parametrize("fragment", [fragment for fragment, _ in ADVICE])
def test_no_row_of_the_table_is_hidden_by_an_earlier_one(fragment: str):
    assert advice_for(fragment) == dict(ADVICE)[fragment]


def test_each_advice_is_one_sentence():
    for _, advice in ADVICE:
        assert advice.endswith(".")
        assert not re.search(r"[.] [A-Z]", advice)


def test_a_folder_that_postgresql_cannot_handle_is_refused_with_its_characters():
    with pytest.raises(StackError, match="characters") as refused:
        Places(cache=Path("/c"), data=Path("/home/a:b"))
    assert "':'" in str(refused.value)


def test_a_relative_folder_is_refused():
    with pytest.raises(StackError, match="absolute"):
        Places(cache=Path("c"), data=Path("/d"))


def test_the_data_lies_in_the_checkout_and_the_programs_in_the_users_cache():
    places = default_places({"HOME": "/home/a", "XDG_CACHE_HOME": "/home/a/c", "PATH": "/bin"}, Path("/src/wardlink"))
    assert (places.data, places.cache) == (Path("/src/wardlink/.wardlink"), Path("/home/a/c/wardlink"))


def test_without_a_checkout_the_data_lies_in_the_users_data_folder():
    places = default_places({"HOME": "/home/a", "XDG_DATA_HOME": "/home/a/d", "PATH": "/bin"}, None)
    assert places.data == Path("/home/a/d/wardlink")
