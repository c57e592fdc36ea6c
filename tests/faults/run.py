"""Plays faults of the catalogue on wards, one injection after the other, and says of each what became of the samples."""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.faults.background import loaded
from tests.faults.entry import LOAD, Fault, Result
from tests.faults.possible import NotPossibleError
from tests.faults.versions import code_of, released
from tests.faults.ward import USUAL, FaultWard, Form
from tests.faults.whole import OVERRUN
from wardlink.demo.installation import DemoError
from wardlink.local.errors import StackError
from wardlink.local.places import default_places
from wardlink.processes import ProcessError

_MOST_OVERRUN = 1000  # samples: four seconds in which the agent did not read
Tell = Callable[[str], None]
_BROKEN = (TimeoutError, AssertionError, ProcessError, DemoError, StackError, OSError)


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
    try:
        fault.phases[phase](ward, random.Random(seed))
        normal_s = ward.until_normal(since)
        if fault.touches_page:
            normal_s = max(normal_s, ward.until_the_page_answers())
        until = ward.ends()
        ward.until_normal(since)
        found = ward.compare(since, until, fault.may_lose)
        sent, lost, wrong = found.sent, dict(found.lost), found.wrong + ward.compare_readings()
    except NotPossibleError as error:
        return Result(fault.name, phase, seed, 0.0, 0.0, 0, {}, not_run=str(error))
    except _BROKEN as error:
        wrong.append(f"{type(error).__name__}: {error}")
    if lost.get(OVERRUN, 0) > _MOST_OVERRUN and not fault.may_lose:
        return Result(
            fault.name, phase, seed, 0.0, 0.0, sent, lost,
            not_run=f"the machine was too busy: {lost[OVERRUN]} samples overran the amplifier's line",
        )  # fmt: skip
    took_s = time.monotonic() - began_s
    return Result(
        fault.name, phase, seed, round(took_s, 1), round(normal_s, 2), sent, lost, wrong, ward.tended.restarts.copy()
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
    words = f"{result.fault}, {result.phase}: normal after {result.normal_s:.1f} s, of {result.sent} samples lost {lost} (seed {result.seed})"
    if result.restarted:
        words += f"; started again: {', '.join(result.restarted)}"
    return "\n    WRONG: ".join([words, *result.wrong])


def run(turns: Sequence[tuple[Fault, str]], chance: random.Random, tell: Tell, *, load: bool = False) -> list[Result]:
    """Play all turns, those of one form of ward together; a ward in which something was wrong is not used again.

    `load`: two further gateways load the hub of the usual ward meanwhile.
    """
    results: list[Result] = []
    for form in dict.fromkeys(fault.form for fault, _ in turns):
        waiting = [turn for turn in turns if turn[0].form == form]
        while waiting:
            results += _on_one_ward(form, waiting, chance, tell, load=load and form == USUAL)
    return results


def _on_one_ward(
    form: Form, waiting: list[tuple[Fault, str]], chance: random.Random, tell: Tell, *, load: bool
) -> list[Result]:
    results: list[Result] = []
    background = None
    try:
        with ward_of(form) as ward, ExitStack() as opened:
            if load:
                background = opened.enter_context(loaded(ward, ward.ground.folder))
            while waiting:
                fault, phase = waiting.pop(0)
                results.append(play(ward, fault, phase, chance.getrandbits(32)))
                tell(told(results[-1]))
                if results[-1].wrong:
                    tell(_logs(ward))
                    break
    except NotPossibleError as error:
        results += [Result(fault.name, phase, 0, 0.0, 0.0, 0, {}, not_run=str(error)) for fault, phase in waiting]
        waiting.clear()
        tell(f"{form}: not run: {error}")
    except _BROKEN as error:  # the ward did not come up, or did not end
        results.append(Result("ward", "", 0, 0.0, 0.0, 0, {}, [f"{type(error).__name__}: {error}"]))
        tell(told(results[-1]))
        if not results[:-1] and waiting:
            waiting.pop(0)
    if background is not None:
        results.append(Result(LOAD, "", 0, 0.0, 0.0, 0, {}, background.wrong))
        tell(f"{LOAD}: {background.wrong or 'whole'}\n{background.said}")
    return results


def _logs(ward: FaultWard) -> str:
    lines: list[str] = []
    for name in ("agent", "ingest", "web"):
        log = ward.processes.log(name)
        if log.exists():
            lines += [f"    {name}: {line}" for line in log.read_text("utf-8", "replace").splitlines()[-6:]]
    return "\n".join(lines)
