from aiocoap.interfaces import RequestInterface
from aiocoap.messagemanager import MessageManager
from aiocoap.protocol import Context

class TokenManager(RequestInterface):
    token_interface: MessageManager

    def __init__(self, context: Context) -> None: ...
