"""`python -m firmware_adapters.simulate RECORD PORT`: play a WFDB record as a Cyton board on a pseudo-terminal."""

import argparse
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from firmware_adapters.simulate.cyton import RATE_HZ, Board
from firmware_adapters.simulate.pty import PtyPlayer
from protocols.ecgfile.wfdb import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UV_PER_MV = 1000.0
_LOOK_AGAIN_S = 0.05


def _microvolt(path: Path, start_s: float) -> "NDArray[np.float64]":
    """Up to eight leads of a record at 250 Hz in microvolt, shape (leads, n)."""
    record = read_record(path)
    physical = record.physical()[:8] * _UV_PER_MV
    if record.fs_hz != RATE_HZ:
        physical = _resampled(physical, record.fs_hz)
    return physical[:, round(start_s * RATE_HZ) :]


def _resampled(physical: "NDArray[np.float64]", fs_hz: float) -> "NDArray[np.float64]":
    n = physical.shape[1]
    sampled_s = np.arange(n, dtype=np.float64) / fs_hz
    at_s = np.arange(int(n / fs_hz * RATE_HZ), dtype=np.float64) / RATE_HZ
    resampled = np.empty((physical.shape[0], len(at_s)))
    for row, lead in enumerate(physical):
        resampled[row] = np.interp(at_s, sampled_s, lead)
    return resampled


def main() -> int:
    """Play until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m firmware_adapters.simulate", description=__doc__)
    parser.add_argument("record", type=Path, help="WFDB record, without its extension")
    parser.add_argument("port", type=Path, help="where the link to the pseudo-terminal is put")
    parser.add_argument("--start-s", type=float, default=0.0, help="begin so many seconds into the record")
    parser.add_argument(
        "--loop-pause-s", type=float, default=None, help="begin again after a silence of so many seconds"
    )
    parser.add_argument("--wait-for", type=Path, default=None, help="hold the board silent until this file exists")
    given = parser.parse_args()
    pause = None if given.loop_pause_s is None else round(given.loop_pause_s * RATE_HZ)
    player = PtyPlayer(
        Board(_microvolt(given.record, given.start_s), loop_pause_samples=pause), given.port, rate_hz=RATE_HZ
    )

    stopped = threading.Event()

    def stop(_signal: int, _frame: object) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while given.wait_for is not None and not given.wait_for.exists() and not stopped.wait(_LOOK_AGAIN_S):
        pass
    player.run(lambda: not stopped.is_set())
    player.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
