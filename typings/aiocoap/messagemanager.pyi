from aiocoap.interfaces import EndpointAddress, MessageInterface
from aiocoap.message import Message
from aiocoap.tokenmanager import TokenManager

class MessageManager:
    message_interface: MessageInterface
    _recent_messages: dict[tuple[EndpointAddress, int | None], Message | None]

    def __init__(self, token_manager: TokenManager) -> None: ...
    def dispatch_message(self, message: Message) -> None: ...
    def _deduplicate_message(self, message: Message) -> bool: ...
