"""A release is taken for its signature, its bytes and what it says of itself; anything else is refused with the reason."""

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edge.spool.frame import READS, SEALED
from edge.update.checks import Here, check_head, check_room, missing
from edge.update.install import FileSource, fetch_head, trusted_keys
from protocols.link import VERSION as UPLINK
from protocols.release import (
    FileCheck,
    Formats,
    Head,
    Manifest,
    ReleaseError,
    ReleaseFile,
    Version,
    head_bytes,
    read_head,
    sign,
    signed_by,
)
from tests.fixtures.releases import ROOT, public_pem

KEY, NEXT_KEY, STRANGER = (Ed25519PrivateKey.generate() for _ in range(3))
OWN = ReleaseFile("wardlink-1.4.0-py3-none-any.whl", "a" * 64, 4, 100)
NUMPY = ReleaseFile("numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.whl", "b" * 64, 6, 200)
MANIFEST = Manifest("1.4.0", "1.2.0", "", "cp311", "linux_x86_64", Formats(2, 1), (OWN, NUMPY))
HERE = Here("1.3.0", "cp311", "linux_x86_64", frozenset({1, 2}), 1)


def head(manifest: Manifest = MANIFEST, *keys: Ed25519PrivateKey) -> Head:
    data = manifest.to_bytes()
    read = read_head(head_bytes(data, tuple(sign(data, key) for key in keys or (KEY,))))
    assert read is not None
    return read


def test_a_release_in_order_is_taken_and_during_a_rotation_by_gateways_with_either_key():
    public, following = KEY.public_key(), NEXT_KEY.public_key()
    for trusted in ([public], [following], [following, public]):
        check_head(head(MANIFEST, KEY, NEXT_KEY), trusted, HERE)
    check_head(head(), [following, public], HERE)


@pytest.mark.parametrize(
    ("reason", "manifest", "here"),
    [
        ("platform", replace(MANIFEST, machine="linux_aarch64"), HERE),
        ("platform", replace(MANIFEST, python="cp312"), HERE),
        ("downgrade", MANIFEST, replace(HERE, version="1.4.0")),
        ("downgrade", MANIFEST, replace(HERE, version="1.10.0")),
        ("downgrade", replace(MANIFEST, downgrade_from="1.5.0"), replace(HERE, version="1.6.0")),
        ("oldest", MANIFEST, replace(HERE, version="1.1.9")),
        ("version", MANIFEST, replace(HERE, version="unknown")),
        ("spool", replace(MANIFEST, formats=Formats(3, 1)), HERE),
        ("uplink", replace(MANIFEST, formats=Formats(2, 2)), HERE),
    ],
)
def test_a_release_that_is_not_for_this_gateway_is_refused(reason: str, manifest: Manifest, here: Here):
    with pytest.raises(ReleaseError) as refused:
        check_head(head(manifest), [KEY.public_key()], here)
    assert refused.value.reason == reason


def test_going_back_needs_the_version_to_go_back_from_in_what_was_signed():
    check_head(head(replace(MANIFEST, downgrade_from="1.5.0")), [KEY.public_key()], replace(HERE, version="1.5.0"))


def test_nothing_is_taken_without_a_signature_by_a_key_of_this_gateway():
    data = MANIFEST.to_bytes()
    unsigned = read_head(head_bytes(data, ()))
    assert unsigned is not None
    other = replace(MANIFEST, machine="any").to_bytes()
    borrowed = Head(MANIFEST, data, (sign(other, KEY),))
    named_only = Head(MANIFEST, data, (replace(sign(data, STRANGER), key_id=sign(data, KEY).key_id),))
    no_release = Head(MANIFEST, data, (replace(sign(data, KEY), signature=KEY.sign(data)),))
    for one in (unsigned, head(MANIFEST, STRANGER), borrowed, named_only, no_release):
        with pytest.raises(ReleaseError) as refused:
            check_head(one, [KEY.public_key()], HERE)
        assert refused.value.reason == "signature"
    with pytest.raises(ReleaseError, match="takes no updates"):
        check_head(head(), [], HERE)


@given(st.integers(0), st.integers(1, 255))
def test_no_byte_of_a_signed_manifest_can_be_changed(place: int, by: int):
    data = bytearray(MANIFEST.to_bytes())
    signatures = (sign(bytes(data), KEY),)
    data[place % len(data)] ^= by
    assert signed_by(bytes(data), signatures, [KEY.public_key()]) is None


@given(st.binary(max_size=300))
def test_bytes_that_are_no_release_are_refused_or_waited_for(data: bytes):
    for begin in (b"", b"WLR1", head_bytes(MANIFEST.to_bytes(), ())[:-40]):
        with suppress(ReleaseError):
            read_head(begin + data)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"version": "newest"},
        {"version": "1.4.1"},  # of which there is no wheel
        {"files": []},
        {"files": [{"name": "../x-1-a-b-c.whl", "sha256": "a" * 64, "size": 1, "installed_bytes": 1}]},
        {"files": [{"name": OWN.name, "sha256": "A" * 64, "size": 1, "installed_bytes": 1}]},
        {"files": [{"name": OWN.name, "sha256": "a" * 64, "size": 1 << 40, "installed_bytes": 1}]},
        {"files": [{"name": OWN.name, "sha256": "a" * 64, "size": True, "installed_bytes": 1}]},
        {"files": [{"name": OWN.name, "sha256": "a" * 64, "size": 1, "installed_bytes": 1}] * 2},
        {"formats": {"spool": "2", "uplink": 1}},
        {"formats": None},
        {"machine": "linux x86"},
    ],
)  # fmt: skip
def test_a_manifest_that_says_something_odd_is_no_manifest(change: dict[str, object]):
    data = json.dumps({**json.loads(MANIFEST.to_bytes()), **change}).encode()
    with pytest.raises(ReleaseError) as refused:
        Manifest.from_bytes(data)
    assert refused.value.reason == "manifest"
    assert Manifest.from_bytes(MANIFEST.to_bytes()) == MANIFEST


def test_versions_stand_in_the_order_of_pep_440():
    rising = ["0.9.9", "1.0.0.dev1", "1.0.0rc1.dev2", "1.0.0rc1", "1.0.0rc2", "1.0", "1.0.1", "1.2.0", "1.10.0"]
    assert sorted(sorted(rising), key=Version.parse) == rising
    assert Version.parse("1.0") == Version.parse("1.0.0.0")


@given(st.lists(st.integers(1, 5)))
def test_files_are_compared_with_the_manifest_however_their_bytes_come(cuts: list[int]):
    contents = (b"four", b"sixsix")
    files = tuple(
        replace(file, sha256=hashlib.sha256(data).hexdigest())
        for file, data in zip((OWN, NUMPY), contents, strict=True)
    )
    good = head(replace(MANIFEST, files=files))

    def fed(data: bytes) -> None:
        check, at = FileCheck(good), 0
        for cut in (*cuts, len(data)):
            check.feed(data[at : at + cut])
            at += cut
        check.end()

    fed(b"".join(contents))
    assert good.places() == {
        files[0].sha256: (good.size, good.size + 4),
        files[1].sha256: (good.size + 4, good.size + 10),
    }
    for wrong in (b"foursixsiX", b"foursixsi", b"foursixsix!", b""):
        with pytest.raises(ReleaseError, match=r"manifest|ends within|behind the last"):
            fed(wrong)


def test_a_wheel_that_is_unpacked_or_installed_by_hand_is_not_fetched_again_but_wardlink_itself_is():
    assert missing(MANIFEST, set(), set()) == [0, 1]
    assert missing(MANIFEST, {NUMPY.sha256}, set()) == [0]
    assert missing(MANIFEST, set(), {("numpy", "2.4.6"), ("wardlink", "1.4.0")}) == [0]
    assert missing(MANIFEST, set(), {("numpy", "2.4.5")}) == [0, 1]
    assert ReleaseFile("prometheus_client-0.26.0-py3-none-any.whl", "", 1, 1).package == ("prometheus-client", "0.26.0")


def test_what_the_spool_may_still_take_is_not_given_to_a_release():
    check_room(10, 100, 90)
    with pytest.raises(ReleaseError) as refused:
        check_room(11, 100, 90)
    assert refused.value.reason == "disk"


def test_the_head_is_read_from_a_file_and_a_file_that_ends_too_early_is_no_release(tmp_path: Path):
    whole = head_bytes(MANIFEST.to_bytes(), ())
    path = tmp_path / "a.release"
    path.write_bytes(whole)
    assert asyncio.run(fetch_head(FileSource(path))).manifest == MANIFEST
    path.write_bytes(whole[:-1])
    with pytest.raises(ReleaseError):
        asyncio.run(fetch_head(FileSource(path)))


def test_keys_that_are_trusted_are_ed25519_and_a_file_that_is_none_is_told(tmp_path: Path):
    assert trusted_keys(tmp_path / "nowhere") == []
    (tmp_path / "a.pem").write_bytes(public_pem(KEY))
    assert len(trusted_keys(tmp_path)) == 1
    (tmp_path / "b.pem").write_bytes(b"no key")
    with pytest.raises(ReleaseError, match=r"b\.pem"):
        trusted_keys(tmp_path)


def test_what_a_wheel_says_that_its_version_writes_is_what_it_writes():
    said = json.loads((ROOT / "edge/formats.json").read_text())
    assert said == {"spool": SEALED, "uplink": UPLINK}
    assert SEALED in READS
