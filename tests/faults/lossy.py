"""A link that loses packets: a network namespace whose packet filter drops three of ten, with a relay in it, between agent and hub."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

from tests.faults.network import Network
from tests.faults.possible import NotPossibleError
from tests.faults.ward import FaultWard
from wardlink.local.errors import StackError
from wardlink.local.parts import find_or_unpack

_RULES = """\
table inet loss {
    chain in {
        type filter hook input priority 0
        numgen random mod 100 < 30 drop
    }
    chain out {
        type filter hook output priority 0
        numgen random mod 100 < 30 drop
    }
}
"""
_PORT = 4433


def lossy(ward: FaultWard, chance: random.Random) -> None:
    """Of the packets of either direction three of ten are dropped for 8 to 15 s."""
    number = os.getpid() % 250
    space, here, there = f"wl-{os.getpid()}", f"10.213.{number}.1", f"10.213.{number}.2"
    with _namespace(ward, space, here, there, f"wl{os.getpid()}") as run, Network(here) as inside:
        inside.to(ward.ports["uplink"])
        relay = subprocess.Popen(
            [*run, sys.executable, "-m", "tests.faults.relay", there, str(_PORT), here, str(inside.port)],
            stdout=subprocess.PIPE,
        )
        try:
            assert relay.stdout is not None
            assert relay.stdout.readline(), "the relay in the namespace does not start"
            ward.network.to(_PORT, there)
            ward.network.drop_all()
            time.sleep(chance.uniform(8.0, 15.0))
        finally:
            ward.network.to(ward.ports["uplink"])
            ward.network.drop_all()
            relay.kill()
            relay.communicate()


@contextmanager
def _namespace(ward: FaultWard, space: str, here: str, there: str, pair: str) -> Generator[list[str]]:
    ip = shutil.which("ip")
    if os.geteuid() != 0 or ip is None:
        msg = "a network namespace needs root and the program ip"
        raise NotPossibleError(msg)
    try:
        nft = find_or_unpack("nft", ward.places, ward.quiet)
    except StackError as error:
        msg = f"no packet filter: {error}"
        raise NotPossibleError(msg) from error
    within = [ip, "netns", "exec", space]
    try:
        for words in (
            [ip, "netns", "add", space],
            [ip, "link", "add", f"{pair}a", "type", "veth", "peer", "name", f"{pair}b"],
            [ip, "link", "set", f"{pair}b", "netns", space],
            [ip, "address", "add", f"{here}/30", "dev", f"{pair}a"],
            [ip, "link", "set", f"{pair}a", "up"],
            [*within, ip, "address", "add", f"{there}/30", "dev", f"{pair}b"],
            [*within, ip, "link", "set", f"{pair}b", "up"],
        ):
            _do(words)
        _do([*within, str(nft.executable), "-f", "-"], given=_RULES, env=nft.env)
        yield within
    finally:
        subprocess.run([ip, "netns", "del", space], check=False, capture_output=True)


def _do(words: list[str], given: str = "", env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        words, input=given, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        msg = f"`{' '.join(words[-6:])}`: {done.stderr.strip()}"
        raise NotPossibleError(msg)
