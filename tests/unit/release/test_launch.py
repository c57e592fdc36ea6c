"""Whatever ends the process that tries a release or installs it, the next start runs a whole one: with real processes, killed."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from edge.update.install import FileSource, Installer, fetch_head
from edge.update.launch import MOST_STARTS
from edge.update.state import Folder, Release, State, Trial
from tests.fixtures.long_form import kills
from tests.fixtures.releases import Releases, small_wheel, wheel_of

# What the process says of itself: which release it is, how long the kernel still lets it live, and what it was called with.
TELLS = "import os, signal, sys; print(os.environ['WARDLINK_RELEASE'], signal.alarm(0), sys.argv[1:3], flush=True)\n"
FALLS = f"{TELLS}os.kill(os.getpid(), signal.SIGKILL)\n"
BEGIN = "import sys; from pathlib import Path; from edge.update.launch import go_over; go_over(Path(sys.argv[1])); print('installed')"
INSTALL = """
import asyncio, sys
from pathlib import Path
from edge.update.install import FileSource, Installer, fetch_head
from edge.update.state import Folder

async def install(state, release):
    source = FileSource(Path(release))
    head = await fetch_head(source)
    print("begins", flush=True)
    await Installer(Folder(Path(state)), lambda: 0, "0.1.0").install(head, source, "small")

asyncio.run(install(*sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "state").mkdir()
    (tmp_path / "edge.toml").write_text('state_dir = "state"\nunknown_to_this_version = 1\n')
    made = Folder(tmp_path / "state")
    made.make()
    return made


def put(folder: Folder, name: str, main: str) -> str:
    """A release that is installed: one folder with a program."""
    package = folder.wheels / name / "wardlink"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(main)
    folder.add(name, Release(name, "0.2.0", (name,), version("wardlink")))
    return name


def trial(name: str, back: str = "", starts: int = 0) -> State:
    return State(Trial(name, "d" * 64, "0.2.0", back, 40, "person-1", starts))


def begin(folder: Folder) -> str:
    """Start the agent as systemd does; what it says."""
    config = folder.path.parent.parent / "edge.toml"
    ran = subprocess.run([sys.executable, "-c", BEGIN, str(config)], capture_output=True, text=True, check=False)
    assert not ran.stderr, ran.stderr
    return ran.stdout.strip()


def test_a_release_that_is_killed_at_each_start_is_given_up_and_what_was_before_runs(folder: Folder):
    before, bad = put(folder, "before", TELLS), put(folder, "bad", FALLS)
    folder.turn_to(before)
    folder.keep(trial(bad, before))
    for start in range(1, MOST_STARTS + 1):
        name, left_s, *words = begin(folder).split()
        assert (name, words) == ("bad", ["['edge',", "'run']"])
        assert 40 < int(left_s) <= 70, "a trial that hangs is ended by the kernel"
        state = folder.state()
        assert state.trial is not None
        assert state.trial.starts == start
    assert begin(folder).startswith("before 0 "), "what was there before runs again, for as long as it likes"
    answer = folder.state().answer
    assert answer is not None
    assert (answer.outcome, answer.request) == ("rolled_back", "person-1")
    assert begin(folder).startswith("before 0 ")


def test_a_kill_between_any_two_steps_of_going_over_or_back_ends_in_one_or_the_other(folder: Folder):
    before, new = put(folder, "before", TELLS), put(folder, "new", TELLS)
    for current in (before, new):  # the trial is on disk, the link is not or is turned already
        folder.turn_to(current)
        folder.keep(trial(new, before))
        assert begin(folder).startswith("new ")
    folder.turn_to(before)  # a way back that was cut off behind its first step
    folder.keep(trial(new, before, MOST_STARTS))
    assert begin(folder).startswith("before 0 ")
    (folder.path / "state.json").write_bytes(b"{")  # no disk of ours does that; still something runs
    assert begin(folder).startswith("before 0 ")


def test_a_release_that_is_not_whole_and_one_before_another_installation_by_hand_are_not_run(folder: Folder):
    first = put(folder, "first", TELLS)
    folder.turn_to(first)
    release = folder.release(first)
    assert release is not None
    folder.add(first, replace(release, base="0.0.9"))
    assert begin(folder) == "installed", "somebody has installed another version since, and means that"
    assert folder.current == ""
    folder.add(first, replace(release, wheels=("first", "gone")))
    folder.keep(trial(first))
    assert begin(folder) == "installed"
    answer = folder.state().answer
    assert answer is not None
    assert "not whole" in answer.reason


def test_an_installation_that_is_killed_again_and_again_goes_on_and_ends_whole(
    folder: Folder, releases: Releases, seed: random.Random
):
    content = {f"part_{i}.py": b"x = 1\n" * 50 for i in range(200)}
    wheels = [
        small_wheel(releases.folder, "0.2.0", TELLS),
        wheel_of(releases.folder, "parts", "1.0", content),
    ]
    path = releases.of(wheels, "parts")
    for _ in range(kills(1, 10)):
        words = [sys.executable, "-c", INSTALL, str(folder.path.parent), str(path)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begins\n"
            time.sleep(seed.uniform(0, 1.5))
            os.killpg(process.pid, signal.SIGKILL)
        assert begin(folder) == "installed"
        assert folder.release("small") is None or process.returncode == 0

    async def install() -> None:
        source = FileSource(path)
        head = await fetch_head(source)
        await Installer(folder, lambda: 0, version("wardlink")).install(head, source, "small")

    asyncio.run(install())
    folder.keep(trial("small"))
    assert begin(folder).startswith("small ")
    [parts] = [one for one in folder.wheels.iterdir() if (one / "part_0.py").exists()]
    assert {one.name: one.read_bytes() for one in parts.glob("*.py")} == content
    assert not list(folder.path.glob("fetched/*"))
    assert json.loads((folder.releases / "small" / "release.json").read_text())["version"] == "0.2.0"
