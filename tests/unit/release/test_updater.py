"""What the agent does with releases that it is given: by a person beside it, or by a hub that changes its mind, on a disk that fails."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.durable import make_folder
from edge.spool.frame import READS
from edge.trial import Life, Turn
from edge.update.checks import Here
from edge.update.install import FileSource, Installer, interpreter, machine
from edge.update.offers import Offers
from edge.update.state import Answer, Folder, State, Trial, roll_back
from edge.update.updater import Offer, Updater, inbox
from protocols.link import VERSION, UpdateChunkReceived, UpdateOffered
from protocols.release import ReleaseError
from protocols.uplink_pb2 import GatewayMessage
from tests.fixtures.releases import Releases, small_wheel
from tests.fixtures.waiting import longest_turn_s, until
from wardlink.release.building import head_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STRANGER = 54321  # a user and a group of nobody here
PUT = """
import os, sys
from pathlib import Path
from edge.update.person import put

os.chdir(sys.argv[1])  # the folders of tests are root's alone
put(Path("state"), Path("given.release"))
"""


def put_as_now(place: Path) -> str:
    """Put a release of this user's into the state, in a process of its own; what it says when it fails."""
    (place / "given.release").write_bytes(b"any bytes")
    (place / "given.release").chmod(0o600)
    return subprocess.run([sys.executable, "-c", PUT, str(place)], capture_output=True, text=True, check=False).stderr


def test_a_release_from_root_is_put_with_the_rights_of_the_states_owner_who_cannot_lead_root_elsewhere(tmp_path: Path):
    """As another user than root the first half only: there is nobody to lead then."""
    tmp_path.chmod(0o711)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    owner = STRANGER if os.geteuid() == 0 else os.geteuid()
    os.chown(state, owner, STRANGER if owner == STRANGER else -1)
    assert put_as_now(tmp_path) == ""
    folder = Folder(state)
    [put] = (folder.path / "inbox").glob("person-*.release")
    assert put.read_bytes() == b"any bytes"
    assert {one.stat().st_uid for one in (folder.path, folder.wheels, folder.releases, put.parent, put)} == {owner}
    if owner == STRANGER:
        of_root = tmp_path / "of-root"
        of_root.mkdir(mode=0o755)
        folder.path.rename(state / "moved")
        folder.path.symlink_to(of_root)
        assert "PermissionError" in put_as_now(tmp_path)
        assert list(of_root.iterdir()) == []
        assert of_root.stat().st_uid == 0


LIFE = Life(devices=dict, is_greeted=lambda: True, failing=dict)  # of a gateway without devices


class Hub:
    """The hub's end of the link: rollouts by number, of which it gives what it is asked for while they are open."""

    def __init__(self, offers: Offers) -> None:
        self._offers = offers
        self._contents: dict[int, bytes] = {}
        self.closed: set[int] = set()
        self.asked: list[tuple[int, int, int]] = []
        self.answers: list[tuple[int, str]] = []
        self.before: Callable[[int, int], None] = lambda rollout, offset: None

    def offer(self, rollout: int, release: Path) -> None:
        self._contents[rollout] = release.read_bytes()
        self._offers.received(UpdateOffered(rollout, head_of(release).digest, "0.2.0"))

    def said(self, message: GatewayMessage) -> None:
        if message.HasField("update_answer"):
            self.answers.append((message.update_answer.rollout, message.update_answer.reason))
            return
        asked = message.update_request
        self.asked.append((asked.rollout, asked.offset, asked.length))
        asyncio.get_running_loop().call_soon(self._give, *self.asked[-1])

    def _give(self, rollout: int, offset: int, length: int) -> None:
        self.before(rollout, offset)
        data = b"" if rollout in self.closed else self._contents[rollout][offset : offset + length]
        self._offers.received(UpdateChunkReceived(rollout, offset, data))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "state")
    made.make()
    return made


def updater_of(folder: Folder, releases: Releases) -> Updater:
    here = Here("0.1.0", interpreter(), machine(), READS, VERSION)
    installer = Installer(folder, lambda: 0, version("wardlink"))
    return Updater(folder, installer, here, releases.keys, 40, Turn())


def tried(folder: Folder) -> Trial:
    trial = folder.state().trial
    assert trial is not None
    return trial


async def test_a_second_offer_in_the_middle_of_a_download_ends_the_first_and_is_the_one_that_is_tried(
    folder: Folder, releases: Releases
):
    first = releases.of([small_wheel(releases.folder / "first", "0.2.0", "x = 1")], "first")
    second = releases.of([small_wheel(releases.folder / "second", "0.3.0", "x = 2")], "second")
    offers = Offers(updater_of(folder, releases))
    hub = Hub(offers)

    def change_mind(rollout: int, offset: int) -> None:
        if rollout == 1 and offset:
            hub.offer(2, second)

    hub.before = change_mind
    async with asyncio.timeout(60):
        running = asyncio.create_task(offers.run(LIFE, [], hub.said))
        await asyncio.sleep(0)
        hub.offer(1, first)
        await running
    assert tried(folder).version == "0.3.0"
    assert tried(folder).request.startswith("hub-2-")
    assert hub.answers == [], "neither is answered: the first was not refused, the second is on trial"


async def test_a_rollout_that_is_paused_while_pip_unpacks_is_not_tried_before_it_goes_on_and_costs_no_byte_again(
    folder: Folder, releases: Releases
):
    release = releases.of([small_wheel(releases.folder, "0.2.0", "x = 1")], "small")
    offers = Offers(updater_of(folder, releases))
    hub = Hub(offers)

    def pause(rollout: int, offset: int) -> None:
        if any(folder.wheels.iterdir()):
            hub.closed.add(rollout)

    hub.before = pause
    async with asyncio.timeout(60):
        running = asyncio.create_task(offers.run(LIFE, [], hub.said))
        await asyncio.sleep(0)
        hub.offer(1, release)
        await until(lambda: bool(hub.closed) or running.done())
        await asyncio.wait({running}, timeout=0.5)
        assert not running.done(), "it is not tried"
        assert folder.state() == State()
        assert hub.answers == []
        hub.before, fetched = (lambda rollout, offset: None), len(hub.asked)
        hub.closed.clear()
        hub.offer(1, release)
        await running
    assert tried(folder).version == "0.2.0"
    assert {offset for _, offset, _ in hub.asked[fetched:]} == {0}, "its head, and whether it is wanted"


async def test_a_file_that_a_power_cut_left_long_but_empty_is_fetched_once_more_and_a_forged_one_still_refused(
    folder: Folder, releases: Releases
):
    release = releases.of([small_wheel(releases.folder, "0.2.0", "x = 1")], "small")
    head = head_of(release)
    [file] = head.manifest.files
    partial = folder.path / "fetched" / head.digest.hex() / f"{file.name}.partial"

    async def install(path: Path) -> None:
        make_folder(partial.parent)
        partial.write_bytes(bytes(file.size - 10))
        await Installer(folder, lambda: 0, version("wardlink")).install(head, FileSource(path), "small")

    forged = releases.folder / "forged.release"
    forged.write_bytes(release.read_bytes()[:-1] + b"?")
    with pytest.raises(ReleaseError, match="not what was signed"):
        await install(forged)
    await install(release)
    assert folder.release("small") is not None


def trial_of(release: str) -> State:
    return State(Trial(release, "d" * 64, "0.2.0", "", 40, "hub-1-" + "d" * 64, 1))


async def test_an_agent_whose_trial_could_not_start_runs_on_a_disk_that_takes_nothing_and_gives_it_up_later(
    folder: Folder, releases: Releases
):
    folder.keep(trial_of("new"))
    in_the_way = folder.path / "state.json.new"
    in_the_way.mkdir()  # as good as a full disk, for root too
    updater = updater_of(folder, releases)
    await updater.start()
    told: list[Answer] = []
    running = asyncio.create_task(updater.run(LIFE, [], told.append))
    await asyncio.wait({running}, timeout=1.2)
    assert not running.done()
    assert told == []
    in_the_way.rmdir()
    await until(lambda: bool(told))
    assert [(one.outcome, one.reason) for one in told] == [("rolled_back", "it could not be started")]
    assert folder.state() == State(None, told[0])
    assert not updater.again.is_set(), "what was there before runs already"
    running.cancel()


async def test_a_release_that_is_well_is_not_ended_by_the_kernel_because_the_disk_takes_nothing(
    folder: Folder, releases: Releases, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WARDLINK_RELEASE", "new")
    folder.keep(trial_of("new"))
    in_the_way = folder.path / "state.json.new"
    in_the_way.mkdir()
    updater = updater_of(folder, releases)
    await updater.start()
    told: list[Answer] = []
    signal.alarm(100)  # as the launcher does
    running = asyncio.create_task(updater.run(LIFE, [], told.append))
    await until(lambda: signal.getitimer(signal.ITIMER_REAL)[0] == 0)
    await asyncio.wait({running}, timeout=0.2)
    assert not running.done()
    assert (told, folder.state()) == ([], trial_of("new"))
    in_the_way.rmdir()
    await until(lambda: bool(told))
    assert [one.outcome for one in told] == ["applied"]
    assert not updater.again.is_set()
    running.cancel()


async def test_a_disk_that_hangs_under_the_inbox_or_the_answer_holds_up_nothing_else(
    folder: Folder, releases: Releases, monkeypatch: pytest.MonkeyPatch
):
    """The inbox by a listing that does not come back, the answer by a pipe in its place, which nobody writes to."""
    looks, comes_back, glob = list[Path](), threading.Event(), Path.glob

    def hangs(path: Path, pattern: str) -> "Iterator[Path]":
        if path.name == "inbox":
            looks.append(path)
            comes_back.wait()
        return glob(path, pattern)

    told: list[Answer] = []
    updater = updater_of(folder, releases)
    monkeypatch.setattr(Path, "glob", hangs)
    running = asyncio.create_task(updater.run(LIFE, [], told.append))
    try:
        await until(lambda: bool(looks), 5)
        assert await longest_turn_s(2.5) < 0.5  # two looks' time
        assert len(looks) == 1, "nobody looks a second time before the first has come back"
    finally:
        comes_back.set()
    await until(lambda: len(looks) > 1)
    answer = folder.path / "state.json"
    answer.unlink(missing_ok=True)
    os.mkfifo(answer)
    try:
        updater.offered(Offer("hub-1-" + "d" * 64, FileSource(folder.path / "none"), "d" * 64))
        assert await longest_turn_s(1.5) < 0.5
    finally:
        pipe = os.open(answer, os.O_RDWR)  # whoever waits to open it has opened it
        whole = answer.with_suffix(".whole")
        whole.write_text("{}")
        whole.replace(answer)  # whoever opens it from now on finds a file
        os.write(pipe, b"{}")
        os.close(pipe)  # whoever reads the pipe comes to its end
    await until(lambda: [one.outcome for one in told] == ["refused"])
    running.cancel()


async def test_a_refusal_has_a_reason_even_of_an_error_that_says_nothing(folder: Folder, releases: Releases):
    class Slow:
        async def read(self, offset: int, most: int) -> bytes:
            del offset, most
            raise TimeoutError  # as pip that takes too long

    updater = updater_of(folder, releases)
    told: list[Answer] = []
    running = asyncio.create_task(updater.run(LIFE, [], told.append))
    await asyncio.sleep(0)
    updater.offered(Offer("hub-1-" + "d" * 64, Slow(), "d" * 64))
    await until(lambda: bool(told))
    assert [(one.outcome, one.reason) for one in told] == [("refused", "TimeoutError")]
    running.cancel()


async def test_a_persons_wish_is_there_until_its_trial_is_on_disk_and_one_that_was_rolled_back_is_not_tried_again(
    folder: Folder, releases: Releases
):
    release = releases.of([small_wheel(releases.folder, "0.2.0", "x = 1")], "small")
    wish = inbox(folder) / "person-1.release"
    wish.write_bytes(release.read_bytes())
    in_the_way = folder.path / "state.json.new"
    in_the_way.mkdir()
    with pytest.raises(OSError, match=r"state\.json"):
        await updater_of(folder, releases).run(LIFE, [], lambda answer: None)
    assert wish.exists(), "else the wish had been lost without an answer"
    in_the_way.rmdir()
    await updater_of(folder, releases).run(LIFE, [], lambda answer: None)
    assert not wish.exists()
    assert tried(folder).request == "person-1"
    wish.write_bytes(release.read_bytes())  # killed between the two
    rolled_back = roll_back(folder, folder.state(), "it did not come up")
    running = asyncio.create_task(updater_of(folder, releases).run(LIFE, [], lambda answer: None))
    await until(lambda: not wish.exists())
    await asyncio.wait({running}, timeout=0.2)
    assert not running.done()
    assert folder.state() == rolled_back
    running.cancel()
