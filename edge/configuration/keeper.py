"""Decides with which settings the agent lives: checks what the hub sends, tries it in a life of its own, keeps it or goes back.

A trial is on disk before the life that tries it begins. So whatever ends that life (an error, a kill, a power cut), the next one begins
with what was there before, and tells why.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from edge.configuration.store import Answer, Outcome, Version
from edge.settings import SettingsError
from edge.trial import Before, judged, seen
from firmware_adapters import door_registry
from firmware_adapters.adapter import ConfigError
from firmware_adapters.door_registry import kinds, make_door
from firmware_adapters.registry import families, find_adapter, is_built_in
from protocols.uplink_pb2 import (
    CONFIGURATION_OUTCOME_APPLIED,
    CONFIGURATION_OUTCOME_REFUSED,
    CONFIGURATION_OUTCOME_ROLLED_BACK,
    ConfigurationAnswer,
    GatewayMessage,
)

if TYPE_CHECKING:
    from pathlib import Path

    from edge.configuration.store import ConfigurationStore
    from edge.settings import DeviceSettings, DoorSettings, EdgeSettings
    from edge.trial import Life, Turn
    from protocols.link import ConfigurationReceived

UNFINISHED = "the agent ended before the trial was over"
_WIRE = {
    Outcome.APPLIED: CONFIGURATION_OUTCOME_APPLIED,
    Outcome.REFUSED: CONFIGURATION_OUTCOME_REFUSED,
    Outcome.ROLLED_BACK: CONFIGURATION_OUTCOME_ROLLED_BACK,
}
_REASON = 1000  # characters

_log = structlog.get_logger()


class Keeper:
    """`settings` are those of the life that is to begin; `again` is set when it is to end because they are others."""

    def __init__(
        self, of_file: "EdgeSettings", store: "ConfigurationStore", now_ns: Callable[[], int], turn: "Turn"
    ) -> None:
        self._of_file, self._store, self._now_ns, self._turn = of_file, store, now_ns, turn
        self._asked: Version | None = None
        self._news = asyncio.Event()
        self._before = Before()
        self._tell: Callable[[GatewayMessage], None] | None = None
        self.settings = of_file
        self.again = asyncio.Event()

    async def start(self) -> None:
        """Decide for the first life: a trial that was not finished is rolled back."""
        if self._store.trial is not None:
            await self._roll_back(self._store.trial, UNFINISHED)
        else:
            await self._go_back()

    async def fell(self, error: Exception) -> bool:
        """Tell that a life could not begin; whether that was a trial, and the next one begins with what was there before."""
        if self._store.trial is None:
            return False
        await self._roll_back(self._store.trial, str(error) or type(error).__name__)
        return True

    def received(self, event: "ConfigurationReceived") -> None:
        """The hub has sent one: it is answered when it is known what became of it, at once when it is known already."""
        version = Version(number=event.version, toml=event.toml)
        answer = self._store.answer_to(version)
        if answer is not None:
            self._say(_message(answer))
        elif version != self._store.trial:
            self._asked = version
            self._news.set()

    async def run(self, life: "Life", tell: Callable[[GatewayMessage], None]) -> None:
        """Go with one life until cancelled: judge its trial, then take what the hub sends. `tell` answers the hub."""
        self._tell = tell
        began_s = time.monotonic()
        if self._store.trial is None:
            self._turn.give(self)  # a life that ended between turn and trial had it
        elif not await self._stands(self._store.trial, life, began_s):
            return
        while True:
            await self._news.wait()
            self._news.clear()
            version, self._asked = self._asked, None
            if version is not None and await self._take(version, life, began_s):
                return

    async def _take(self, version: Version, life: "Life", began_s: float) -> bool:
        """Refuse one, or have it tried: then True."""
        try:
            settings = self._of_file.overlaid(version.toml)
            self._check(settings)
        except SettingsError as error:
            _log.error("configuration-refused", version=version.number, reason=str(error))
            self._say(_message(await self._store.refuse(version, str(error)[:_REASON])))
            return False
        if settings.model_dump() == self.settings.model_dump():
            self._say(_message(await self._store.apply(version)))
            return False
        await self._turn.take(self)
        self._before = await seen(life, began_s)
        await self._store.tried(version)
        self.settings = settings
        _log.info("configuration-tried", version=version.number, devices_up=sorted(self._before.up))
        self.again.set()
        return True

    def _check(self, settings: "EdgeSettings") -> None:
        """SettingsError when a device or a door cannot work that could before."""
        before, after = self._unusable(self.settings), self._unusable(settings)
        wrong = [f"{name}: {why}" for name, why in after.items() if before.get(name) != why]
        if wrong:
            raise SettingsError("; ".join(wrong))

    def _unusable(self, settings: "EdgeSettings") -> dict[str, str]:
        found: dict[str, str] = {}
        for device in settings.devices:
            try:
                _check_device(device)
            except ConfigError as error:
                found[f"device {device.id}"] = str(error)
        for door in settings.doors:
            try:
                _check_door(door, settings.folder, self._now_ns)
            except ConfigError as error:
                found[f"door {door.name}"] = str(error)
        return found

    async def _stands(self, version: Version, life: "Life", began_s: float) -> bool:
        """Judge a trial; False when it is rolled back and this life is over."""
        configured = [device.id for device in self.settings.devices]
        within_s = self._of_file.configuration.healthy_within_s
        if reason := await judged(life, self._before, configured, began_s, within_s):
            await self._roll_back(version, reason)
            self.again.set()
            return False
        _log.info("configuration-applied", version=version.number)
        self._say(_message(await self._store.apply(version)))
        self._turn.give(self)
        return True

    def _say(self, answer: ConfigurationAnswer) -> None:
        if self._tell is not None:
            self._tell(GatewayMessage(configuration_answer=answer))

    async def _roll_back(self, version: Version, reason: str) -> None:
        _log.error("configuration-rolled-back", version=version.number, reason=reason)
        await self._store.roll_back(version, reason[:_REASON])
        self._turn.give(self)
        await self._go_back()

    async def _go_back(self) -> None:
        """To what was applied last, as far as it still fits the file; else to the file alone, which always lets the agent live."""
        self.settings, applied = self._of_file, self._store.applied
        if applied is None:
            return
        try:
            self.settings = self._of_file.overlaid(applied.toml)
        except SettingsError as error:
            reason = f"it does not fit the file any more: {error}"
            _log.error("configuration-rolled-back", version=applied.number, reason=reason)
            await self._store.roll_back(applied, reason[:_REASON])


def _check_device(device: "DeviceSettings") -> None:
    """ConfigError when it cannot work. What an adapter in a process of its own makes of its settings shows only in the trial."""
    if device.family in families() and (device.own_process or not is_built_in(device.family)):
        return
    find_adapter(device.family).check(device.config())


def _check_door(door: "DoorSettings", folder: "Path", now_ns: Callable[[], int]) -> None:
    """The same for a door."""
    config = door.config(folder, now_ns)
    if door.kind not in kinds() or (door_registry.is_built_in(door.kind) and not door.own_process):
        make_door(config)


def _message(answer: Answer) -> ConfigurationAnswer:
    return ConfigurationAnswer(version=answer.version.number, outcome=_WIRE[answer.outcome], reason=answer.reason)
