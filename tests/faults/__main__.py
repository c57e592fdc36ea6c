"""`python -m tests.faults [--only NAME,...] [--kills N] [--minutes M] [--seed N]`: a line an injection, build/faults.json for machines.

With --minutes it plays the catalogue over and over until so much time has gone, and ends with the round that it began; the kills are
in the first round. --table writes the table of the docs.
"""

import argparse
import os
import random
import secrets
import signal
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.faults.catalogue import FAULTS
from tests.faults.run import plan, run
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
    while not results or time.monotonic() < until_s:
        turns = [turn for turn in plan(chosen, chance, 0 if results else given.kills) if given.phase in turn[1]]
        results += run(turns, chance, tell, load=given.load)
        save(results, seed)
    wrong = sum(bool(result.wrong) for result in results)
    kills = sum(result.fault.endswith("-kill") for result in results)
    print(f"\n{summary(results)}\n")
    print(f"commit {commit()}, seed {seed}, {(time.monotonic() - began_s) / 60:.0f} minutes: {len(results)} injections, {kills} of them kills; {wrong} wrong", flush=True)  # fmt: skip
    if given.table:
        write_page(results)
    return int(any(result.wrong for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
