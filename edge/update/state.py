"""What of updates is on disk: which release is current, which is being tried, what was last answered.

The agent of any version writes it and the launcher of the installed one reads it: names and meanings stay, new ones may be added. Standard library only.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from edge.durable import make_folder, replace_file, sync_folder

APPLIED, REFUSED, ROLLED_BACK = "applied", "refused", "rolled_back"


@dataclass(frozen=True, slots=True)
class Trial:
    """A release that has to show itself, for the wish `request`. `back`: the one before, "" for what is installed.

    `up`, `failing`: devices and tasks that were so before.
    """

    release: str
    digest: str
    version: str
    back: str
    within_s: float
    request: str
    starts: int = 0
    up: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a release, which `digest` names, and of the wish for it."""

    digest: str
    version: str
    outcome: str
    request: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """Both at once, replaced as one."""

    trial: Trial | None = None
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """An installed one. `wheels`: names of folders below `wheels`, the first goes before the others. `base`: the version installed by hand below it."""

    digest: str
    version: str
    wheels: tuple[str, ...]
    base: str


class Folder:
    """The folder `updates` of an agent's state. Blocking."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "updates"
        self.wheels, self.releases = self.path / "wheels", self.path / "releases"
        self._state, self._link = self.path / "state.json", self.path / "current"

    def make(self) -> None:
        """Make it. OSError."""
        for folder in (self.path, self.wheels, self.releases):
            make_folder(folder, mode=0o700)

    def state(self) -> State:
        """Read it; an empty one when it is not there or damaged."""
        said = _object(self._state)
        trial, answer = said.get("trial"), said.get("answer")
        try:
            return State(
                None if trial is None else _trial(cast("Mapping[str, object]", trial)),
                None if answer is None else Answer(**cast("dict[str, str]", answer)),
            )
        except (TypeError, KeyError, ValueError):
            return State()

    def keep(self, state: State) -> None:
        """Write it; durable when this returns. OSError."""
        replace_file(self._state, json.dumps(asdict(state)).encode(), mode=0o600)

    @property
    def current(self) -> str:
        """The release that is to run, "" for what is installed."""
        try:
            return self._link.readlink().name
        except OSError:
            return ""

    def turn_to(self, release: str) -> None:
        """Make one the current; durable when this returns. OSError."""
        if release == self.current:
            return
        if release:
            new = self._link.with_suffix(".new")
            new.unlink(missing_ok=True)
            new.symlink_to(Path("releases") / release)
            new.rename(self._link)
        else:
            self._link.unlink(missing_ok=True)
        sync_folder(self.path)

    def release(self, name: str) -> Release | None:
        """An installed one, None when it is not whole."""
        said = _object(self.releases / name / "release.json")
        try:
            wheels = tuple(str(one) for one in cast("list[str]", said["wheels"]))
            release = Release(str(said["digest"]), str(said["version"]), wheels, str(said["base"]))
        except (KeyError, TypeError):
            return None
        return release if all((self.wheels / one).is_dir() for one in release.wheels) else None

    def add(self, name: str, release: Release) -> None:
        """Write down an installed one whose wheels are all there. OSError."""
        make_folder(self.releases / name, mode=0o700)
        replace_file(self.releases / name / "release.json", json.dumps(asdict(release)).encode(), mode=0o600)

    def paths(self, release: Release) -> list[str]:
        """Where Python is to look for modules."""
        return [str(self.wheels / one) for one in release.wheels]


def roll_back(folder: Folder, state: State, reason: str) -> State:
    """Give a trial up: what was there before is current again. May be cut off and called again. OSError."""
    trial = state.trial
    if trial is None:
        return state
    folder.turn_to(trial.back)
    after = State(None, Answer(trial.digest, trial.version, ROLLED_BACK, trial.request, reason))
    folder.keep(after)
    return after


def _trial(said: Mapping[str, object]) -> Trial:
    release, digest, version, back, request = (
        str(said[name]) for name in ("release", "digest", "version", "back", "request")
    )
    up, failing = (tuple(str(one) for one in cast("list[str]", said[name])) for name in ("up", "failing"))
    within_s, starts = float(str(said["within_s"])), int(str(said["starts"]))
    return Trial(release, digest, version, back, within_s, request, starts, up, failing)


def _object(path: Path) -> dict[str, object]:
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return cast("dict[str, object]", said) if isinstance(said, dict) else {}
