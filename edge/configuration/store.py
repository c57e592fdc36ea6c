"""Which configuration of the hub this agent runs with, which it tries, and what it last answered: one small file, replaced whole."""

import asyncio
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel

from edge.durable import read_or_set_aside, replace_file


class Outcome(StrEnum):
    """What became of a configuration."""

    APPLIED = "applied"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"


class Version(BaseModel, frozen=True):
    """A configuration. A hub that was put back to an older state may give a number again: number and text name it."""

    number: int
    toml: str


class Answer(BaseModel, frozen=True):
    """What became of one, and why."""

    version: Version
    outcome: Outcome
    reason: str = ""


class _Kept(BaseModel, frozen=True):
    applied: Version | None = None
    trial: Version | None = None
    answer: Answer | None = None


class ConfigurationStore:
    """Read once at start; every change is durable when it returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        said = "nothing: the hub sends it again"
        self._kept = read_or_set_aside(path, _Kept.model_validate_json, "configuration-damaged", said) or _Kept()

    @property
    def applied(self) -> Version | None:
        """What lies above the file and has shown itself."""
        return self._kept.applied

    @property
    def trial(self) -> Version | None:
        """What is being tried; at start: what a run before this one did not come to the end of."""
        return self._kept.trial

    def answer_to(self, version: Version) -> Answer | None:
        """What became of a version; None when it was never dealt with."""
        answer = self._kept.answer
        if answer is not None and answer.version == version:
            return answer
        return Answer(version=version, outcome=Outcome.APPLIED) if version == self._kept.applied else None

    async def tried(self, version: Version) -> None:
        """The next life begins with it."""
        await self._keep(self._kept.model_copy(update={"trial": version}))

    async def apply(self, version: Version) -> Answer:
        """It is what lies above the file from now on."""
        answer = Answer(version=version, outcome=Outcome.APPLIED)
        await self._keep(_Kept(applied=version, answer=answer))
        return answer

    async def refuse(self, version: Version, reason: str) -> Answer:
        """It is not tried."""
        answer = Answer(version=version, outcome=Outcome.REFUSED, reason=reason)
        await self._keep(self._kept.model_copy(update={"answer": answer}))
        return answer

    async def roll_back(self, version: Version, reason: str) -> Answer:
        """What was there before it holds again."""
        answer = Answer(version=version, outcome=Outcome.ROLLED_BACK, reason=reason)
        applied = None if self._kept.applied == version else self._kept.applied
        await self._keep(_Kept(applied=applied, answer=answer))
        return answer

    async def _keep(self, kept: _Kept) -> None:
        await asyncio.to_thread(replace_file, self._path, kept.model_dump_json().encode(), mode=0o600)
        self._kept = kept
