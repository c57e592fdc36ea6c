"""A release that a person gives the agent of this machine: into its inbox, and what became of it. Blocking; for the command."""

import os
import shutil
import time
from pathlib import Path
from uuid import uuid4

from edge.update.state import Answer, Folder
from edge.update.updater import ENDING, inbox

AWAITED = "The agent has not answered yet; it takes the release when it runs, and `wardlink edge status` says what became of it."
_LOOK_S = 0.2


def put(state_dir: Path, release: Path) -> str:
    """Put a release into the inbox; returns the wish's name. OSError. Root becomes the owner of the state, and stays that."""
    with release.open("rb") as file:
        _become_owner(state_dir)
        folder = Folder(state_dir)
        folder.make()
        place, request = inbox(folder), f"person-{uuid4().hex}"
        new = place / f"{request}.new"
        with new.open("xb") as copy:
            shutil.copyfileobj(file, copy)
    new.rename(place / f"{request}{ENDING}")
    return request


def wait(state_dir: Path, request: str, within_s: float) -> Answer | None:
    """Wait for what becomes of it; None when that is not known in time."""
    folder, until_s = Folder(state_dir), time.monotonic() + within_s
    while True:
        answer = folder.state().answer
        if answer is not None and answer.request == request:
            return answer
        if time.monotonic() >= until_s:
            return None
        time.sleep(_LOOK_S)


def told(state_dir: Path) -> list[str]:
    """What there is to say of updates, a line each; nothing on a gateway that never had one."""
    folder = Folder(state_dir)
    state, current = folder.state(), folder.current
    lines = [f"release {current} runs"] if current else []
    if state.trial is not None:
        lines.append(f"{state.trial.version} is being tried, start {state.trial.starts}")
    if (answer := state.answer) is not None:
        why = f": {answer.reason}" if answer.reason else ""
        lines.append(f"last update: {answer.version} {answer.outcome.replace('_', ' ')}{why}")
    return lines


def _become_owner(state_dir: Path) -> None:
    """For good. What the agent's user has put below its state, links too, is then reached with no more than that user's rights."""
    owner = state_dir.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
