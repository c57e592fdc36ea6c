"""Begins a spool anew, with another epoch, when the hub knows batches that this one never made (a copied or restored disk).

What the hub had not acknowledged goes over into the new spool, and the Gaps of what the old one has lost and not told. May be broken off anywhere and begun again.
"""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from edge.durable import sync_folder
from edge.spool.core import GAPS_OF_A_BATCH, NotNowError, Spool
from edge.spool.keyring import KeySource
from edge.spool.limits import Limits
from protocols.link import Lane
from protocols.record import Gap
from protocols.wire import arrivals_of, decode_batch

_TRIES, _AGAIN_S = 30, 1.0

_log = structlog.get_logger()


async def succeed(directory: Path, clock_ns: Callable[[], int], limits: Limits, keys: KeySource | None = None) -> int:
    """Replace the (closed) spool of a directory; how many batches went over."""
    aside = _aside(directory)
    await asyncio.to_thread(_rename, directory, aside)
    return await _carry_over(directory, aside, clock_ns, limits, keys or KeySource.beside(directory))


async def finish_succession(
    directory: Path, clock_ns: Callable[[], int], limits: Limits, keys: KeySource | None = None
) -> None:
    """At start: end a replacement that was broken off."""
    aside = _aside(directory)
    if not await asyncio.to_thread(aside.exists):
        return
    if await asyncio.to_thread(directory.exists):
        await asyncio.to_thread(shutil.rmtree, aside)
    else:
        await _carry_over(directory, aside, clock_ns, limits, keys or KeySource.beside(directory))


def _rename(folder: Path, to: Path) -> None:
    """Durably: what follows removes the other."""
    folder.rename(to)
    sync_folder(to.parent)


def _aside(directory: Path) -> Path:
    return directory.with_name(directory.name + ".superseded")


async def _carry_over(
    directory: Path, aside: Path, clock_ns: Callable[[], int], limits: Limits, keys: KeySource
) -> int:
    partial = directory.with_name(directory.name + ".new")
    await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
    old = await Spool.open(aside, clock_ns, limits, keys)
    new = await Spool.open(partial, clock_ns, limits, keys)
    batches = 0
    try:
        await asyncio.to_thread(new.adopt, old.arrivals())
        for lane in Lane:
            stored = old.stored(lane)
            due = [n for a, b in old.held(lane) for x, y in stored.missing(a, b) for n in range(x, y + 1)]
            for n in due:
                data = await _read(old, lane, n)
                if data is not None:
                    batch = decode_batch(data)
                    await new.append(lane, batch.records, arrivals_of(batch))
                    batches += 1
        await old.settled()  # what turned out to be damaged while it was read is a hole by now
        for lane in Lane:
            for first, last in old.stored(lane).missing(1, old.newest(lane)):
                gaps = await _gaps(old, lane, first, last)
                for at in range(0, len(gaps), GAPS_OF_A_BATCH):
                    await new.append(Lane.EVENT, gaps[at : at + GAPS_OF_A_BATCH])
    finally:
        await old.close()
        await new.close()
    await asyncio.to_thread(_rename, partial, directory)
    await asyncio.to_thread(shutil.rmtree, aside)
    return batches


async def _gaps(spool: Spool, lane: Lane, first: int, last: int) -> list[Gap]:
    """What is known of these lost batches; a medium that does not give it up in half a minute keeps it, and is told in the log."""
    for _ in range(_TRIES):
        with suppress(OSError):
            return await spool.gaps_for(lane, first, last)
        await asyncio.sleep(_AGAIN_S)
    _log.error("gaps-not-told", lane=lane.name.lower(), first=first, last=last, what_to_do="look at the medium")
    return []


async def _read(spool: Spool, lane: Lane, n: int) -> bytes | None:
    """A batch of the old spool, which is removed behind this: one that cannot be read now is waited for. NotNowError after half a minute."""
    for _ in range(_TRIES):
        try:
            return await asyncio.to_thread(spool.read, lane, n)
        except NotNowError:
            await asyncio.sleep(_AGAIN_S)
    return await asyncio.to_thread(spool.read, lane, n)
