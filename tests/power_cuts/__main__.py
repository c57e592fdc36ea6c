"""Many workloads, each with its seed: `python -m tests.power_cuts --workloads 100 [--cuts 500] [--seed NUMBER] [--folder DIR]`.

Ends with 1 at the first loss and prints the file with which `--replay FILE --seed NUMBER` shows it again.
"""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.power_cuts.proof import LossError, prove, replay


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.power_cuts", description=__doc__)
    parser.add_argument("--workloads", type=int, default=10)
    parser.add_argument("--steps", type=int, default=120, help="of a workload")
    parser.add_argument("--cuts", type=int, default=1000, help="of a workload, beside every prefix")
    parser.add_argument("--seed", type=int, help="of the first workload; the next has the next")
    parser.add_argument("--folder", type=Path, help="where the replays are made; fast when in memory")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="the work of a loss")
    given = parser.parse_args()
    if given.replay is not None:
        print(replay(given.replay, given.seed or 0, cuts=given.cuts))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="power-cuts-", dir=given.folder))
    first = secrets.randbits(32) if given.seed is None else given.seed
    for seed in range(first, first + given.workloads):
        try:
            print(f"seed {seed}: {prove(folder, seed, steps=given.steps, cuts=given.cuts)}", flush=True)
        except LossError as error:
            print(f"seed {seed}: LOST, {error}; --replay {folder / f'work-{seed}.pickle'} --seed {seed}", flush=True)
            return 1
    folder.rmdir()
    return 0


if __name__ == "__main__":
    sys.exit(main())
