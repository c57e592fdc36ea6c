"""What lies on disk is sealed, a changed byte is damage, keys change, and a key that is not there costs nothing but the start."""

import asyncio
import hashlib
import hmac
import shutil
import struct
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.spool import CipherName, KeptIn, KeySource, Limits, Spool, SpoolKeyError
from edge.spool.keys import MasterKey, sm4_gcm
from edge.spool.succession import finish_succession, succeed
from protocols.link import Lane, Position
from protocols.nomenclature import EVT_FAULT, SPOOL_CORRUPT, V_FIB
from protocols.record import NS_PER_S, DeviceEvent, Times
from protocols.wire import Arrival, decode_batch, decode_record
from tests.fixtures.spool_records import ECG, T0_NS, alarm, heart_rate, noisy_waveform, waveform

RELEASED = Path(__file__).parents[2] / "captures" / "spool" / "v1"  # written by the agent of version 0.1.0
SMALL = Limits(total_bytes=64 * 4096, segment_bytes=4096, alarm_segment_bytes=4096)
MARKER = "only-for-the-ward"
HEADER = struct.Struct("<4sBBHIQq16s")  # as docs/explanation/spool.md has it


@asynccontextmanager
async def opened(
    folder: Path, *, limits: Limits = SMALL, credential: Path | None = None, cipher: CipherName = CipherName.AES
) -> AsyncGenerator[Spool]:
    keys = KeySource(folder / "spool.key", credential, cipher)
    spool = await Spool.open(folder / "spool", lambda: T0_NS, limits, keys)
    try:
        yield spool
    finally:
        await spool.close()


def records(spool: Spool, lane: Lane, n: int):
    data = spool.read(lane, n)
    assert data is not None, f"{lane.name} {n} is missing"
    return [decode_record(e.record) for e in decode_batch(data).records]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def frames(segment: bytes) -> list[tuple[int, bytes, bytes]]:
    """(offset, header, body) of each frame in a segment."""
    found: list[tuple[int, bytes, bytes]] = []
    at = 0
    while segment[at : at + 4] == b"WLF1":
        header = segment[at : at + HEADER.size]
        length = HEADER.unpack(header)[4]
        body = segment[at + HEADER.size + 4 :][:length]
        found.append((at, header, body))
        at += HEADER.size + 4 + length
    return found


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869 with SHA-256, for one block."""
    extracted = hmac.digest(salt or bytes(32), secret, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)[:size]


def report(text: str) -> DeviceEvent:
    return DeviceEvent(ECG, EVT_FAULT, Times(T0_NS, corrected_ns=T0_NS), (("bytes", text),))


@pytest.mark.parametrize("cipher", CipherName)
async def test_nothing_of_what_was_measured_lies_open_on_the_disk(tmp_path: Path, cipher: CipherName):
    going = alarm()
    async with opened(tmp_path, cipher=cipher) as spool:
        await spool.append(Lane.EVENT, [report(MARKER)])
        await spool.append(Lane.ALARM, [going])
        await spool.append(Lane.WAVEFORM, [waveform(0)])
        plain = spool.read(Lane.WAVEFORM, 1) or b""
        running = contents(tmp_path)
    for there in (running, contents(tmp_path)):
        assert {"spool/index.sqlite3", "spool/waveform/00000001.seg"} <= set(there)
        for name, data in there.items():
            assert MARKER.encode() not in data, name
            assert V_FIB.encode() not in data, f"{name} tells of an alarm"
            assert plain[20:60] not in data, name
    async with opened(tmp_path, cipher=cipher) as spool:
        assert records(spool, Lane.EVENT, 1) == [report(MARKER)]
        assert records(spool, Lane.WAVEFORM, 1) == [waveform(0)]
        assert spool.active_alarms() == [going]


@pytest.mark.parametrize("repeated", [1, 20])
async def test_a_frame_opens_by_what_the_docs_say_of_it(tmp_path: Path, repeated: int):
    async with opened(tmp_path) as spool:
        await spool.append(Lane.NUMERIC, [heart_rate(61)] * repeated)
        payload, epoch = spool.read(Lane.NUMERIC, 1), spool.epoch
    secret = bytes.fromhex((tmp_path / "spool.key").read_text())
    [(_, header, body)] = frames((tmp_path / "spool" / "record" / "00000001.seg").read_bytes())
    magic, version, flags, lane, length, n, closed_ns, told = HEADER.unpack(header)
    assert (magic, version, lane, length, n, closed_ns, told) == (
        b"WLF1", 2, Lane.NUMERIC, len(body), 1, T0_NS, epoch,
    )  # fmt: skip
    assert body[:8] == hkdf(secret, b"", b"wardlink spool key id\0aes-256-gcm", 8)
    info = b"wardlink spool frames" + struct.pack("<BI", 2, 1) + b"\0aes-256-gcm"
    key = hkdf(secret, epoch, info, 32)
    plain = AESGCM(key).decrypt(body[8:20], body[20:], header)
    assert flags in (0, 2)
    assert (zlib.decompress(plain, -15) if flags else plain) == payload


def test_sm4_gcm_is_that_of_rfc_8998():
    """RFC 8998, appendix A.1."""
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    nonce = bytes.fromhex("00001234567800000000abcd")
    header = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    plain = bytes.fromhex("aa" * 8 + "bb" * 8 + "cc" * 8 + "dd" * 8 + "ee" * 8 + "ff" * 8 + "ee" * 8 + "aa" * 8)
    sealed = bytes.fromhex(
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
        "83de3541e4c2b58177e065a9bf7b62ec"
    )
    assert sm4_gcm(key).encrypt(nonce, plain, header) == sealed
    assert sm4_gcm(key).decrypt(nonce, sealed, header) == plain


@pytest.mark.parametrize("cipher", CipherName)
async def test_a_changed_byte_is_damage_even_when_its_checksum_was_made_to_fit(tmp_path: Path, cipher: CipherName):
    async with opened(tmp_path / "as-written", cipher=cipher) as spool:
        for i in range(3):
            await spool.append(Lane.WAVEFORM, [waveform(25 * i)])
    segment = tmp_path / "as-written" / "spool" / "waveform" / "00000001.seg"
    written = segment.read_bytes()
    at, header, body = frames(written)[1]
    version, closed, key_id, nonce, text, tag = 4, 24, 0, 8, 20, len(body) - 1
    for place in (version, closed, *(HEADER.size + i for i in (key_id, nonce, text, text + 40, tag))):
        folder = tmp_path / str(place)
        shutil.copytree(tmp_path / "as-written", folder)
        whole = bytearray(header + body)
        whole[place] = 1 if place == version else whole[place] ^ 0x10
        crc = zlib.crc32(whole)
        forged = bytes(whole[: HEADER.size]) + struct.pack("<I", crc) + bytes(whole[HEADER.size :])
        changed = written[:at] + forged + written[at + len(forged) :]
        (folder / "spool" / "waveform" / "00000001.seg").write_bytes(changed)
        (folder / "spool" / "index.sqlite3").unlink()
        async with opened(folder, cipher=cipher) as spool:
            assert spool.read(Lane.WAVEFORM, 2) is None, f"byte {place}"
            assert spool.held(Lane.WAVEFORM) == [(1, 1), (3, 3)]
            [gap] = await spool.gaps_for(Lane.WAVEFORM, 2, 2)
            assert (gap.reason, gap.from_sample, gap.to_sample) == (SPOOL_CORRUPT, 25, 50)


async def test_a_segment_in_the_place_of_another_is_no_data(tmp_path: Path):
    async with opened(tmp_path) as spool:
        for i in range(60):
            await spool.append(Lane.WAVEFORM, [noisy_waveform(25 * i)])
        held = {n for a, b in spool.held(Lane.WAVEFORM) for n in range(a, b + 1)}
    folder = tmp_path / "spool" / "waveform"
    assert len(list(folder.glob("*.seg"))) > 2
    first = {HEADER.unpack(header)[5] for _, header, _ in frames((folder / "00000001.seg").read_bytes())}
    shutil.copy(folder / "00000002.seg", folder / "00000001.seg")
    (tmp_path / "spool" / "index.sqlite3").unlink()
    async with opened(tmp_path) as spool:
        assert {n for a, b in spool.held(Lane.WAVEFORM) for n in range(a, b + 1)} == held - first


async def test_no_nonce_comes_twice_under_a_key_not_even_when_a_disk_was_copied(tmp_path: Path):
    async with opened(tmp_path / "one") as spool:
        await spool.append(Lane.WAVEFORM, [waveform(0)])
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    for copy in ("one", "other"):
        async with opened(tmp_path / copy) as spool:
            for i in range(1, 20):
                assert await spool.append(Lane.WAVEFORM, [waveform(25 * i)]) == i + 1
    both = [
        frame
        for copy in ("one", "other")
        for frame in frames((tmp_path / copy / "spool" / "waveform" / "00000001.seg").read_bytes())
    ]
    assert len(both) == 40
    sealings = {(body[:20], header, body[20:]) for _, header, body in both}
    assert len({body[:20] for _, _, body in both}) == len(sealings) == 39, "the first is in both, as it was copied"


async def test_a_spool_of_the_released_version_is_read_and_written_on_sealed(tmp_path: Path):
    shutil.copytree(RELEASED, tmp_path / "spool")
    before = contents(tmp_path)
    assert any(V_FIB.encode() in data for name, data in before.items() if "index" in name), "it lay open"
    async with opened(tmp_path) as spool:
        assert [records(spool, Lane.WAVEFORM, n) for n in range(1, 41)] == [[waveform(25 * i)] for i in range(40)]
        assert records(spool, Lane.NUMERIC, 5) == [heart_rate(64)]
        [going] = spool.active_alarms()
        assert (going.id, going.code) == (UUID(int=1), V_FIB)
        assert list(spool.stored(Lane.WAVEFORM)) == [(1, 3)]
        assert spool.arrivals()[Lane.NUMERIC] == [Arrival("m-1", bytes([i]) * 16) for i in range(5)]
        assert await spool.append(Lane.WAVEFORM, [waveform(1000)]) == 41
        assert await spool.append(Lane.ALARM, [alarm(id=UUID(int=3))]) == 3
    after = contents(tmp_path)
    assert all(after[name] == data for name, data in before.items() if name.endswith(".seg")), "no segment was changed"
    new = {name for name in after if name.endswith(".seg")} - set(before)
    assert new == {"spool/waveform/00000003.seg", "spool/alarm/00000002.seg"}
    assert not any(V_FIB.encode() in data for name, data in after.items() if name in new or "index" in name)
    (tmp_path / "spool" / "index.sqlite3").unlink()
    async with opened(tmp_path) as spool:
        assert spool.held(Lane.WAVEFORM) == [(1, 41)]
        assert {a.id for a in spool.active_alarms()} == {UUID(int=1), UUID(int=3)}


@pytest.mark.parametrize("mark", ["kept", "changed", "removed"])
async def test_frames_that_are_not_sealed_cannot_be_added_later(tmp_path: Path, mark: str):
    shutil.copytree(RELEASED, tmp_path / "spool")
    async with opened(tmp_path) as spool:
        await spool.append(Lane.WAVEFORM, [waveform(1000)])
    folder = tmp_path / "spool" / "waveform"
    old = (folder / "00000002.seg").read_bytes()
    at, header, body = frames(old)[0]
    fields = list(HEADER.unpack(header))
    fields[5] = 42  # a batch that the spool never made
    forged = HEADER.pack(*fields)
    (folder / "00000004.seg").write_bytes(
        (forged + struct.pack("<I", zlib.crc32(body, zlib.crc32(forged))) + body).ljust(4096, b"\0")
    )
    (tmp_path / "spool" / "index.sqlite3").unlink()
    path = tmp_path / "spool" / "sealed-from"
    if mark == "changed":
        path.write_text(path.read_text().replace('"3": 2', '"3": 4'))
    elif mark == "removed":
        path.unlink()
    async with opened(tmp_path) as spool:
        assert spool.read(Lane.WAVEFORM, 42) is None
        assert spool.held(Lane.WAVEFORM) == ([(1, 41)] if mark == "kept" else [(41, 41)])
    assert at == 0


@pytest.mark.parametrize("loss", ["gone", "another", "a credential that is not passed on"])
async def test_a_key_that_is_not_there_is_told_and_nothing_is_touched(tmp_path: Path, loss: str):
    credential = tmp_path / "credentials" / "spool.key"
    if "credential" in loss:
        credential.parent.mkdir()
        credential.write_text("ab" * 32)
    async with opened(tmp_path, credential=credential) as spool:
        await spool.append(Lane.WAVEFORM, [waveform(0)])
        await spool.append(Lane.ALARM, [alarm()])
    sealed = frames((tmp_path / "spool" / "alarm" / "00000001.seg").read_bytes())[0][2][:8].hex()
    match loss:
        case "gone":
            (tmp_path / "spool.key").rename(tmp_path / "kept-elsewhere")
        case "another":
            (tmp_path / "spool.key").rename(tmp_path / "kept-elsewhere")
            (tmp_path / "spool.key").write_text("cd" * 32 + "\n")
            (tmp_path / "spool.key").chmod(0o600)
        case _:
            credential.rename(tmp_path / "kept-elsewhere")
    before = contents(tmp_path)
    with pytest.raises(SpoolKeyError) as told:
        async with opened(tmp_path, credential=credential):
            pass
    assert contents(tmp_path) == before
    for said in (sealed, str(tmp_path / "spool.key"), str(credential), "alarm/00000001.seg", "Nothing was changed"):
        assert said in str(told.value)
    match loss:
        case "a credential that is not passed on":
            (tmp_path / "kept-elsewhere").rename(credential)
        case _:
            (tmp_path / "kept-elsewhere").replace(tmp_path / "spool.key")
    async with opened(tmp_path, credential=credential) as spool:
        assert records(spool, Lane.WAVEFORM, 1) == [waveform(0)]


async def test_a_key_that_was_replaced_is_needed_until_its_segments_have_gone(tmp_path: Path):
    async with opened(tmp_path) as spool:
        await spool.append(Lane.NUMERIC, [heart_rate(60)])
        assert spool.key_kept_in is KeptIn.FILE
    old = (tmp_path / "spool.key").read_text()
    credential = tmp_path / "credential"
    credential.write_text("ef" * 32 + "\n")
    async with opened(tmp_path, credential=credential) as spool:
        assert (spool.key_kept_in, spool.older_keys) == (KeptIn.CREDENTIAL, 1)
        assert records(spool, Lane.NUMERIC, 1) == [heart_rate(60)]
        assert await spool.append(Lane.NUMERIC, [heart_rate(61)]) == 2
    (tmp_path / "spool.key").unlink()
    with pytest.raises(SpoolKeyError, match=r"record/00000001\.seg"):
        async with opened(tmp_path, credential=credential):
            pass
    credential.write_text("ef" * 32 + "  # the new one\n" + old)
    keys = KeySource(tmp_path / "spool.key", credential)
    open_ns = [0]
    spool = await Spool.open(tmp_path / "spool", lambda: T0_NS, SMALL, keys, lambda: open_ns[0])
    spool.acknowledged(Lane.NUMERIC, Position([(1, 2)]))
    for open_ns[0] in (NS_PER_S, 25 * 3600 * NS_PER_S):
        await asyncio.wrap_future(spool._in_writer(spool._bulk_writer, spool._store.retire))
    await spool.close()
    credential.write_text("ef" * 32 + "\n")
    async with opened(tmp_path, credential=credential) as spool:
        assert (spool.older_keys, spool.held(Lane.NUMERIC)) == (0, [(2, 2)])


async def test_the_cipher_may_change_and_what_the_other_sealed_is_read(tmp_path: Path):
    for cipher, value in ((CipherName.AES, 60), (CipherName.SM4, 61), (CipherName.AES, 62)):
        async with opened(tmp_path, cipher=cipher) as spool:
            await spool.append(Lane.NUMERIC, [heart_rate(value)])
    async with opened(tmp_path, cipher=CipherName.SM4) as spool:
        assert [records(spool, Lane.NUMERIC, n) for n in (1, 2, 3)] == [[heart_rate(v)] for v in (60, 61, 62)]


async def test_a_spool_that_is_begun_anew_is_sealed_with_the_same_key(tmp_path: Path):
    going = alarm()
    async with opened(tmp_path) as spool:
        await spool.append(Lane.ALARM, [going])
        epoch = spool.epoch
    keys = KeySource(tmp_path / "spool.key")
    assert await succeed(tmp_path / "spool", lambda: T0_NS, SMALL, keys) == 1
    async with opened(tmp_path) as spool:
        assert spool.epoch != epoch
        assert records(spool, Lane.ALARM, 1) == [going]
    # broken off before anything was carried over, and the key is away when it is to go on
    await asyncio.to_thread((tmp_path / "spool").rename, tmp_path / "spool.superseded")
    (tmp_path / "spool.key").rename(tmp_path / "kept-elsewhere")
    with pytest.raises(SpoolKeyError):
        await finish_succession(tmp_path / "spool", lambda: T0_NS, SMALL, keys)
    (tmp_path / "kept-elsewhere").rename(tmp_path / "spool.key")
    await finish_succession(tmp_path / "spool", lambda: T0_NS, SMALL, keys)
    async with opened(tmp_path) as spool:
        assert records(spool, Lane.ALARM, 1) == [going]


async def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path):
    async with opened(tmp_path):
        pass
    path = tmp_path / "spool.key"
    assert path.stat().st_mode & 0o777 == 0o600
    made = path.read_text()
    assert len(bytes.fromhex(made)) == 32
    async with opened(tmp_path):
        pass
    assert path.read_text() == made
    path.chmod(0o640)
    with pytest.raises(SpoolKeyError, match="may be read by others; run chmod 600"):
        async with opened(tmp_path):
            pass


async def test_no_file_is_made_where_there_is_a_credential(tmp_path: Path):
    credential = tmp_path / "credential"
    credential.write_text("ab" * 32)
    async with opened(tmp_path, credential=credential) as spool:
        assert spool.key_kept_in is KeptIn.CREDENTIAL
    assert not (tmp_path / "spool.key").exists()


@pytest.mark.parametrize("text", ["", "# nothing\n", "12 34\n", "ab" * 31, "zz" * 32])
async def test_a_file_without_a_key_is_named_with_its_line(tmp_path: Path, text: str):
    path = tmp_path / "spool.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SpoolKeyError, match=r"spool\.key(, line 1: | holds no key: )expected a"):
        async with opened(tmp_path):
            pass
    assert path.read_text() == text


def test_a_key_does_not_show_itself():
    assert "abab" not in repr(MasterKey(b"\xab" * 32, CipherName.AES))
