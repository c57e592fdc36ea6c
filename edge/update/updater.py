"""Takes releases, from a person at the gateway or from the hub: checks, installs, tries in a process of its own, keeps or gives up.

The trial is on disk before the agent ends for it. The launcher begins the process that is tried, and counts its starts; here it is judged,
by the measure that settings are judged by, too.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from edge.durable import make_folder
from edge.trial import Before, judged, seen
from edge.update.checks import check_head
from edge.update.install import FileSource, fetch_head, trusted_keys
from edge.update.launch import release_running
from edge.update.state import APPLIED, REFUSED, Answer, State, Trial, roll_back
from protocols.release import ReleaseError

if TYPE_CHECKING:
    from edge.trial import Life, Turn
    from edge.update.checks import Here
    from edge.update.install import Installer, Source
    from edge.update.state import Folder
    from protocols.release import Head

INBOX, ENDING = "inbox", ".release"
_LOOK_S = 1.0
_REASON = 1000  # characters
_NOT_STARTED = "it could not be started"

_log = structlog.get_logger()


class WithdrawnError(RuntimeError):
    """The release is not to be had any more, for now: nothing is answered."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A release that somebody wants here. `request` tells one wish from another for the same; `digest`: what it has to be, or ""."""

    request: str
    source: "Source"
    digest: str = ""
    path: Path | None = None  # in the inbox


class Updater:
    """`again` is set when this process is to end and to begin anew as what is current then."""

    def __init__(
        self, folder: "Folder", installer: "Installer", here: "Here", keys: Path, within_s: float, turn: "Turn"
    ) -> None:
        """`keys`: the folder of public keys; `within_s`: how long a release may take until it is up."""
        self._folder, self._installer, self._here, self._keys = folder, installer, here, keys
        self._within_s, self._turn = within_s, turn
        self._offered: Offer | None = None
        self._news = asyncio.Event()
        self._tell: Callable[[Answer], None] | None = None
        self.again = asyncio.Event()

    async def start(self) -> None:
        """Take the turn for a trial that goes on. One that could not be started is given up, by `run` when the disk takes nothing now."""
        state = await asyncio.to_thread(self._folder.state)
        if state.trial is None:
            return
        await self._turn.take(self)
        if state.trial.release != release_running():
            try:
                await self._roll_back(state, _NOT_STARTED)
            except OSError as error:
                _log.error("update-not-written", reason=str(error))  # an agent that samples goes before

    async def fell(self, error: Exception) -> bool:
        """Tell that the agent could not begin; whether that was a trial, and the process is to begin anew with what was there before."""
        state = await asyncio.to_thread(self._folder.state)
        if state.trial is None:
            return False
        await self._roll_back(state, str(error) or type(error).__name__)
        return True

    def offered(self, offer: Offer) -> None:
        """The hub wants one: `run` answers when it is known what became of it, at its next look when it is known already."""
        if self._offered is None or self._offered.request != offer.request:
            self._offered = offer
            self._news.set()

    async def run(self, life: "Life", configured: Collection[str], tell: Callable[[Answer], None]) -> None:
        """Go with one life until cancelled: judge its trial, then take what is offered. `tell` answers the hub."""
        self._tell, self._offered = tell, None  # what came in a life before came over connections that are gone
        began_s = time.monotonic()
        state = await asyncio.to_thread(self._folder.state)
        if state.trial is None:
            self._turn.give(self)
        elif state.trial.release != release_running():
            if await self._given_up(state, state.trial):
                return
        elif not await self._stands(state, state.trial, life, configured, began_s):
            return
        while True:
            offer = await self._next()
            if await self._take(offer, life, began_s):
                return
            self._done(offer)

    async def _given_up(self, state: State, trial: Trial) -> bool:
        """Give up a release that could not be started; whether another than this process is to run in its place."""
        await _once_written(lambda: self._roll_back(state, _NOT_STARTED))
        answer = (await asyncio.to_thread(self._folder.state)).answer
        if self._offered is not None and self._offered.request == trial.request:
            self._offered = None  # offered again meanwhile: it is answered now
        if answer is not None:
            self._say(answer)
        if trial.back == release_running():
            return False
        self.again.set()
        return True

    def _done(self, offer: Offer) -> None:
        if self._offered is offer:
            self._offered = None

    async def _next(self) -> Offer:
        """What is to be taken next. The disk is looked at beside the loop, and not again before it has answered."""
        while True:
            found = await asyncio.to_thread(self._in_inbox)
            if found is not None:
                return found
            offer = self._offered
            if offer is not None:
                answer = (await asyncio.to_thread(self._folder.state)).answer
                if answer is None or answer.request != offer.request:
                    return offer
                self._done(offer)
                self._say(answer)
                continue
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._news.wait()

    def _in_inbox(self) -> Offer | None:
        """A person's release that is not answered yet. Blocking."""
        for found in sorted((self._folder.path / INBOX).glob(f"*{ENDING}")):
            offer = Offer(found.stem, FileSource(found), path=found)
            answer = self._folder.state().answer
            if answer is None or answer.request != offer.request:
                return offer
            _drop(offer)  # a kill came between its end and this
        return None

    async def _take(self, offer: Offer, life: "Life", began_s: float) -> bool:
        """Refuse one, or have it tried: then True."""
        head: Head | None = None
        try:
            head = await fetch_head(offer.source)
            name = f"{head.manifest.version}-{head.digest.hex()[:8]}"
            if name == release_running():
                await self._answer(offer, head, APPLIED, "")
                return False
            await asyncio.to_thread(self._check, head, offer)
            _log.info("update-begun", version=head.manifest.version, digest=head.digest.hex())
            await self._installer.install(head, offer.source, name)
            await self._turn.take(self)
            await offer.source.read(0, 1)  # it was long since the last byte: is it still wanted?
        except WithdrawnError:
            self._turn.give(self)
            return False
        except (ReleaseError, OSError) as error:
            self._turn.give(self)
            await self._answer(offer, head, REFUSED, str(error) or type(error).__name__)
            return False
        before = await seen(life, began_s)
        back = await asyncio.to_thread(lambda: self._folder.current)
        trial = Trial(
            name, head.digest.hex(), head.manifest.version, back, self._within_s, offer.request,
            up=tuple(sorted(before.up)), failing=tuple(sorted(before.failing)),
        )  # fmt: skip
        state = await asyncio.to_thread(self._folder.state)
        await asyncio.to_thread(self._folder.keep, State(trial, state.answer))
        await asyncio.to_thread(_drop, offer)
        _log.info("update-tried", version=trial.version, devices_up=list(trial.up))
        self.again.set()
        return True

    def _check(self, head: "Head", offer: Offer) -> None:
        if offer.digest and head.digest.hex() != offer.digest:
            raise ReleaseError("altered", f"it is another release than the one that was offered: {head.digest.hex()}")
        check_head(head, trusted_keys(self._keys), self._here)

    async def _answer(self, offer: Offer, head: "Head | None", outcome: str, reason: str) -> None:
        version, digest = ("", offer.digest) if head is None else (head.manifest.version, head.digest.hex())
        answer = Answer(digest, version, outcome, offer.request, reason[:_REASON])
        if outcome == REFUSED:
            _log.error("update-refused", version=version, reason=reason)
        state = await asyncio.to_thread(self._folder.state)
        await asyncio.to_thread(self._folder.keep, State(state.trial, answer))
        await asyncio.to_thread(_drop, offer)
        self._say(answer)

    async def _stands(
        self, state: State, trial: Trial, life: "Life", configured: Collection[str], began_s: float
    ) -> bool:
        """Judge the release that this process is; False when it is rolled back and this life is over."""
        before = Before(frozenset(trial.up), frozenset(trial.failing))
        if reason := await judged(life, before, configured, began_s, trial.within_s):
            await self._roll_back(state, reason)
            self.again.set()
            return False
        signal.alarm(0)  # it is well, whatever the disk says to that
        answer = Answer(trial.digest, trial.version, APPLIED, trial.request)
        await _once_written(lambda: asyncio.to_thread(self._folder.keep, State(None, answer)))
        _log.info("update-applied", version=trial.version)
        self._turn.give(self)
        self._say(answer)
        await asyncio.to_thread(self._installer.prune, {trial.release, trial.back})
        return True

    async def _roll_back(self, state: State, reason: str) -> None:
        await asyncio.to_thread(roll_back, self._folder, state, reason[:_REASON])
        _log.error("update-rolled-back", version=state.trial.version if state.trial else "", reason=reason)
        self._turn.give(self)

    def _say(self, answer: Answer) -> None:
        if self._tell is not None:
            self._tell(answer)


async def _once_written(write: Callable[[], Awaitable[None]]) -> None:
    """Write as soon as the disk takes it."""
    said = ""
    while True:
        try:
            return await write()
        except OSError as error:
            if said != str(error):
                said = str(error)
                _log.error("update-not-written", reason=said)
        await asyncio.sleep(_LOOK_S)


def inbox(folder: "Folder") -> Path:
    """Where a person's release is put, made if need be: `NAME.release`, renamed into it when it is whole. Blocking."""
    path = folder.path / INBOX
    make_folder(path, mode=0o700)
    return path


def _drop(offer: Offer) -> None:
    if offer.path is not None:
        offer.path.unlink(missing_ok=True)
