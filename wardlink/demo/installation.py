"""An installation on one machine: database, hub, a gateway's agent and simulated devices, each its own process as in a hospital.

Everything is done by the commands that an installation uses; only the devices are simulated. Used by `wardlink demo` and by the
tests of the whole path. Keeps its state in one folder, so that the next start goes on with the same data.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self

from wardlink.demo.beds import DemoBed, seed
from wardlink.demo.rigs.rig import Ground, Rig
from wardlink.local.database import Database, stack_down, stack_up
from wardlink.local.places import Places
from wardlink.local.ports import free_port
from wardlink.processes import Processes, undisturbed

GATEWAY: Final = "gateway-7b"
WARD: Final = "7b"

_READY_S = 40.0
_LOOK_AGAIN_S = 0.05
ROLES: Final = ("ingest", "web", "worker")
_PORTS = ("web", "uplink", "enrolment", "local_page")
_OPEN: Final = '"ward-page-open"'

Progress = Callable[[str], None]


class DemoError(RuntimeError):
    """The installation could not be brought up; the message says what to look at."""


class Installation:
    """`with Installation(...) as ward:` brings it up and leaves no process behind."""

    def __init__(
        self,
        places: Places,
        folder: Path,
        beds: Sequence[DemoBed],
        *,
        web_port: int | None = None,
        database: Database | None = None,
        progress: Progress = print,
        speed: float = 1.0,
        secure_local_page: bool = False,
    ) -> None:
        """Nothing is started yet. `database`: one that is up already, and stays up. `speed`: how fast the devices play.

        `secure_local_page`: the gateway's own page by https, for browsers that trust the hub's authority; without, any browser of
        this machine goes over to it.
        """
        self._secure = secure_local_page
        self._places, self._folder, self.beds, self._progress = places, folder, tuple(beds), progress
        self._wanted_port = web_port
        self._hub_state, self.edge_state = folder / "hub", folder / "edge"
        self.ground = Ground(folder, folder / "switched-on", places, speed)
        self._config = folder / "edge.toml"
        self.processes = Processes(folder / "logs")
        self.ports: dict[str, int] = {}
        self._database, self._begun = database, False
        self._web_log_seen = 0

    def __enter__(self) -> Self:
        """Bring everything up; on failure nothing stays behind."""
        try:
            self._up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Bring everything down."""
        self.down()

    @property
    def url(self) -> str:
        """Address of the pages."""
        return f"http://127.0.0.1:{self.ports['web']}"

    @property
    def local_page(self) -> str:
        """Address of the gateway's own page."""
        return f"http{'s' if self._secure else ''}://127.0.0.1:{self.ports['local_page']}"

    @property
    def authority(self) -> Path:
        """The certificate of the hub's authority, which signs that of the gateway's page."""
        return self._hub_state / "ca.pem"

    @property
    def database(self) -> Database:
        """The database that is up."""
        if self._database is None:
            msg = "the database is not up"
            raise DemoError(msg)
        return self._database

    @property
    def hub_env(self) -> dict[str, str]:
        """The hub's settings for commands, in the environment: with the database addresses of the owner and of all roles."""
        return self.env_of("owner", *ROLES)

    def env_of(self, *roles: str) -> dict[str, str]:
        """The hub's settings in the environment, with the database addresses of these and of nobody else."""
        return {
            **plain_environment(),
            "HUB_STATE_DIR": str(self._hub_state),
            **{f"HUB_{role.upper()}_URL": self.database.url_for(f"wardlink_{role}") for role in roles},
            "HUB_UPLINK_LISTEN": f"127.0.0.1:{self.ports['uplink']}",
            "HUB_ENROLMENT_LISTEN": f"127.0.0.1:{self.ports['enrolment']}",
            "HUB_WEB_LISTEN": f"127.0.0.1:{self.ports['web']}",
            "HUB_SECOND_FACTOR": "offered",  # simulated patients, on pages that no other machine reaches
        }

    def start_hub(self, *roles: str) -> None:
        """Start roles of the hub (all three unless named), each alone, and wait until they are ready."""
        seen = {role: self._size(role) for role in roles or ROLES}
        for role in seen:
            self.processes.start(role, self.hub_words(role), self.env_of(role))
        for role, size in seen.items():
            self._wait(role, lambda text: '"event": "ready"' in text, size, f"the role {role} to be ready")

    def hub_words(self, role: str) -> list[str]:
        """The command that runs a role."""
        return command("hub", "run", "--role", role)

    def stop_hub(self) -> None:
        """End all roles of the hub; the gateway goes on alone."""
        for role in reversed(ROLES):
            self.processes.stop(role)

    @property
    def rigs(self) -> list[Rig]:
        """The devices of all beds."""
        return [rig for bed in self.beds for rig in bed.rigs]

    def start_agent(self) -> None:
        """Start the gateway's agent."""
        environment = plain_environment()
        for rig in self.rigs:
            environment |= rig.environment(self.ground)
        self.processes.start("agent", command("edge", "run", "--config", str(self._config)), environment)

    def start_devices(self) -> None:
        """Plug the devices in; they stay switched off until `switch_on`."""
        self.ground.switched_on.unlink(missing_ok=True)
        for rig in self.rigs:
            rig.start(self.ground, self.processes, plain_environment())
        until_s = time.monotonic() + _READY_S
        for rig in self.rigs:
            while not rig.is_plugged_in(self.ground):
                self.processes.check()
                if time.monotonic() > until_s:
                    msg = f"the simulated device {rig.name} is not there; look at {self.processes.log(rig.name)}"
                    raise DemoError(msg)
                time.sleep(_LOOK_AGAIN_S)

    def switch_on(self) -> None:
        """Switch the devices on: their recordings begin."""
        self.ground.switched_on.touch()

    def page_is_open(self) -> bool:
        """Whether a ward page has drawn its frame and asked the hub for strips."""
        log = self.processes.log("web")
        return log.exists() and _OPEN in log.read_text("utf-8", "replace")[self._web_log_seen :]

    def invite_all(self, *roles: str) -> dict[str, str]:
        """A fresh one-time link for somebody of each role, called by it."""
        with ThreadPoolExecutor(len(roles)) as beside:
            return dict(zip(roles, beside.map(self.invite, roles, roles), strict=True))

    def invite(self, name: str, role: str = "nurse") -> str:
        """A fresh one-time link for somebody who works in the ward."""
        text = self.hub("account", "add", name, "--role", role, "--ward", WARD)
        return _link(text, self.url)

    def hub(self, *arguments: str) -> str:
        """Run a `wardlink hub` command; its output. DemoError has what it said when it fails."""
        return self.run("hub", *arguments, env=self.hub_env)

    def down(self) -> None:
        """End the processes and the database, whatever signal comes meanwhile; ProcessError or StackError for what did not end."""
        with undisturbed():
            try:
                self.processes.stop_all("agent")  # it takes its leave of radio, broker and hub
            finally:
                if self._begun:
                    stack_down(self._places, self._progress)
                    self._begun, self._database = False, None

    def _up(self) -> None:
        for state in (self._folder, self._hub_state, self.edge_state):
            state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ports = _choose_ports(self._folder / "ports.json", self._wanted_port)
        if self._database is None:
            self._begun = True  # before it is up: an end may come meanwhile
            self._database = stack_up(self._places, self._progress)
        self.hub("migrate")
        self._progress("the hub's tables are up to date")
        self._web_log_seen = self._size("web")
        with ThreadPoolExecutor(1) as beside:
            placing = beside.submit(self._place_beds)
            self.start_hub()
            placing.result()
        self._progress("the hub runs: ingest, web, worker")
        for rig in self.rigs:
            rig.prepare(self.ground)
        self._gateway_up()

    def _gateway_up(self) -> None:
        self._enrol()
        self.start_devices()
        seen = self._size("agent")
        self.start_agent()
        # A page that is open before the agent runs would have its recordings begin that much later.
        self._until_agent_listens(seen)
        self._progress("the gateway's agent runs; the devices are plugged in")

    def _until_agent_listens(self, seen: int) -> None:
        """Wait until the agent, whose log had `seen` characters when it was started, says that it is ready: a device or a door is up."""
        self._wait("agent", lambda text: '"agent-ready"' in text, seen, "the agent to be ready")

    def _place_beds(self) -> None:
        file = self._folder / "seed.toml"
        file.write_text(seed(WARD, self.beds), "utf-8")
        self.hub("seed", "--file", str(file))

    def _enrol(self) -> None:
        parts = [f"# Made by `wardlink demo` at each start.\nstate_dir = {json.dumps(str(self.edge_state))}\n"]
        parts += [rig.settings(self.ground) for rig in self.rigs]
        secure = "true" if self._secure else "false"
        parts.append(f'[local_page]\nlisten = "127.0.0.1:{self.ports["local_page"]}"\ntls = {secure}\n')
        self._config.write_text("\n".join(parts), "utf-8")
        if (self.edge_state / "identity" / "certificate.pem").exists():
            return
        token = self.hub("gateway", "add", GATEWAY, "--address", "127.0.0.1").strip().splitlines()[0]
        self.run("edge", "enrol", token, "--state", str(self.edge_state), env=plain_environment())
        self._progress(f"the gateway {GATEWAY} is enrolled")

    def run(self, *arguments: str, env: Mapping[str, str]) -> str:
        """Run a `wardlink` command; its output. DemoError has what it said when it fails."""
        done = subprocess.run(command(*arguments), env=dict(env), capture_output=True, text=True, check=False)
        if done.returncode:
            msg = f"`wardlink {' '.join(arguments[:2])}` failed:\n{done.stdout}{done.stderr}".rstrip()
            raise DemoError(msg)
        return done.stdout

    def _size(self, name: str) -> int:
        log = self.processes.log(name)
        return len(log.read_text("utf-8", "replace")) if log.exists() else 0

    def _wait(self, name: str, ready: Callable[[str], bool], seen: int, what: str) -> None:
        until_s = time.monotonic() + _READY_S
        while not ready(self.processes.log(name).read_text("utf-8", "replace")[seen:]):
            self.processes.check()
            if time.monotonic() > until_s:
                msg = f"waited {_READY_S:.0f} s for {what}; look at {self.processes.log(name)}"
                raise DemoError(msg)
            time.sleep(_LOOK_AGAIN_S)


def command(*arguments: str) -> list[str]:
    """The words that start a `wardlink` command."""
    return [sys.executable, "-m", "wardlink", *arguments]


def plain_environment() -> dict[str, str]:
    """The environment of a service: nothing of this shell but what programs need."""
    kept = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
    return {**{k: os.environ[k] for k in kept if k in os.environ}, "PYTHONUNBUFFERED": "1"}


def _choose_ports(file: Path, wanted: int | None) -> dict[str, int]:
    """The ports of the last start where they are still free: the gateway has the hub's address in its papers."""
    ports: dict[str, int] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    if wanted is not None:
        ports["web"] = wanted
    for name in _PORTS:
        if name not in ports:
            ports[name] = free_port()
        elif not _is_free(ports[name]):
            if name != "web" or wanted is not None:
                msg = f"port {ports[name]} ({name}) is taken by another program; end it, or give another folder with --data"
                raise DemoError(msg)
            ports[name] = free_port()
    file.write_text(json.dumps(ports), "utf-8")
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _link(text: str, url: str) -> str:
    """The one-time link in what `hub account add` printed."""
    for word in text.split():
        if "/welcome/" in word:
            return f"{url}/welcome/{word.rpartition('/welcome/')[2]}"
    msg = f"`wardlink hub account add` printed no link:\n{text}"
    raise DemoError(msg)
