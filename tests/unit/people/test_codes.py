"""One-time codes against the vectors of RFC 6238 and another implementation's own, and what is kept of secrets and recovery codes."""

import base64
import hashlib
import hmac

import pytest

from hub.accounts.second import Codes, is_recovery_code
from hub.core.errors import InvalidError

SECRET = base64.b32encode(b"12345678901234567890").decode()  # RFC 6238, appendix B
CODES = Codes(bytes(range(32)))


@pytest.mark.parametrize(
    ("now_s", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_the_codes_of_the_specification_are_taken(now_s: int, code: str):
    assert CODES.step_of(SECRET, code, now_s, 0) == now_s // 30
    assert CODES.step_of(SECRET, f"{code[:3]} {code[3:]}", now_s, 0) == now_s // 30


def test_a_code_is_taken_once_and_for_a_step_of_drift():
    now_s, code = 1111111109, "081804"
    step = now_s // 30
    assert CODES.step_of(SECRET, code, now_s, step) is None, "a second time"
    assert [CODES.step_of(SECRET, code, now_s + 30 * late, 0) == step for late in (-2, -1, 0, 1, 2)] == [
        False, True, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "typed", ["", "abcdef", "12345", "1234567", "".join(chr(0xFF10 + int(one)) for one in "081804"), "-81804", "8180 4"]
)
def test_what_is_no_code_is_not_taken(typed: str):
    assert CODES.step_of(SECRET, typed, 1111111109, 0) is None


def test_a_fresh_secret_gives_the_codes_that_a_telephone_computes():
    secret = CODES.new_secret()
    key = base64.b32decode(secret)
    assert len(key) == 20
    counter = (1_800_000_000 // 30).to_bytes(8, "big")
    digest = hmac.new(key, counter, hashlib.sha1).digest()  # RFC 4226, 5.3
    start = digest[-1] & 15
    code = f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"
    assert CODES.step_of(secret, code, 1_800_000_000, 0) == 60_000_000


@pytest.mark.req("IOT-7.2c", surface="protocol")
def test_a_sealed_secret_opens_with_its_key_and_for_its_account_only():
    sealed = CODES.seal(SECRET, 7)
    assert SECRET.encode() not in sealed
    assert CODES.open(sealed, 7) == SECRET
    assert CODES.seal(SECRET, 7) != sealed
    for other, account in ((CODES, 8), (Codes(bytes(32)), 7)):
        with pytest.raises(InvalidError, match="another key"):
            other.open(sealed, account)


def test_recovery_codes_are_many_different_and_known_however_they_are_typed():
    codes = CODES.recovery_codes()
    assert len(set(codes)) == 10
    assert all(is_recovery_code(code) and not is_recovery_code("123456") for code in codes)
    typed = codes[0].lower().replace("-", " ")
    assert CODES.recovery_hash(typed, 7) == CODES.recovery_hash(codes[0], 7)
    assert CODES.recovery_hash(codes[0], 8) != CODES.recovery_hash(codes[0], 7)


def test_the_address_of_a_secret_names_issuer_and_account():
    assert CODES.address(SECRET, "li.na") == f"otpauth://totp/Wardlink:li.na?secret={SECRET}&issuer=Wardlink"
