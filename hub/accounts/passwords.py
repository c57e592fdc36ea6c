"""Password hashes: argon2id (RFC 9106, second recommended option: 64 MiB, 3 passes), in threads and few at a time.

A hash takes some 50 ms of a core and 64 MiB, so they are kept off the event loop and a flood of sign-ins can take neither
the memory nor all cores.
"""

import asyncio

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

_AT_ONCE = 2


class Passwords:
    """Makes and checks hashes."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4, type=Type.ID)
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
