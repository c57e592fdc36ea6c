"""`python -m tests.faults [--only NAME,...] [--kills N] [--minutes M] [--seed N]`: a line an injection, build/faults.json for machines.

With --minutes it plays over and over until then, and ends with the last that it began. --table writes the table of the docs.
"""

import argparse
import os
import random
import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.faults.catalogue import FAULTS
from tests.faults.run import plan, run
from tests.faults.table import commit, save, summary, write_page

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
    parser.add_argument("--table", action="store_true", help="write docs/reference/faults.md")
    given = parser.parse_args(arguments)
    names = {name for name in given.only.split(",") if name}
    if unknown := names - {fault.name for fault in FAULTS}:
        parser.error(f"{', '.join(sorted(unknown))}: expected of {', '.join(fault.name for fault in FAULTS)}")
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    seed = int(os.environ.get("WARDLINK_SEED") or secrets.randbits(32)) if given.seed is None else given.seed
    chance = random.Random(seed)
    print(f"commit {commit()}, seed {seed} (again: WARDLINK_SEED={seed})", flush=True)
    began_s = time.monotonic()
    until_s = began_s + given.minutes * 60 if given.minutes else float("inf")

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began_s:7.1f} s  {line}", flush=True)

    results: list[Result] = []
    while not results or (given.minutes and time.monotonic() < until_s):
        turns = [turn for turn in plan(chosen, chance, given.kills) if given.phase in turn[1]]
        results += run(turns, chance, tell, until_s)
        save(results, seed)
    print(summary(results), flush=True)
    if given.table:
        write_page(results)
    return int(any(result.wrong for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
