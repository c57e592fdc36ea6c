"""What a spool's directory says before a key is there: its epoch, the keys that its segments need, where sealing began.

Nothing here is written but the epoch of a new spool and the mark `sealed-from` of one that was begun before there was a key.
"""

import errno
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from edge.durable import replace_file
from edge.spool.frame import EPOCH_BYTES, first_of
from edge.spool.keys import KeyRing
from edge.spool.log import read_what_can_be, segment_files

MARK = "sealed-from"
_LOOK_BYTES = 64 << 10


@dataclass(slots=True)
class Survey:
    """`needed`: key to the segments that it sealed (as waveform/00000001.seg); `plain`: those that are not sealed, by log."""

    epoch: bytes | None = None
    needed: dict[bytes, list[str]] = field(default_factory=dict[bytes, list[str]])
    plain: dict[int, list[int]] = field(default_factory=dict[int, list[int]])


def survey(directory: Path, logs: Mapping[int, str]) -> Survey:
    """Look into each segment, as far as its first good frame. Needs no key and changes nothing."""
    found = Survey()
    for log, name in logs.items():
        for number, path in segment_files(directory / name).items():
            first = _first_of(path)
            if first is None:
                continue
            epoch, key = first
            found.epoch = found.epoch or epoch
            if key:
                found.needed.setdefault(key, []).append(f"{name}/{path.name}")
            else:
                found.plain.setdefault(log, []).append(number)
    return found


def spool_epoch(directory: Path, found: Survey) -> bytes:
    """The epoch of this spool; a new one, durable before anything is numbered by it, when the spool is new."""
    path = directory / "epoch"
    try:
        epoch = bytes.fromhex(path.read_text("ascii").strip())
    except (FileNotFoundError, ValueError):
        epoch = b""
    if len(epoch) == EPOCH_BYTES:
        return epoch
    epoch = found.epoch or secrets.token_bytes(EPOCH_BYTES)
    replace_file(path, epoch.hex().encode() + b"\n")
    return epoch


def plain_until(directory: Path, epoch: bytes, logs: Mapping[int, str], found: Survey, ring: KeyRing) -> dict[int, int]:
    """The last segment of each log that may hold frames which are not sealed (0: none may).

    Written down, authenticated, before the first frame is sealed: whoever can write to the disk cannot add frames of version 1 later.
    """
    path = directory / MARK
    marked = _marked(path, epoch, ring)
    if marked is None and not found.plain:
        return dict.fromkeys(logs, 0)
    if marked is None:
        begun = bool(found.needed) or path.exists()
        marked = {log: 0 if begun else max(found.plain.get(log, [0])) for log in logs}
    text = json.dumps({str(log): until for log, until in marked.items()}, sort_keys=True)
    code = ring.current.mark(epoch + text.encode()).hex()
    if not path.exists() or path.read_text("ascii", "replace") != f"{text}\n{code}\n":
        replace_file(path, f"{text}\n{code}\n".encode())
    return {log: marked.get(log, 0) for log in logs}


def _marked(path: Path, epoch: bytes, ring: KeyRing) -> dict[int, int] | None:
    """What the mark says; None when there is none that one of these keys made."""
    try:
        text, code = path.read_text("ascii").splitlines()
    except (FileNotFoundError, ValueError):
        return None
    made = (key.mark(epoch + text.encode()).hex() for key in ring.keys.values())
    if not any(hmac.compare_digest(code, one) for one in made):
        return None
    return {int(log): until for log, until in cast("dict[str, int]", json.loads(text)).items()}


def _first_of(path: Path) -> tuple[bytes, bytes] | None:
    try:
        with path.open("rb") as file:
            first = first_of(file.read(_LOOK_BYTES))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        first = None
    return first or first_of(read_what_can_be(path))
