"""A power cut in the middle of any write loses nothing that a device was told is safe.

The long form: `python -m tests.power_cuts --workloads 100`.
"""

import random
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.power_cuts.proof import LossError, prove

pytestmark = pytest.mark.integration
CUTS = 500


@pytest.fixture
def folder(tmp_path: Path) -> Generator[Path]:
    """In memory where there is such a folder: what is opened there was cut off before, and need not be synced for it."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="power-cuts-", dir=memory) as name:
        yield Path(name)


def test_what_was_reported_durable_is_there_behind_every_prefix_and_500_cuts_of_the_spools_writes(
    folder: Path, seed: random.Random
):
    proof = prove(folder, seed.getrandbits(32), cuts=CUTS)
    print(proof)
    assert (proof.cuts, proof.prefixes) == (CUTS, proof.operations + 1)
    assert proof.durable > 30
    assert proof.lost_something > 20, "the cuts cut nothing off"


def test_a_spool_that_forgot_to_sync_is_found_out(folder: Path):
    with pytest.raises(LossError, match=r"was reported durable and is not there|would be given again"):
        prove(folder, 1, steps=10, cuts=50, deaf=True)
