"""`python -m firmware_adapters.simulate RECORD PORT`: play a WFDB record as a Cyton board on a pseudo-terminal."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from firmware_adapters.simulate.cyton import RATE_HZ, Board
from firmware_adapters.simulate.faults import Switches
from firmware_adapters.simulate.pty import FAULTS, PtyPlayer, play
from protocols.ecgfile.wfdb import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UV_PER_MV = 1000.0


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


def _programme(given: argparse.Namespace) -> tuple["NDArray[np.float64]", list[tuple[int, int]]]:
    """All records one behind the other, shape (leads, n) in microvolt, and where between them the board is out of range."""
    parts = [_microvolt(path, given.start_s if i == 0 else 0.0) for i, path in enumerate(given.record)]
    leads = max(part.shape[0] for part in parts)
    railed = np.full((leads, round(given.lead_in_s * RATE_HZ)), np.inf)
    pieces, away = [railed], list[tuple[int, int]]()
    n = railed.shape[1]
    for i, part in enumerate(parts):
        if i:
            away.append((n, n + round(given.between_s * RATE_HZ)))
            pieces.append(np.zeros((leads, away[-1][1] - n)))
            n = away[-1][1]
        pieces.append(np.pad(part, ((0, leads - part.shape[0]), (0, 0))))
        n += part.shape[1]
    return np.concatenate(pieces, axis=1), away


def main() -> int:
    """Play until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m firmware_adapters.simulate", description=__doc__)
    parser.add_argument(
        "record", type=Path, nargs="+", help="WFDB records, without extension, played one behind the other"
    )
    parser.add_argument("port", type=Path, help="where the link to the pseudo-terminal is put")
    parser.add_argument("--start-s", type=float, default=0.0, help="begin so many seconds into the first record")
    parser.add_argument("--lead-in-s", type=float, default=0.0, help="so many seconds without electrodes in front")
    parser.add_argument("--between-s", type=float, default=8.0, help="out of range for so long between records")
    parser.add_argument(
        "--loop-pause-s", type=float, default=None, help="begin again after a silence of so many seconds"
    )
    parser.add_argument("--wait-for", type=Path, default=None, help="hold the board silent until this file exists")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument(
        "--measured",
        type=Path,
        default=None,
        help="write every packet to the end of this file too, and behind it 1, or 0 when the line took less than all of it",
    )
    given = parser.parse_args()
    pause = None if given.loop_pause_s is None else round(given.loop_pause_s * RATE_HZ)
    microvolt, away = _programme(given)
    switches = Switches(FAULTS)
    with (given.measured or Path(os.devnull)).open("ab", buffering=0) as note:
        player = PtyPlayer(
            Board(microvolt, loop_pause_samples=pause, away=away),
            given.port,
            rate_hz=RATE_HZ,
            speed=given.speed,
            faults=switches,
            measured=lambda packet, written: note.write(packet + bytes([written])),
        )
        play(player, switches, given.wait_for)
    return 0


if __name__ == "__main__":
    sys.exit(main())
