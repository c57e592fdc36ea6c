from typing import Self

from aiocoap.interfaces import EndpointAddress
from aiocoap.numbers.codes import Code
from aiocoap.options import Options

class Message:
    code: Code
    payload: bytes
    opt: Options
    remote: EndpointAddress
    mid: int | None

    def __init__(
        self,
        *,
        code: Code | None = ...,
        payload: bytes = ...,
        uri: str | None = ...,
        content_format: int | None = ...,
        max_age: int | None = ...,
        size1: int | None = ...,
        block1: tuple[int, bool | int, int] | None = ...,
        **options: object,
    ) -> None: ...
    @classmethod
    def decode(cls, rawdata: bytes, remote: EndpointAddress | None = ...) -> Self: ...
    def encode(self) -> bytes: ...
