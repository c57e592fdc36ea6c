"""A block can be read again, however many and however small the groups are; what is too much for one is cut before."""

import numpy as np
import pytest

from hub.store import blocks
from hub.store.blocks import MAX_GROUPS, Group, most_groups, pack, parts, unpack
from protocols.errors import DecodeError


def single_samples(count: int, leads: int = 1) -> list[Group]:
    """As of a device that sends each sample by itself, numbered through."""
    samples = np.arange(count * leads, dtype=np.int64).astype(np.int16).reshape(leads, count)
    return [Group(i * 2000, 1, i, b"", samples[:, i : i + 1], None, 0.0, 0.0, None) for i in range(count)]


def firsts(groups: list[Group]) -> list[tuple[int, int]]:
    return [(g.first_sample, int(g.samples[0, 0])) for g in groups]


def test_what_parts_cuts_is_packed_and_comes_out_again():
    count, cut = MAX_GROUPS + 1, 2
    groups = single_samples(count)
    found = list(parts(groups))
    assert (len(found), sum(map(len, found))) == (cut, count)
    again = [group for part in found for group in unpack(pack(part), 1, "<i2")]
    assert firsts(again) == firsts(groups)


@pytest.mark.parametrize("leads", [1, 12])
def test_a_block_that_could_not_be_read_again_is_not_made(leads: int):
    groups = single_samples(1, leads) * (most_groups(leads) + 1)
    with pytest.raises(ValueError, match="as parts"):
        pack(groups)


def test_marks_of_many_leads_have_room_for_fewer_groups():
    groups = single_samples(1, 256) * most_groups(256)
    assert most_groups(256) < MAX_GROUPS
    assert unpack(pack(groups[:1000]), 256, "<i2")[-1].n == 1
    assert max(map(len, parts(groups[:10_000]))) * 256 * 2 <= blocks.MAX_BLOCK_BYTES


def test_no_groups_are_no_block():
    assert list(parts([])) == []
    with pytest.raises(ValueError, match="0 groups"):
        pack([])


def test_a_block_of_an_earlier_version_with_more_groups_is_read(monkeypatch: pytest.MonkeyPatch):
    groups = single_samples(MAX_GROUPS + 50_000)
    with monkeypatch.context() as earlier:
        earlier.setattr(blocks, "MAX_GROUPS", 10**9)  # it cut by bytes alone
        block = pack(groups)
    assert firsts(unpack(block, 1, "<i2")) == firsts(groups)


def test_marks_that_claim_more_groups_than_can_be_are_refused_before_anything_is_made():
    block = pack(single_samples(10))
    with pytest.raises(DecodeError):
        unpack(
            blocks.Block(block.start_us, block.last_start_us, 10**9, block.n, block.codec, block.marks, block.samples),
            1,
            "<i2",
        )
