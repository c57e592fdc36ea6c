"""Password hashes: argon2id (RFC 9106, second recommended option: 64 MiB, 3 passes), in threads and few at a time.

A hash takes some 50 ms of a core and 64 MiB, so they are kept off the event loop and a flood of sign-ins can take neither
the memory nor all cores.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """What a hash takes: passes over so much memory (KiB) in so many lanes."""

    passes: int
    memory_kib: int
    lanes: int


RFC_9106: Final = Cost(passes=3, memory_kib=65536, lanes=4)


class Passwords:
    """Makes and checks hashes; what is stored is checked at the cost at which it was made."""

    def __init__(self, cost: Cost = RFC_9106) -> None:
        self._hasher = PasswordHasher(
            time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes, type=Type.ID
        )
        self._few = asyncio.Semaphore(_AT_ONCE)
        # Compared with when there is no such account, so that the answer takes as long.
        self._nobody: str | None = None

    async def make(self, password: str) -> str:
        """Hash a new password."""
        async with self._few:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def check(self, password: str, stored: str | None) -> bool:
        """Compare; takes the same time when `stored` is None, and is then False."""
        if self._nobody is None:
            self._nobody = await self.make("nobody has this password")
        async with self._few:
            right = await asyncio.to_thread(self._verify, stored or self._nobody, password)
        return right and stored is not None

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False
