"""Processes that are killed (SIGKILL), each in the phases in which it holds something that nobody else does."""

import os
import random
import signal
import time

from tests.faults.entry import Inject
from tests.faults.ward import FaultWard
from tests.fixtures.hub_process import start_hub
from wardlink.local.database import stack_up
from wardlink.local.database.liveness import postmaster_pid

_STARTING_S = (0.05, 1.5)  # an agent and each role of the hub are up in 1.5 to 3 s on two cores
_DOWN_S = (0.0, 1.0)


def agent_any(ward: FaultWard, chance: random.Random) -> None:
    """At a random moment: within a batch, between two, within a write of the spool."""
    time.sleep(chance.uniform(0.0, 1.0))
    ward.processes.kill("agent")
    time.sleep(chance.uniform(*_DOWN_S))
    ward.start_agent()


def agent_starting(ward: FaultWard, chance: random.Random) -> None:
    """While it starts after a kill: in the recovery of its spool, while it opens devices, at its first connections."""
    ward.processes.kill("agent")
    ward.start_agent()
    time.sleep(chance.uniform(*_STARTING_S))
    ward.processes.kill("agent")
    ward.start_agent()


def agent_draining(ward: FaultWard, chance: random.Random) -> None:
    """While it sends what has gathered without a network."""
    ward.network.cut()
    time.sleep(chance.uniform(2.0, 5.0))
    ward.network.heal()
    time.sleep(chance.uniform(0.0, 1.5))
    ward.processes.kill("agent")
    ward.start_agent()


def role_any(role: str) -> Inject:
    """At a random moment."""

    def inject(ward: FaultWard, chance: random.Random) -> None:
        time.sleep(chance.uniform(0.0, 1.0))
        ward.processes.kill(role)
        time.sleep(chance.uniform(*_DOWN_S))
        ward.restart_hub(role)

    return inject


def role_starting(role: str) -> Inject:
    """While it starts after a kill, and gateways or pages come back to it."""

    def inject(ward: FaultWard, chance: random.Random) -> None:
        ward.processes.kill(role)
        ward.begin_hub(role)
        time.sleep(chance.uniform(*_STARTING_S))
        ward.processes.kill(role)
        ward.restart_hub(role)

    return inject


def ingest_at(point: str) -> Inject:
    """By itself at a point of a transaction, with the agent of the ward connected to it."""

    def inject(ward: FaultWard, chance: random.Random) -> None:
        ward.processes.kill("ingest")
        hub = start_hub(ward.database, ward.hub_state, point, chance.randrange(1, 12))
        ward.network.to(int(hub.uplink.rpartition(":")[2]))
        try:
            ended = hub.wait()
        finally:
            hub.process.kill()
        if ended != -signal.SIGKILL:
            msg = f"ingest ended with {ended} before it came to {point}"
            raise AssertionError(msg)
        ward.restart_hub("ingest")

    return inject


def postmaster_any(ward: FaultWard, chance: random.Random) -> None:
    """The server's first process at a random moment; the others end when they notice."""
    time.sleep(chance.uniform(0.0, 1.0))
    _kill_postmaster(ward)
    time.sleep(chance.uniform(*_DOWN_S))
    stack_up(ward.places, ward.quiet)


def postmaster_recovering(ward: FaultWard, chance: random.Random) -> None:
    """Twice: the second time just behind its recovery, while the hub comes back to it."""
    _kill_postmaster(ward)
    stack_up(ward.places, ward.quiet)
    time.sleep(chance.uniform(0.0, 0.5))
    _kill_postmaster(ward)
    stack_up(ward.places, ward.quiet)


def backend(ward: FaultWard, chance: random.Random) -> None:
    """A process that works for the role ingest; the server ends all its work and recovers by itself."""
    time.sleep(chance.uniform(0.0, 1.0))
    with ward.connect() as connection:
        rows = connection.execute("select pid from pg_stat_activity where usename = 'wardlink_ingest'").fetchall()
    os.kill(int(str(chance.choice(rows)[0])), signal.SIGKILL)


def broker_any(ward: FaultWard, chance: random.Random) -> None:
    """At a random moment."""
    time.sleep(chance.uniform(0.0, 1.0))
    ward.processes.kill(ward.monitor.broker)
    time.sleep(chance.uniform(*_DOWN_S))
    ward.start_broker()


def broker_reconnecting(ward: FaultWard, chance: random.Random) -> None:
    """Again, while monitor and gateway come back to it."""
    ward.processes.kill(ward.monitor.broker)
    ward.start_broker()
    time.sleep(chance.uniform(0.1, 3.0))
    ward.processes.kill(ward.monitor.broker)
    ward.start_broker()


def _kill_postmaster(ward: FaultWard) -> None:
    pid = postmaster_pid(ward.database.layout.data)
    if pid is None:
        msg = "the ward's own database server does not run"
        raise AssertionError(msg)
    os.kill(pid, signal.SIGKILL)
