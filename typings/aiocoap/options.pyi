from collections.abc import Iterator
from typing import NamedTuple, Protocol

from aiocoap.numbers.optionnumbers import OptionNumber

class Block(NamedTuple):
    block_number: int
    more: bool | int
    size_exponent: int

class Option(Protocol):
    @property
    def number(self) -> OptionNumber: ...

class Options:
    uri_path: tuple[str, ...]
    content_format: int | None
    max_age: int | None
    size1: int | None
    block1: Block | tuple[int, bool | int, int] | None

    def option_list(self) -> Iterator[Option]: ...
