"""What this agent has told devices to do: on disk before it is done, and with its result before the hub hears of it. One small file.

It has a name of its own, made with it: whoever sends a command again says to which ledger it was sent first, so that an agent whose
ledger is gone does not do it twice.
"""

import asyncio
import secrets
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, Field

from edge.durable import read_or_set_aside, replace_file
from protocols.device_command import Outcome, Reason, Result, Value

KEPT = 500  # results; the hub asks again for what it has no result of, and for at most an hour
NAME_BYTES = 16


class _Told(BaseModel, frozen=True):
    outcome: Outcome
    reason: Reason
    details: str
    seen: dict[str, Value]


class Entry(BaseModel, frozen=True):
    """A command. `told`: its result; without one it was begun, and may have been done."""

    id: UUID
    device: str
    code: str
    values: dict[str, Value]
    told: _Told | None = None

    @property
    def result(self) -> Result | None:
        """What became of it, once that is known."""
        told = self.told
        return None if told is None else Result(told.outcome, told.reason, told.details, told.seen)


class _Kept(BaseModel):
    name: str = Field(default_factory=lambda: secrets.token_hex(NAME_BYTES))
    entries: list[Entry] = Field(default_factory=list[Entry])


class CommandLedger:
    """Read once at start; every change is durable when it returns. OSError where the disk refuses it."""

    def __init__(self, path: Path) -> None:
        """`begin` or `open` writes the file if it is not there."""
        self._path = path
        self._changing = asyncio.Lock()
        said = "nothing: commands in between are told as unconfirmed"
        kept = read_or_set_aside(path, _Kept.model_validate_json, "command-ledger-damaged", said) or _Kept()
        self._name = kept.name
        self._entries = {entry.id: entry for entry in kept.entries}

    @property
    def name(self) -> bytes:
        """NAME_BYTES bytes, of this ledger alone."""
        return bytes.fromhex(self._name)

    async def open(self) -> None:
        """Make the name durable: the hub is about to hear it."""
        async with self._changing:
            await self._write(self._entries)

    def find(self, command: UUID) -> Entry | None:
        """What is known of a command."""
        return self._entries.get(command)

    def unfinished(self) -> list[Entry]:
        """What was begun, and nobody knows how far it came."""
        return [entry for entry in self._entries.values() if entry.told is None]

    async def begin(self, entry: Entry) -> None:
        """It is about to be done. What cannot be written down is not known afterwards: it may not be done."""
        async with self._changing:
            await self._write(self._entries | {entry.id: entry})
            self._entries[entry.id] = entry

    async def end(self, entry: Entry, result: Result) -> None:
        """It is known what became of it, in this run also when the disk refuses it. The eldest results go when there are too many."""
        told = _Told(outcome=result.outcome, reason=result.reason, details=result.details, seen=dict(result.seen))
        async with self._changing:
            self._entries.pop(entry.id, None)
            self._entries[entry.id] = entry.model_copy(update={"told": told})
            finished = [one.id for one in self._entries.values() if one.told is not None]
            for eldest in finished[: max(0, len(finished) - KEPT)]:
                del self._entries[eldest]
            await self._write(self._entries)

    async def _write(self, entries: Mapping[UUID, Entry]) -> None:
        kept = _Kept(name=self._name, entries=list(entries.values()))
        await asyncio.to_thread(replace_file, self._path, kept.model_dump_json().encode(), mode=0o600)
