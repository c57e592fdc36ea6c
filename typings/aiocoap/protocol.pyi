import asyncio
from logging import Logger
from typing import Self

from aiocoap.credentials import CredentialsMap
from aiocoap.interfaces import RequestInterface, Resource
from aiocoap.message import Message

class Request:
    response: asyncio.Future[Message]

class Context:
    log: Logger
    loop: asyncio.AbstractEventLoop
    client_credentials: CredentialsMap
    server_credentials: CredentialsMap
    request_interfaces: list[RequestInterface]

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None = ...,
        serversite: Resource | None = ...,
        loggername: str = ...,
        client_credentials: CredentialsMap | None = ...,
        server_credentials: CredentialsMap | None = ...,
    ) -> None: ...
    @classmethod
    async def create_client_context(cls, *, loggername: str = ..., transports: list[str] | None = ...) -> Self: ...
    def request(self, request_message: Message, handle_blockwise: bool = ...) -> Request: ...
    async def shutdown(self) -> None: ...
