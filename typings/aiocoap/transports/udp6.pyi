import asyncio
from collections.abc import Sequence
from logging import Logger

from aiocoap.interfaces import MessageInterface
from aiocoap.messagemanager import MessageManager

class MessageInterfaceUDP6(MessageInterface):
    @classmethod
    async def create_server_transport_endpoint(
        cls,
        ctx: MessageManager,
        log: Logger,
        loop: asyncio.AbstractEventLoop,
        bind: tuple[str, int],
        multicast: Sequence[object],
    ) -> MessageInterfaceUDP6: ...
