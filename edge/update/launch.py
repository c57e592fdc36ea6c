"""Goes over from the installed agent to the current release, before anything else is imported; and gives up a release that does not live.

This is the part that no update replaces: whatever a release on trial does (does not import, falls, hangs, is killed), the next start comes
through here. It uses the standard library only, and of the settings reads `state_dir` alone, whose form is for newer versions to extend.
"""

import os
import signal
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from edge.alone import InUseError, alone
from edge.update.state import Folder, State, roll_back

MOST_STARTS = 3  # of a trial; the next one begins with what was there before
# To a trial's own time: its start, and its own way back. Then the kernel ends it (alarm(2) goes on through execve(2)).
_GRACE_S = 30
_RELEASE, _BASE, _PATH = "WARDLINK_RELEASE", "WARDLINK_BASE_VERSION", "WARDLINK_BASE_PYTHONPATH"


def release_running() -> str:
    """The release that this process is, "" for what is installed."""
    return os.environ.get(_RELEASE, "")


def installed_version() -> str:
    """The version that was installed by hand, below every release."""
    return os.environ.get(_BASE) or _version()


def go_over(config: Path) -> None:
    """Become the current release; return when that is this process already, or when what is installed is to run."""
    if release_running():
        return
    state_dir = _state_dir(config, os.environ)
    if state_dir is None or not (folder := Folder(state_dir)).path.is_dir():
        return
    try:
        with alone(state_dir):
            name, within_s = _chosen(folder)
    except (OSError, InUseError):
        return  # the agent itself says what is wrong
    release = folder.release(name) if name else None
    if release is None:
        return
    if within_s:
        signal.alarm(round(within_s) + _GRACE_S)
    before = os.environ.get("PYTHONPATH", "")
    paths = os.pathsep.join([*folder.paths(release), *([before] if before else [])])
    more = {_RELEASE: name, _BASE: _version(), _PATH: before, "PYTHONPATH": paths}
    _execute(config, os.environ | more)


def begin_again(config: Path) -> NoReturn:
    """Begin as this process began, with whatever is current now. Everything of the agent has ended."""
    environment = {name: value for name, value in os.environ.items() if name not in {_RELEASE, _BASE, _PATH}}
    if _PATH in os.environ:
        environment["PYTHONPATH"] = os.environ[_PATH]
    signal.alarm(0)
    _execute(config, environment)


def _chosen(folder: Folder) -> tuple[str, float]:
    """Which release is to run, and how long it may take to show itself (0: it has)."""
    state = folder.state()
    if state.trial is None:
        name = folder.current
        release = folder.release(name) if name else None
        if name and (release is None or release.base != _version()):
            folder.turn_to("")  # damaged, or somebody has installed another version by hand and means that
            return "", 0
        return name, 0
    if state.trial.starts >= MOST_STARTS:
        roll_back(folder, state, f"it was started {MOST_STARTS} times and did not come up to be judged")
        return _chosen(folder)
    if folder.release(state.trial.release) is None:
        roll_back(folder, state, "its files are not whole any more")
        return _chosen(folder)
    trial = replace(state.trial, starts=state.trial.starts + 1)
    folder.keep(State(trial, state.answer))
    folder.turn_to(trial.release)
    return trial.release, trial.within_s


def _state_dir(config: Path, environment: Mapping[str, str]) -> Path | None:
    """Where the agent keeps its state; None when that cannot be read, which the agent will say better."""
    try:
        said = (
            environment.get("WARDLINK_EDGE_STATE_DIR") or tomllib.loads(config.read_text(encoding="utf-8"))["state_dir"]
        )
    except (OSError, ValueError, KeyError):
        return None
    return config.parent / said if isinstance(said, str) else None


def _version() -> str:
    try:
        return version("wardlink")
    except PackageNotFoundError:
        return "0"


def _execute(config: Path, environment: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: modules of the folder in which it was started are none of the agent's.
    arguments = [sys.executable, "-P", "-m", "wardlink", "edge", "run", "--config", str(config)]
    os.execve(sys.executable, arguments, dict(environment))
