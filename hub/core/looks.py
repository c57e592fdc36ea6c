"""Remembers who looked at what lately, so that a page that asks every few seconds is one entry in the audit and not hundreds."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.core.principal import Principal

LOOK_S = 600.0
_KEPT = 10_000


class Looks:
    """The looks of one process, by session."""

    def __init__(self) -> None:
        """Nobody has looked yet."""
        self._at_s: dict[tuple[str | None, str, str], float] = {}

    def is_new(self, principal: "Principal", action: str, target: str) -> bool:
        """Whether this look is to be written down: the first of its session at this target in ten minutes."""
        what, now_s = (principal.session, action, target), time.monotonic()
        if now_s - self._at_s.get(what, -LOOK_S) < LOOK_S:
            return False
        if len(self._at_s) >= _KEPT:
            self._at_s.clear()
        self._at_s[what] = now_s
        return True
