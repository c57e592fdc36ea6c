"""Which address of the hub a connection goes to next: the first that answers, and the first of the list again after a while.

All addresses are doors of one hub, with one authority and one database or copies of it (docs/decisions/0131). Opens nothing by itself.
What is on disk is read beside the event loop: on one that does not answer, what was read before holds.
"""

import random
import time
from collections.abc import Callable, Sequence

import grpc.aio
import structlog

from edge.beside import Beside
from edge.identity import IdentityError
from edge.uplink.security import ClientPapers, make_channel

# Seconds on a later address before the first is tried again, with jitter; doubled each time that it does not take the gateway.
HOME_AFTER_S, LONGEST_HOME_S = 60.0, 600.0
ANSWERS_S = 1.0  # of the disk
_WHAT_TO_DO = "look at the disk: the connection is made with what was read before"

_log = structlog.get_logger()


class Route:
    """Of one connection. `papers` and `addresses` are asked anew for each channel: a gateway that was enrolled again needs no restart."""

    def __init__(
        self,
        addresses: Callable[[], Sequence[str]],
        papers: Callable[[], ClientPapers],
        unknown: Callable[[], bool] = lambda: False,
        home_after_s: float = HOME_AFTER_S,
    ) -> None:
        """`unknown` is called when no address knows the certificate; True when there are other papers now."""
        self._addresses, self._papers, self._unknown = addresses, papers, unknown
        self._home_after_s = self._wait_s = home_after_s
        self._at, self._refusals, self._since_s = 0, 0, time.monotonic()
        self._disk = Beside()
        self._known: tuple[Sequence[str], ClientPapers] | None = None

    @property
    def address(self) -> str:
        """Where the connection is, or goes next."""
        addresses = self._known_addresses
        return addresses[self._at % len(addresses)] if addresses else ""

    async def open(self, *, home: bool = False) -> grpc.aio.Channel:
        """Make a channel to the present address, or to the first with `home`; IdentityError when the papers cannot be used."""
        try:
            self._known = await self._disk.ask(lambda: (tuple(self._addresses()), self._papers()), ANSWERS_S)
        except OSError as error:
            if self._known is None:
                msg = f"the identity cannot be read now: {str(error) or 'the disk does not answer'}"
                raise IdentityError(msg) from error
            _log.warning("identity-not-read", reason=str(error) or "the disk does not answer", what_to_do=_WHAT_TO_DO)
        _, papers = self._known
        return make_channel(self._known_addresses[0] if home else self.address, papers)

    @property
    def is_alone(self) -> bool:
        """Whether there is no other address to turn to, as far as is known."""
        return len(self._known_addresses) < 2

    @property
    def _known_addresses(self) -> Sequence[str]:
        return () if self._known is None else self._known[0]

    def home_in_s(self) -> float | None:
        """In how long the first address is to be tried; None on the way there."""
        return None if self._at == 0 else max(0.0, self._since_s + self._wait_s - time.monotonic())

    def went_home(self) -> None:
        """The connection goes over to the first address."""
        self._at = 0

    def stays(self) -> None:
        """The first address does not answer: wait longer before it is tried again."""
        self._since_s = time.monotonic()
        self._wait_s = min(2 * self._wait_s, LONGEST_HOME_S) * random.uniform(0.75, 1.0)

    def greeted(self) -> None:
        """The hub has said hello."""
        self._refusals = 0
        self._since_s = time.monotonic()
        if self._at == 0:
            self._wait_s = self._home_after_s * random.uniform(1.0, 1.25)

    async def fell(self, *, was_greeted: bool, unknown: bool = False) -> bool:
        """The connection has ended; True when every address was tried, so that it is time for a pause."""
        if was_greeted:
            self._at = 0
            return True
        if self._at == 0:
            self.stays()
        self._refusals += unknown
        self._at += 1
        count = len(self._known_addresses)
        if self._at < count:
            return False
        everywhere = self._refusals >= count
        self._at = self._refusals = 0
        if not everywhere:
            return True
        try:
            return not await self._disk.ask(self._unknown, ANSWERS_S)
        except OSError:
            return True
