"""Plays a load: starts the processes of the gateways, watches as a page would, and puts together what they tell."""

import asyncio
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from wardlink.load.page import Page, new_password
from wardlink.load.report import Report, report
from wardlink.load.senders import SETTLE_S, Sent, Share, read_sent

if TYPE_CHECKING:
    from collections.abc import Generator

    from wardlink.local.places import Places

Tell = Callable[[str], None]
_LOOK_AGAIN_S = 0.2
_LEAVE_S = 30.0


class LoadError(RuntimeError):
    """The load could not be played; the message says why."""


@dataclass(frozen=True, slots=True)
class Given:
    """What was asked for. `beds`: of each gateway."""

    gateways: int
    beds: int
    seconds: float
    processes: int
    captures: Path

    def devices(self, names: Sequence[str]) -> dict[str, list[str]]:
        """The devices of each gateway."""
        return {name: [f"{name}-bed-{bed}" for bed in range(1, self.beds + 1)] for name in names}


def play(given: Given, places: "Places", folder: Path, tell: Tell) -> Report:
    """At a hub of its own. Ctrl-C ends it early, and what was sent until then is looked for."""
    from wardlink.load.hub import LoadHub

    names = [f"load-{number:03}" for number in range(1, given.gateways + 1)]
    devices = given.devices(names)
    tell("a hub with a database of its own begins")
    with LoadHub(places, folder / "hub", [device for own in devices.values() for device in own]) as hub:
        tokens = hub.tokens(names)
        ward, link = hub.nurse()
        page = Page(hub.url, ward, link, new_password())
        with _watching(page), _Senders(given, folder, tokens, devices) as senders:
            tell(f"{given.gateways} gateways play")
            before = hub.cpu_s()
            seconds = senders.play(given.seconds, hub.processes.check)
            spent = {name: taken - before.get(name, 0.0) for name, taken in hub.cpu_s().items()}
            sent = senders.finish()
        sources = {device: of for one in sent for device, of in one.sources.items()}
        return report(given.gateways, sent, seconds, page.frame_ms, spent, hub.missing(sources))


def play_at(
    given: Given, tokens: Mapping[str, str], folder: Path, link: str, ward: str, password: str, tell: Tell
) -> Report:
    """At a running hub, of which only the doors are known."""
    url = link.partition("/welcome/")[0]
    page = Page(url, ward, link, password) if link else None
    with ExitStack() as opened:
        if page is not None:
            opened.enter_context(_watching(page))
        senders = opened.enter_context(_Senders(given, folder, tokens, given.devices(list(tokens))))
        tell(f"{given.gateways} gateways play")
        seconds = senders.play(given.seconds, lambda: None)
        sent = senders.finish()
    return report(given.gateways, sent, seconds, Counter() if page is None else page.frame_ms, {}, None)


class _Senders:
    """The processes of the gateways. Use as a context; entered, all are enrolled and play."""

    def __init__(
        self, given: Given, folder: Path, tokens: Mapping[str, str], devices: Mapping[str, Sequence[str]]
    ) -> None:
        self._files: list[Path] = []
        names = list(tokens)
        for number in range(given.processes):
            own = names[number :: given.processes]
            share = Share(
                str(folder / f"gateways-{number}"),
                str(given.captures),
                {name: tokens[name] for name in own},
                {name: list(devices[name]) for name in own},
            )
            self._files.append(folder / f"share-{number}.json")
            share.write(self._files[-1])
        self._running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        for file in self._files:
            words = [sys.executable, "-m", "wardlink.load.senders", str(file)]
            # A session of its own: Ctrl-C reaches this command, which then ends them in order.
            process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
            self._running.append(process)
        try:
            for process in self._running:
                self._line(process)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.wait()
            for end in (process.stdin, process.stdout):
                if end is not None:
                    end.close()

    def play(self, seconds: float, check: Callable[[], None]) -> float:
        """Let them play, for so long or until Ctrl-C; how long it was."""
        began_s = time.monotonic()
        try:
            while time.monotonic() < began_s + seconds:
                time.sleep(_LOOK_AGAIN_S)
                check()
                for process in self._running:
                    if process.poll() is not None:
                        msg = f"a process of the gateways ended with {process.returncode}"
                        raise LoadError(msg)
        except KeyboardInterrupt:
            pass
        return time.monotonic() - began_s

    def finish(self) -> list[Sent]:
        """Stop them, and wait for what the hub still acknowledges."""
        for process in self._running:
            assert process.stdin is not None
            process.stdin.close()
        found = [read_sent(self._line(process)) for process in self._running]
        for process in self._running:
            process.wait(SETTLE_S + _LEAVE_S)
        return found

    @staticmethod
    def _line(process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        if not (line := process.stdout.readline()):
            msg = f"a process of the gateways ended with {process.wait()}; what it said is above"
            raise LoadError(msg)
        return line


@contextmanager
def _watching(page: Page) -> "Generator[None]":
    """Run the page in a thread of its own; LoadError when it cannot be opened."""
    stop = threading.Event()
    answer: queue.SimpleQueue[str] = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: asyncio.run(_watch(page, stop, answer)))
    thread.start()
    try:
        if problem := answer.get():
            msg = f"the page cannot be watched: {problem}"
            raise LoadError(msg)
        yield
    finally:
        stop.set()
        thread.join()


async def _watch(page: Page, stop: threading.Event, answer: "queue.SimpleQueue[str]") -> None:
    """Put "" when the page is open, else why it is not; then until `stop`."""
    running = asyncio.create_task(page.run())
    opened = asyncio.create_task(page.opened.wait())
    await asyncio.wait((running, opened), return_when=asyncio.FIRST_COMPLETED)
    answer.put("" if opened.done() else str(running.exception()))
    if opened.done():
        await asyncio.to_thread(stop.wait)
    for task in (running, opened):
        task.cancel()
    await asyncio.gather(running, opened, return_exceptions=True)
