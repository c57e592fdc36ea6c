"""`python -m tests.faults [--only NAME,...] [--kills N] [--minutes M] [--seed N]`: a line an injection, build/faults.json for machines.

With --minutes it plays the catalogue over and over until so much time has gone. The kills are in the first round, which is always played
to its end. What goes wrong is told and ends nothing; SIGTERM and Ctrl-C end the run with the summary of what was played. --table writes the table of the docs.
"""

import argparse
import math
import os
import random
import secrets
import signal
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.faults.catalogue import FAULTS
from tests.faults.entry import LOAD
from tests.faults.run import Course, plan, run
from tests.faults.table import commit, save, summary, write_page
from wardlink.processes import ENDING, end_by_signal

if TYPE_CHECKING:
    from tests.faults.entry import Result


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", default="", help="names of the catalogue, comma-separated")
    parser.add_argument("--phase", default="", help="only phases whose name has this in it")
    parser.add_argument("--kills", type=int, default=0, help="how often each process is killed")
    parser.add_argument("--minutes", type=float, default=0.0, help="play for so long")
    parser.add_argument(
        "--seed", type=int, default=None, help="of a run before [default: WARDLINK_SEED, else a new one]"
    )
    parser.add_argument("--load", action="store_true", help="load the hub meanwhile by two further gateways")
    parser.add_argument("--table", action="store_true", help="write docs/reference/faults.md")
    given = parser.parse_args(arguments)
    names = {name for name in given.only.split(",") if name}
    if unknown := names - {fault.name for fault in FAULTS}:
        parser.error(f"{', '.join(sorted(unknown))}: expected of {', '.join(fault.name for fault in FAULTS)}")
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    seed = int(os.environ.get("WARDLINK_SEED") or secrets.randbits(32)) if given.seed is None else given.seed
    chance = random.Random(seed)
    for number in ENDING:
        signal.signal(number, end_by_signal)  # a ward leaves no process behind
    print(f"commit {commit()}, seed {seed} (again: WARDLINK_SEED={seed})", flush=True)
    began_s = time.monotonic()
    until_s = began_s + given.minutes * 60

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began_s:7.1f} s  {line}", flush=True)

    results: list[Result] = []

    def keep(result: "Result") -> None:
        results.append(result)
        save(results, seed)

    course = Course(chance, tell, keep, load=given.load)
    ended = "to its end"
    try:
        while not results or time.monotonic() < until_s:
            turns = [turn for turn in plan(chosen, chance, 0 if results else given.kills) if given.phase in turn[1]]
            if not turns:
                parser.error(f"no phase of these faults has {given.phase!r} in its name")
            course.until_s = until_s if results else math.inf
            run(turns, course)
    except (KeyboardInterrupt, SystemExit) as end:
        ended = f"ended by {type(end).__name__}"
    print(f"\n{summary(results)}\n")
    wrong = [result for result in results if result.wrong]
    for result in wrong:
        print(f"WRONG: {result.fault}, {result.phase} (seed {result.seed}): {'; '.join(result.wrong)}")
    if (minutes := (time.monotonic() - began_s) / 60) < given.minutes:
        ended += f", before its {given.minutes:g} minutes"
    print(
        f"commit {commit()}, seed {seed}, {minutes:.0f} minutes, {ended}: {counted(results)}; {len(wrong)} wrong",
        flush=True,
    )
    if given.table:
        write_page(results)
    return int(bool(wrong) or not results or ended != "to its end")


def counted(results: "Sequence[Result]") -> str:
    """How many injections there were."""
    ran = [result for result in results if not result.not_run and result.fault not in {LOAD, "ward"}]
    kills = sum(result.fault.endswith("-kill") for result in ran)
    return f"{len(ran)} injections, {kills} of them kills, {sum(bool(result.not_run) for result in results)} not run"


if __name__ == "__main__":
    raise SystemExit(main())
