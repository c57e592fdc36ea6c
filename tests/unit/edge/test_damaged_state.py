"""Small files of the agent's state on a disk with a bad block: a link to the begin of a process's memory is one, to who reads it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from edge.clock import TimeLedger
from edge.clock.ledger import EARLIEST_NS
from edge.configuration.store import ConfigurationStore
from edge.device_commands import CommandLedger
from edge.local.terms import Terms
from edge.placement.store import PlacementStore


def time_kept(path: Path) -> bool:
    ledger = TimeLedger(path)
    assert ledger.last_known_ns == EARLIEST_NS
    ledger.keep(EARLIEST_NS + 5)
    ledger.save()
    return TimeLedger(path).last_known_ns == EARLIEST_NS + 5


@pytest.mark.parametrize(
    ("event", "begins_anew"),
    [
        ("time-ledger-damaged", time_kept),
        ("command-ledger-damaged", lambda path: CommandLedger(path).unfinished() == []),
        ("configuration-damaged", lambda path: ConfigurationStore(path).applied is None),
        ("placement-damaged", lambda path: not PlacementStore(path).current.beds),
        ("settings-damaged", lambda path: Terms(path, "hospital", "ward3").origin == ""),
    ],
)
def test_a_file_of_the_state_that_the_disk_cannot_read_is_told_kept_aside_and_begun_anew(
    tmp_path: Path, event: str, begins_anew: Callable[[Path], bool]
):
    path = tmp_path / "state"
    path.symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        path.read_bytes()
    with capture_logs() as logs:
        assert begins_anew(path)
    (told,) = [one for one in logs if one["event"] == event]
    assert os.strerror(errno.EIO) in told["error"]
    assert (tmp_path / "state.damaged").is_symlink(), "whoever mends the disk may look at it"
