"""An ECG cart as the watched folder sees it: an aECG file at the start, and another one after each pause.

`python -m firmware_adapters.simulate.cart FOLDER --record RECORD ...`; what goes wrong (`faults`) is in the files that it leaves
meanwhile. Leaves the file's words to `firmware_adapters.simulate.aecg`.
"""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

from firmware_adapters.simulate.aecg import deliver, file_of, recording_of
from firmware_adapters.simulate.faults import Switches

FAULTS = ("pull-lead", "garbage", "wrong-clock")
_UNSET_CLOCK = datetime(2099, 1, 1, tzinfo=UTC)
_LOOK_AGAIN_S = 0.2


def recorded(path: Path, at: datetime, switches: Switches) -> bytes:
    """The file of an ECG that ends at `at`. A lead that is off is flat; a cut file has only its first third."""
    recording = recording_of(path, _UNSET_CLOCK if switches.holds("wrong-clock") else at)
    if switches.holds("pull-lead"):
        recording.microvolt[0] = 0
    content = file_of(recording)
    return content[: len(content) // 3] if switches.holds("garbage") else content


def leave_files(leave: Callable[[], None], switches: Switches, stopped: threading.Event, every_s: float) -> None:
    """`leave` a file at the start, behind each pause, and at once when a fault was switched on, until `stopped`."""
    while not stopped.is_set():
        switches.changed.clear()  # first: a fault that comes while a file is written is in the next one
        leave()
        due_s = time.monotonic() + every_s
        while time.monotonic() < due_s and not stopped.is_set() and not switches.changed.wait(_LOOK_AGAIN_S):
            pass


def main() -> int:
    """Leave files until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m firmware_adapters.simulate.cart", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the files are left")
    parser.add_argument("--record", type=Path, nargs="+", required=True, help="WFDB records, without extension")
    parser.add_argument("--file", type=Path, nargs="*", default=[], help="aECG files that are left first, as they are")
    parser.add_argument("--every-s", type=float, default=180.0, help="pause behind a file")
    parser.add_argument("--speed", type=float, default=1.0, help="so many times as often")
    parser.add_argument("--wait-for", type=Path, default=None, help="leave nothing until this file exists")
    given = parser.parse_args()
    switches, stopped = Switches(FAULTS), threading.Event()

    def stop(_signal: int, _frame: object) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    switches.listen()
    while given.wait_for is not None and not given.wait_for.exists() and not stopped.wait(_LOOK_AGAIN_S):
        pass
    if not stopped.is_set():
        for path in given.file:
            deliver(path.read_bytes(), given.folder, path.name)
    records = cycle(given.record)

    def leave() -> None:
        path, at = next(records), datetime.now(UTC)
        deliver(recorded(path, at, switches), given.folder, f"{path.name}-{at:%Y%m%dT%H%M%S%f}.xml")

    leave_files(leave, switches, stopped, given.every_s / given.speed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
