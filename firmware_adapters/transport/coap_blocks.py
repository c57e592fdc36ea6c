"""Puts a body together that comes in blocks (RFC 7959, Block1), with a bound on what one sender may make us keep. Sans-I/O.

Who the sender is, and what an answer looks like, is coap.py's.
"""

from dataclasses import dataclass
from enum import Enum

from protocols.package import MAX_BYTES

LARGEST_SIZE_EXPONENT = 6  # 1024 bytes; 7 is for TCP (RFC 8323)


class BlockFault(Enum):
    """Why a block cannot be taken."""

    INCOMPLETE = "the blocks before it are not here: begin with block 0"
    TOO_LARGE = f"at most {MAX_BYTES} bytes a package"
    WRONG_SIZE = "a block has the size that its option says, and only the last may be shorter"


class BlockError(Exception):
    """A block that ends its transfer."""

    def __init__(self, fault: BlockFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Block:
    """What the option says of a block."""

    number: int
    more: bool
    size_exponent: int  # 0 to 6: 16 to 1024 bytes


class Blocks:
    """One transfer a sender: its block 0 ends what it had begun before, so that a sender keeps one body of ours at most."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._bodies: dict[str, tuple[int | None, bytearray]] = {}

    def take(self, sender: str, content_format: int | None, block: Block, payload: bytes) -> bytes | None:
        """The whole body with its last block, None before; BlockError. `content_format` must be the same in all blocks."""
        size = 1 << (block.size_exponent + 4)
        if block.size_exponent > LARGEST_SIZE_EXPONENT or len(payload) > size or (block.more and len(payload) != size):
            self._bodies.pop(sender, None)
            raise BlockError(BlockFault.WRONG_SIZE)
        if block.number == 0:
            self._bodies[sender] = (content_format, bytearray())
        begun_as, body = self._bodies.get(sender, (None, None))
        if body is None or begun_as != content_format or len(body) != block.number * size:
            raise BlockError(BlockFault.INCOMPLETE)
        if len(body) + len(payload) > self._limit:
            del self._bodies[sender]
            raise BlockError(BlockFault.TOO_LARGE)
        body += payload
        if block.more:
            return None
        del self._bodies[sender]
        return bytes(body)
