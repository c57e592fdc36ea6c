"""A database that is there and does not do what it should."""

import random
import subprocess
import sys
import time
from contextlib import closing

from tests.faults.ward import FaultWard
from wardlink.demo.installation import plain_environment
from wardlink.local.database import stack_down, stack_up

_STARTERS = 8


def restarted(ward: FaultWard, chance: random.Random) -> None:
    """Stopped as by its service manager, and started again."""
    stack_down(ward.places, ward.quiet)
    time.sleep(chance.uniform(0.0, 3.0))
    stack_up(ward.places, ward.quiet)


def started_eight_times(ward: FaultWard, chance: random.Random) -> None:
    """Stopped, and started by eight commands at once: each has to succeed, and one server runs."""
    stack_down(ward.places, ward.quiet)
    words = [sys.executable, "-m", "wardlink", "stack", "up", "--data", str(ward.places.data)]
    environment = plain_environment()
    starters = list[subprocess.Popen[str]]()
    for _ in range(_STARTERS):
        starters.append(
            subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        time.sleep(chance.uniform(0.0, 0.1))
    said = [starter.communicate()[0] for starter in starters]
    if failed := [text for starter, text in zip(starters, said, strict=True) if starter.returncode]:
        msg = f"{len(failed)} of {_STARTERS} starters failed: {failed[0]}"
        raise AssertionError(msg)
    if sum("PostgreSQL started" in text for text in said) != 1:
        msg = f"expected that one of {_STARTERS} starters started the server: {said}"
        raise AssertionError(msg)


def read_only(ward: FaultWard, chance: random.Random) -> None:
    """Every transaction that begins may only read, as behind a failover to a standby."""
    with closing(ward.connect()) as connection:
        connection.execute("alter system set default_transaction_read_only = on")
        connection.execute("select pg_reload_conf()")
        time.sleep(chance.uniform(3.0, 6.0))
        connection.execute("alter system reset default_transaction_read_only")
        connection.execute("select pg_reload_conf()")
