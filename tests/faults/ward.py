"""A whole installation to which faults are done: database, hub, agent and devices as processes, and a link that can go wrong.

The agent reaches the hub by a proxy. Devices that write down what they measure: an amplifier on a serial line, which cannot send
anything twice, a monitor at a real MQTT broker and one at the gateway's HTTPS door, which keep what was not taken.
"""

import http.client
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Self

import psycopg

from firmware_adapters.simulate.monitor import APNEA
from tests.faults.alarms import Change, came_up, changes_of, compare_alarms, rows_of, told_twice
from tests.faults.mounts import mounted
from tests.faults.network import Network
from tests.faults.sent import Alarm, Notes
from tests.faults.tended import Tended
from tests.faults.whole import Found, compare, compare_readings, first_stored, held, uncovered
from wardlink.demo.beds import DemoBed
from wardlink.demo.installation import GATEWAY, ROLES, Installation, command, plain_environment
from wardlink.demo.rigs.monitors import HttpsRig, MqttRig
from wardlink.demo.rigs.rig import Recording
from wardlink.demo.rigs.serial import SerialRig, amplifier
from wardlink.local.database import Database
from wardlink.local.places import Places
from wardlink.local.ports import free_port

CAPTURES = Path(__file__).parents[1] / "captures"
AMPLIFIER, BROKERED, POSTING = "amplifier-1", "monitor-2", "monitor-3"
RESENDING = (BROKERED, POSTING)
NORMAL_WITHIN_S = 120.0
_LOOK_AGAIN_S = 0.25
_DAY_S = 86_400
READINGS_WITHIN_S = 30.0
ALARMS = "alarms"  # the order by which a monitor begins to raise alarms, and ends it
_ALARMS_WITHIN_S = 10.0  # it gives a package a second
HELD_S = 10.0  # what is in quarantine does not leave it by itself
_ALIKE = 100  # samples that stand nowhere else in a recording
_NUMBERS = CAPTURES / "bidmc-11-desaturation.numerics.csv"


@dataclass(frozen=True)
class Form:
    """What a ward is made of beyond the usual. `edge_disk_mb`, `hub_disk_mb`: file systems of their own, of that size."""

    edge_disk_mb: int = 0
    hub_disk_mb: int = 0
    faked_clock: bool = False
    faked_hub_clock: bool = False
    old_hub: bool = False  # of the commit that tests/conformance/released.txt names
    old_edge: bool = False
    spool_mb: int = 66
    certificate_s: float = 0.0  # how long a gateway's certificate holds; 0: a year


USUAL = Form()


@dataclass(frozen=True)
class Before:
    """When monitors began to raise alarms, in seconds since 1970, and the ids of those that they had given before."""

    since_s: float
    given: frozenset[bytes]


class FaultWard(Installation):
    """`with FaultWard(...) as ward:` brings it up; the devices are on."""

    def __init__(
        self,
        places: Places,
        folder: Path,
        *,
        database: Database | None = None,
        form: Form = USUAL,
        code: Mapping[str, Path] | None = None,
        progress: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.form, self.places, self._code = form, places, dict(code or {})
        self.clock = folder / "clock"  # by how many nanoseconds the agent's system clock is wrong
        self.hub_clock = folder / "hub-clock"  # the same of its roles
        self.network = Network()
        self.metrics_port = free_port()  # of the agent
        self._notes_at = {name: folder / f"{name}.measured" for name in (AMPLIFIER, *RESENDING)}
        self.notes = Notes({AMPLIFIER: self._notes_at[AMPLIFIER]}, {name: self._notes_at[name] for name in RESENDING})
        self.monitor = self._monitor()
        beds = [
            DemoBed("1", "One Demo", "male", date(1959, 3, 1), (self._amplifier(),)),
            DemoBed("2", "Two Demo", "female", date(1960, 3, 1), (self.monitor,)),
            DemoBed("3", "Three Demo", "male", date(1961, 3, 1), (self._posting(),)),
        ]
        super().__init__(places, folder, beds, database=database, progress=progress)
        self.processes = self.tended = Tended(folder / "logs", (*ROLES, "agent"))
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.enter_context(self.network)
            if self.form.edge_disk_mb:
                opened.enter_context(mounted(self.edge_state, self.form.edge_disk_mb, "700"))
            if self.form.hub_disk_mb:
                opened.enter_context(mounted(self.places.data, self.form.hub_disk_mb, "755"))
            super().__enter__()
            opened.callback(super().down)
            self.network.to(self.ports["uplink"])
            self.switch_on()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def env_of(self, *roles: str) -> dict[str, str]:
        days = self.form.certificate_s / _DAY_S
        return {
            **super().env_of(*roles),
            **({"HUB_CERTIFICATE_DAYS": str(days)} if days else {}),
            **self._python_path("hub"),
        }

    def start_agent(self) -> None:
        """With the proxy instead of the hub."""
        environment = plain_environment() | self._python_path("edge")
        environment["WARDLINK_EDGE_HUB"] = f"127.0.0.1:{self.network.port}"
        environment["WARDLINK_EDGE_METRICS__PORT"] = str(self.metrics_port)
        environment["WARDLINK_EDGE_SPOOL__MAX_MIB"] = str(self.form.spool_mb)
        words = command("edge", "run", "--config", str(self.ground.folder / "edge.toml"))
        if self.form.faked_clock:
            words[2:3] = ["tests.faults.stepped", str(_whole_clock(self.clock))]
        self.processes.start("agent", words, environment)

    def _until_agent_listens(self, seen: int) -> None:
        # What is published before the gateway has subscribed for the first time is for nobody.
        self._wait("agent", lambda text: text.count('"door-open"') > 1, seen, "the gateway's doors to open")

    def run(self, *arguments: str, env: Mapping[str, str]) -> str:
        return super().run(*arguments, env={**env, **(self._python_path("edge") if arguments[0] == "edge" else {})})

    def restart_hub(self, role: str) -> None:
        """Start a role that was killed, as its service manager would."""
        self.start_hub(role)
        if role == "ingest":
            self.network.to(self.ports["uplink"])

    @property
    def hub_state(self) -> Path:
        """The hub's folder."""
        return self._hub_state

    def begin_hub(self, role: str) -> None:
        """Start a role and do not wait until it is ready."""
        self.processes.start(role, self.hub_words(role), self.env_of(role))

    def hub_words(self, role: str) -> list[str]:
        """As always, or with a system clock that can be set."""
        words = super().hub_words(role)
        if self.form.faked_hub_clock:
            words[2:3] = ["tests.faults.stepped", str(_whole_clock(self.hub_clock))]
        return words

    @staticmethod
    def quiet(_line: str) -> None:
        """For what tells how far it is."""

    def start_broker(self) -> None:
        """Start the broker that was killed."""
        self.monitor.start_broker(self.ground, self.processes, plain_environment())

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        """The database as its superuser; waits until it answers."""
        until_s = time.monotonic() + NORMAL_WITHIN_S
        while True:
            try:
                return psycopg.connect(self.database.admin_url, autocommit=True, connect_timeout=5)
            except psycopg.OperationalError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(_LOOK_AGAIN_S)

    def ends(self) -> dict[str, int]:
        """By source path, how far the devices have measured."""
        return self.notes.read().ends()

    def until_flowing(self) -> None:
        """Wait until each device has measured something that is stored, and number the amplifier's samples as they are there."""
        until_s = time.monotonic() + NORMAL_WITHIN_S
        path = f"{AMPLIFIER}/ecg"
        with closing(self.connect()) as connection:
            while True:
                self.notes.read()
                first, rows = first_stored(connection, path, _ALIKE)
                if len(rows) == _ALIKE and self.notes.align(AMPLIFIER, first, rows) and len(self.ends()) > 1:
                    break
                self._tick(until_s, "the devices measure nothing that is stored")
        self.until_normal(self.ends())

    def until_normal(self, since: Mapping[str, int], for_good: frozenset[str] = frozenset()) -> float:
        """Wait until all that was measured between `since` and now is stored or told as a gap (`for_good`: as `uncovered`); seconds that it took."""
        began_s = time.monotonic()
        marks = {path: (since.get(path, 0), end) for path, end in self.ends().items()}
        while True:
            try:
                with closing(self.connect()) as connection:
                    while missing := uncovered(connection, marks, for_good):
                        stopped = held(connection, overrun=any(self.notes.all.untaken.values()))
                        if stopped and time.monotonic() - began_s > HELD_S:
                            msg = f"{'; '.join(stopped)}; of {marks} still missing: {missing}"
                            raise TimeoutError(msg)
                        self._tick(began_s + NORMAL_WITHIN_S, f"of {marks} still missing: {missing}")
                    return time.monotonic() - began_s
            except psycopg.OperationalError:
                self._tick(began_s + NORMAL_WITHIN_S, "the database does not answer")

    def compare(self, since: Mapping[str, int], until: Mapping[str, int], may_lose: frozenset[str]) -> Found:
        """What was measured between the two against the store; only the amplifier may have lost for reasons of `may_lose`."""
        measured = self.notes.read()
        marks = {path: (since.get(path, 0), end) for path, end in until.items()}
        allowed = dict.fromkeys(marks, may_lose)
        with closing(self.connect()) as connection:
            found = compare(connection, measured, marks, allowed)
            found.wrong += held(connection, overrun=any(measured.untaken.values()))
        return found

    def compare_readings(self) -> list[str]:
        """All readings until now against the store, once they had time to come; sentences on what is wrong."""
        until_ms = max((at_ms for _, _, at_ms, _ in self.notes.read().readings), default=0)
        measured = [reading for reading in self.notes.all.readings if reading[2] <= until_ms]
        until_s = time.monotonic() + READINGS_WITHIN_S
        while True:
            with closing(self.connect()) as connection:
                wrong = compare_readings(connection, measured, RESENDING, until_ms)
            if not wrong or time.monotonic() > until_s:
                return wrong
            time.sleep(_LOOK_AGAIN_S)

    @contextmanager
    def alarming(self) -> Generator[Before]:
        """Both monitors raise alarms and end them, a second each; yields when each has raised one, and ends when all have ended."""
        before = Before(time.time(), frozenset(self.notes.read().alarms))
        self._order_alarms(lambda: {alarm.device for alarm in self._given(before).values()} == set(RESENDING))
        try:
            yield before
        finally:
            self._order_alarms(lambda: all(alarm.ended_ns is not None for alarm in self._given(before).values()))

    def _given(self, before: Before) -> dict[bytes, Alarm]:
        return {number: alarm for number, alarm in self.notes.read().alarms.items() if number not in before.given}

    def _order_alarms(self, done: Callable[[], bool]) -> None:
        for name in RESENDING:
            self.processes.say(name, ALARMS)
        until_s = time.monotonic() + _ALARMS_WITHIN_S
        while not done():
            if time.monotonic() > until_s:
                msg = "the monitors do not raise or end alarms as they are told"
                raise TimeoutError(msg)
            time.sleep(_LOOK_AGAIN_S / 5)

    def compare_alarms(self, before: Before) -> tuple[list[str], list[Change]]:
        """The alarms that the monitors have given since then against the store, once they had time to come: sentences, and what is stored."""
        given = self._given(before)
        until_s = time.monotonic() + READINGS_WITHIN_S
        while True:
            with closing(self.connect()) as connection:
                stored = rows_of(connection, RESENDING, APNEA, before.since_s)
                wrong = compare_alarms(given, stored) + told_twice(connection, before.since_s)
            if not wrong or time.monotonic() > until_s:
                return wrong, changes_of(stored, RESENDING)
            time.sleep(_LOOK_AGAIN_S)

    def alarms_came_up(self) -> list[float]:
        """When the agent's connection for alarms was made, in seconds since 1970, by its log."""
        return came_up(self.processes.log("agent"))

    def until_the_page_answers(self) -> float:
        """Wait until the role web serves again; seconds that it took."""
        began_s = time.monotonic()
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.ports["web"], timeout=2)
                with closing(connection):
                    connection.request("GET", "/health")
                    if connection.getresponse().status == 200:
                        return time.monotonic() - began_s
            except OSError:
                pass
            self._tick(began_s + NORMAL_WITHIN_S, "the role web does not answer")

    def _tick(self, until_s: float, what: str) -> None:
        if time.monotonic() > until_s:
            raise TimeoutError(what)
        self.processes.check()
        time.sleep(_LOOK_AGAIN_S)

    def _python_path(self, side: str) -> dict[str, str]:
        return {"PYTHONPATH": str(self._code[side])} if side in self._code else {}

    def _amplifier(self) -> SerialRig:
        plain = amplifier(AMPLIFIER, [Recording(CAPTURES / "vfdb-419-vf", loop_pause_s=0.0)], {"1": "II", "2": "V1"})
        return replace(plain, extra=(*plain.extra, "--measured", str(self._notes_at[AMPLIFIER])))

    def _monitor(self) -> MqttRig:
        ecg = Recording(CAPTURES / "ecg12-A0005-pvc", loop_pause_s=0.0)
        more = ("--measured", str(self._notes_at[BROKERED]))
        return MqttRig(BROKERED, ecg, _NUMBERS, gateway=GATEWAY, more=more)

    def _posting(self) -> HttpsRig:
        signals = Recording(CAPTURES / "bidmc-11-desaturation", loop_pause_s=0.0)
        more = ("--measured", str(self._notes_at[POSTING]))
        return HttpsRig(POSTING, signals, _NUMBERS, signals=False, more=more)


def _whole_clock(file: Path) -> Path:
    """A file that says by how many nanoseconds a clock is wrong: by none, when nobody has set it yet."""
    if not file.exists():
        file.write_bytes(bytes(8))
    return file
