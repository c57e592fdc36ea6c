"""Plays faults of the catalogue on wards, one injection after the other, and says of each what became of the samples."""

import math
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from protocols.nomenclature import AGENT_RESTART
from tests.faults.alarms import Change, delay_s
from tests.faults.background import loaded
from tests.faults.entry import LOAD, MEDIUM, RECONNECTS_S, Asked, Fault, From, Result
from tests.faults.possible import Caught, NotPossibleError, within
from tests.faults.versions import code_of, released
from tests.faults.ward import USUAL, FaultWard, Form
from tests.faults.whole import OVERRUN
from wardlink.local.places import default_places

_MOST_OVERRUN = 1000  # samples: four seconds in which the agent did not read
Tell = Callable[[str], None]
_LONGEST_S = 600.0  # of an injection with all that is waited for behind it
_COMES_UP_S = 300.0
_WARDS_GIVEN_UP = (
    3  # of one form, one behind the other, that did not come up or did not end: the rest of its turns is not run
)


@contextmanager
def ward_of(form: Form) -> Generator[FaultWard]:
    """A ward with a database server of its own, in a folder that goes at the end; data flow when it is yielded."""
    folder = Path(tempfile.mkdtemp(prefix="wl-"))  # short: sockets have short paths; open: the server is another user
    folder.chmod(0o755)
    places = replace(default_places(os.environ, None), data=folder / "data", database_url=None)
    try:
        with ExitStack() as opened:
            old: dict[str, Path] = {}
            for side, wanted in (("hub", form.old_hub), ("edge", form.old_edge)):
                if wanted:
                    old[side] = opened.enter_context(code_of(released(), folder / f"{side}-code"))
            ward = opened.enter_context(FaultWard(places, folder / "ward", form=form, code=old))
            with within(_COMES_UP_S, "the first data of a ward"):
                ward.until_flowing()
            yield ward
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def play(ward: FaultWard, fault: Fault, phase: str, seed: int) -> Result:
    """Inject once, wait until all is as it was, and compare by hash what was measured meanwhile."""
    began_s = time.monotonic()
    since = ward.ends()
    ward.tended.restarts.clear()
    normal_s, wrong, sent, lost = 0.0, list[str](), 0, dict[str, int]()
    alarms, alarm_s = 0, 0.0
    with Caught() as caught, within(_LONGEST_S, f"{fault.name}, {phase}"):
        with ward.alarming() as before:
            injected_s = time.time()
            fault.phases[phase](ward, random.Random(seed))
            ended_s = time.time()
        # What a device was told is safe and the medium destroyed does not come again, also where the gateway hopes for it.
        for_good = frozenset({AGENT_RESTART}) if fault.may_lose >= MEDIUM else frozenset[str]()
        normal_s = ward.until_normal(since, for_good)
        if fault.touches_page:
            normal_s = max(normal_s, ward.until_the_page_answers())
        until = ward.ends()
        ward.until_normal(since, for_good)
        found = ward.compare(since, until, fault.may_lose)
        sent, lost, wrong = found.sent, dict(found.lost), found.wrong + ward.compare_readings()
        unlike, changes = ward.compare_alarms(before)
        wrong += unlike
        alarms = len(changes) // 2
        alarm_s, late = lateness(fault.alarms, changes, (injected_s, ended_s), ward.alarms_came_up())
        wrong += late
    if isinstance(caught.error, NotPossibleError):
        return Result(fault.name, phase, seed, 0.0, 0.0, 0, {}, not_run=str(caught.error))
    if caught.error is not None:
        wrong.append(caught.told)
    if lost.get(OVERRUN, 0) > _MOST_OVERRUN and not fault.may_lose:
        return Result(
            fault.name, phase, seed, 0.0, 0.0, sent, lost,
            not_run=f"the machine was too busy: {lost[OVERRUN]} samples overran the amplifier's line",
        )  # fmt: skip
    took_s = time.monotonic() - began_s
    return Result(
        fault.name,
        phase,
        seed,
        round(took_s, 1),
        round(normal_s, 2),
        sent,
        lost,
        wrong,
        ward.tended.restarts.copy(),
        alarms=alarms,
        alarm_s=round(alarm_s, 2),
    )


def lateness(
    asked: Asked, changes: Sequence[Change], lasted: tuple[float, float], came_up: Sequence[float]
) -> tuple[float, list[str]]:
    """The longest that a change of an alarm of `asked.of` waited, and sentences on those that waited too long.

    `lasted`: when the fault began and ended; `came_up`: when the connection for alarms was made; all in seconds since 1970.
    """
    began_s, ended_s = lasted
    way_s = {From.MOMENT: 0.0, From.CONNECTION: began_s, From.END: ended_s}[asked.since]
    back = [at_s for at_s in came_up if at_s <= way_s + RECONNECTS_S]
    back += [ended_s] if asked.since is From.END else []
    waited = [delay_s(change, back) for change in changes if change.device in asked.of]
    longest = max(waited, default=0.0)
    late = [delay for delay in waited if delay > asked.within_s]
    return longest, (
        [
            f"{len(late)} of {len(waited)} beginnings and ends of alarms came later than {asked.within_s:g} s, one {longest:.2f} s behind the later of its moment and: {asked.since.value}"
        ]
        if late
        else []
    )


def plan(faults: Sequence[Fault], chance: random.Random, kills: int) -> list[tuple[Fault, str]]:
    """Each phase of each fault at least once, each kill `kills` times over its phases, in a random order."""
    turns: list[tuple[Fault, str]] = []
    for fault in faults:
        times = max(len(fault.phases), kills) if fault.name.endswith("-kill") else len(fault.phases)
        names = list(fault.phases)
        turns += [(fault, names[i % len(names)]) for i in range(times)]
    chance.shuffle(turns)
    return turns


def told(result: Result) -> str:
    """One line."""
    if result.not_run:
        return f"{result.fault}, {result.phase}: not run: {result.not_run}"
    lost = ", ".join(f"{n} {reason}" for reason, n in sorted(result.lost.items())) or "nothing"
    words = f"{result.fault}, {result.phase}: normal after {result.normal_s:.1f} s, of {result.sent} samples lost {lost}, of {result.alarms} alarms the latest after {result.alarm_s:.2f} s (seed {result.seed})"
    if result.restarted:
        words += f"; started again: {', '.join(result.restarted)}"
    return "\n    WRONG: ".join([words, *result.wrong])


@dataclass
class Course:
    """How a run goes: `tell` gets a line, `keep` each result at once, and behind `until_s` (monotonic) nothing new begins."""

    chance: random.Random
    tell: Tell
    keep: Callable[[Result], None] = lambda _: None
    load: bool = False  # two further gateways load the hub of the usual ward meanwhile
    until_s: float = math.inf

    def took(self, result: Result) -> Result:
        """Keep a result and tell it."""
        self.keep(result)
        self.tell(told(result))
        return result


def run(turns: Sequence[tuple[Fault, str]], course: Course) -> None:
    """Play all turns, those of one form of ward together; a ward in which something was wrong is not used again."""
    for form in dict.fromkeys(fault.form for fault, _ in turns):
        waiting = [turn for turn in turns if turn[0].form == form]
        broken = 0
        while waiting and time.monotonic() < course.until_s:
            broken = 0 if _on_one_ward(form, waiting, course) else broken + 1
            if broken == _WARDS_GIVEN_UP:
                _none_of(waiting, f"{broken} wards of this form did not come up or did not end", course)


def _on_one_ward(form: Form, waiting: list[tuple[Fault, str]], course: Course) -> bool:
    """Whether the ward came up, played what it could and ended."""
    background = None
    before = len(waiting)
    with Caught() as caught, ward_of(form) as ward, ExitStack() as opened:
        if course.load and form == USUAL:
            background = opened.enter_context(loaded(ward, ward.ground.folder))
        while waiting and time.monotonic() < course.until_s:
            fault, phase = waiting.pop(0)
            result = course.took(play(ward, fault, phase, course.chance.getrandbits(32)))
            if result.wrong:
                course.tell(_logs(ward))
                break
    if background is not None:
        course.took(Result(LOAD, "", 0, 0.0, 0.0, 0, {}, background.wrong))
        course.tell(background.said)
    if isinstance(caught.error, NotPossibleError):
        _none_of(waiting, str(caught.error), course)
    elif caught.error is not None:  # the ward did not come up, or did not end
        course.took(Result("ward", "", 0, 0.0, 0.0, 0, {}, [caught.told]))
        if len(waiting) == before:
            waiting.pop(0)
        return False
    return True


def _none_of(waiting: list[tuple[Fault, str]], why: str, course: Course) -> None:
    """What waits is not run."""
    for fault, phase in waiting:
        course.took(Result(fault.name, phase, 0, 0.0, 0.0, 0, {}, not_run=why))
    waiting.clear()


def _logs(ward: FaultWard) -> str:
    lines: list[str] = []
    for name in ("agent", "ingest", "web"):
        log = ward.processes.log(name)
        if log.exists():
            lines += [f"    {name}: {line}" for line in log.read_text("utf-8", "replace").splitlines()[-6:]]
    return "\n".join(lines)
