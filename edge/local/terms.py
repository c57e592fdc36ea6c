"""What the hub said about the local page: which pages may ask it, and by what tickets are checked. Kept on disk: the hub may be away."""

import base64
import binascii
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from google.protobuf.message import DecodeError as ProtobufError

from edge.durable import Kept
from protocols import ticket
from protocols.link import PAGE_ORIGIN, TICKET_KEY
from protocols.uplink_pb2 import Settings

if TYPE_CHECKING:
    from protocols.ticket import Ticket

_KEY_BYTES = 32


class Terms:
    """Read once at start; what `save` took holds at once, and behind a restart where the disk took it."""

    def __init__(self, path: Path, tenant: str, gateway: str, now_s: Callable[[], float] = time.time) -> None:
        """`path`: where the hub's last word is kept."""
        self._kept, self._tenant, self._gateway, self._now_s = Kept(path), tenant, gateway, now_s
        self.origin = ""
        self._key = b""
        said = "nothing: the hub sends them again"
        found = self._kept.read(Settings.FromString, "settings-damaged", said, refused=ProtobufError)
        self._take(found or Settings())

    def admit(self, text: str) -> "Ticket":
        """Who comes with this ticket; TicketError."""
        if not self._key:
            raise ticket.TicketError("no-key", "the hub has never told this gateway by what tickets are checked")
        return ticket.read(text, self._key, tenant=self._tenant, gateway=self._gateway, now_s=self._now_s())

    def name_in(self, text: str) -> str:
        """Whom a ticket names that this gateway took once; "" when it cannot be checked any more."""
        try:
            return self.admit(text).name
        except ticket.TicketError:
            return ""

    def holds(self, admitted: "Ticket") -> bool:
        """Whether a ticket that was let in still is one."""
        return self._now_s() < admitted.not_after_s

    async def save(self, settings: Settings) -> None:
        """Keep what the hub says now."""
        self._take(settings)
        await self._kept.write(settings.SerializeToString(deterministic=True))

    def _take(self, settings: Settings) -> None:
        said = {one.key: one.value for one in settings.settings}
        self.origin = said.get(PAGE_ORIGIN, "")
        try:
            key = base64.b64decode(said.get(TICKET_KEY, ""), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if key and len(key) != _KEY_BYTES:
            structlog.get_logger().error("ticket-key-refused", bytes=len(key), what_to_do="run a hub of this version")
            key = b""
        self._key = key
