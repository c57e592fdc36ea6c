"""Bodies that come in blocks (RFC 7959): put together in order, bounded, and begun anew by block 0."""

import pytest

from firmware_adapters.transport.coap_blocks import Block, BlockError, BlockFault, Blocks

CBOR = 112


def refused(blocks: Blocks, block: Block, payload: bytes, content_format: int | None = CBOR) -> BlockFault:
    with pytest.raises(BlockError) as refusal:
        blocks.take("patch-4", content_format, block, payload)
    return refusal.value.fault


def test_a_body_is_whole_with_its_last_block():
    blocks = Blocks()
    assert blocks.take("patch-4", CBOR, Block(0, True, 0), b"a" * 16) is None
    assert blocks.take("patch-4", CBOR, Block(1, True, 0), b"b" * 16) is None
    assert blocks.take("patch-4", CBOR, Block(2, False, 0), b"c") == b"a" * 16 + b"b" * 16 + b"c"


def test_bodies_of_two_senders_are_kept_apart():
    blocks = Blocks()
    blocks.take("patch-4", CBOR, Block(0, True, 0), b"a" * 16)
    blocks.take("patch-5", CBOR, Block(0, True, 0), b"b" * 16)
    assert blocks.take("patch-4", CBOR, Block(1, False, 0), b"!") == b"a" * 16 + b"!"
    assert blocks.take("patch-5", CBOR, Block(1, False, 0), b"?") == b"b" * 16 + b"?"


def test_block_0_begins_anew():
    blocks = Blocks()
    blocks.take("patch-4", CBOR, Block(0, True, 0), b"a" * 16)
    blocks.take("patch-4", CBOR, Block(0, True, 0), b"b" * 16)
    assert blocks.take("patch-4", CBOR, Block(1, False, 0), b"") == b"b" * 16


def test_a_block_that_does_not_follow_is_incomplete():
    blocks = Blocks()
    assert refused(blocks, Block(1, False, 0), b"x") is BlockFault.INCOMPLETE
    blocks.take("patch-4", CBOR, Block(0, True, 0), b"a" * 16)
    assert refused(blocks, Block(2, True, 0), b"c" * 16) is BlockFault.INCOMPLETE
    assert refused(blocks, Block(1, True, 0), b"b" * 16, content_format=110) is BlockFault.INCOMPLETE
    assert blocks.take("patch-4", CBOR, Block(1, False, 0), b"b") == b"a" * 16 + b"b"


@pytest.mark.parametrize(
    ("block", "payload"),
    [(Block(0, True, 0), b"short"), (Block(0, False, 0), b"l" * 17), (Block(0, True, 7), b"7" * 1024)],
)
def test_a_block_of_another_size_than_it_says_ends_the_transfer(block: Block, payload: bytes):
    blocks = Blocks()
    blocks.take("patch-4", CBOR, Block(0, True, 0), b"a" * 16)
    assert refused(blocks, block, payload) is BlockFault.WRONG_SIZE
    assert refused(blocks, Block(1, False, 0), b"b") is BlockFault.INCOMPLETE


def test_no_sender_makes_the_door_keep_more_than_a_package():
    blocks = Blocks(limit=40)
    blocks.take("patch-4", CBOR, Block(0, True, 0), b"a" * 16)
    blocks.take("patch-4", CBOR, Block(1, True, 0), b"b" * 16)
    assert refused(blocks, Block(2, True, 0), b"c" * 16) is BlockFault.TOO_LARGE
    assert refused(blocks, Block(3, False, 0), b"d") is BlockFault.INCOMPLETE
