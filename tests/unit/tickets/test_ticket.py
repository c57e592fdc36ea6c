"""A ticket admits one person to one ward at one gateway for a shift, and whatever is not exactly that is refused with a reason."""

import base64
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocols.ticket import EARLY_S, MAX_CHARACTERS, Ticket, TicketError, issue, read

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
TICKET = Ticket("default", "7b", "gateway-7b", 12, "Li Na", ("nurse",), 1_000_000, 1_028_800, "n0nce", "Ward 7B")


def refused(
    text: str, *, key: bytes = PUBLIC, tenant: str = "default", gateway: str = "gateway-7b", now_s: float = 1_000_001
) -> str:
    with pytest.raises(TicketError) as caught:
        read(text, key, tenant=tenant, gateway=gateway, now_s=now_s)
    return caught.value.reason


def signed(claims: bytes) -> str:
    body = f"wlt1.{base64.urlsafe_b64encode(claims).rstrip(b'=').decode()}"
    return f"{body}.{base64.urlsafe_b64encode(KEY.sign(body.encode())).rstrip(b'=').decode()}"


def test_what_the_hub_says_is_what_the_gateway_reads() -> None:
    text = issue(TICKET, KEY)
    assert read(text, PUBLIC, tenant="default", gateway="gateway-7b", now_s=1_000_001) == TICKET
    assert TICKET.who == "user:12"
    chinese = replace(TICKET, name="李娜" * 40, ward_name="心内" * 30)
    assert len(issue(chinese, KEY)) < MAX_CHARACTERS


def test_a_hub_that_does_not_tell_the_wards_name_is_read_too() -> None:
    body = issue(TICKET, KEY).split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    del claims["ward_name"]
    text = signed(json.dumps(claims).encode())
    assert read(text, PUBLIC, tenant="default", gateway="gateway-7b", now_s=1_000_001) == replace(TICKET, ward_name="")


def test_another_hospitals_another_gateways_an_early_and_an_expired_ticket_are_refused() -> None:
    text = issue(TICKET, KEY)
    assert refused(text, tenant="other") == "tenant"
    assert refused(text, gateway="gateway-8a") == "gateway"
    assert refused(text, now_s=1_000_000 - EARLY_S - 1) == "early"
    assert refused(text, now_s=1_028_800) == "expired"
    read(text, PUBLIC, tenant="default", gateway="gateway-7b", now_s=1_028_799)
    read(text, PUBLIC, tenant="default", gateway="gateway-7b", now_s=1_000_000 - EARLY_S)


def test_a_ticket_that_somebody_else_signed_or_changed_is_refused() -> None:
    text = issue(TICKET, KEY)
    assert refused(text, key=Ed25519PrivateKey.generate().public_key().public_bytes_raw()) == "signature"
    assert refused(text, key=b"") == "signature"
    head, _, signature = text.rpartition(".")
    claims = json.loads(base64.urlsafe_b64decode(head.split(".")[1] + "=="))
    claims["ward"] = "8a"
    other = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    assert refused(f"wlt1.{other}.{signature}") == "signature"


@pytest.mark.parametrize("claims", [b"", b"[]", b"7", b'{"tenant": "default"}', b"\xff", b"[" * 100_000, b"{}"])
def test_signed_claims_that_are_none_are_refused_and_not_a_crash(claims: bytes) -> None:
    assert refused(signed(claims)) in {"claims", "form"}


def test_claims_of_other_types_are_refused() -> None:
    claims = json.loads(base64.urlsafe_b64decode(issue(TICKET, KEY).split(".")[1] + "=="))
    for name, wrong in (
        ("account", "12"),
        ("account", True),
        ("exp", 1.5),
        ("roles", [1]),
        ("roles", None),
        ("name", None),
    ):
        assert refused(signed(json.dumps(claims | {name: wrong}).encode())) == "claims", name


@given(st.text(max_size=60))
def test_any_text_is_refused(text: str) -> None:
    assert refused(text) in {"form", "signature"}


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_ticket_with_any_character_changed_is_refused(place: int, by: int) -> None:
    text = issue(TICKET, KEY)
    place %= len(text)
    changed = text[:place] + chr((ord(text[place]) + by) % 256) + text[place + 1 :]
    try:
        assert read(changed, PUBLIC, tenant="default", gateway="gateway-7b", now_s=1_000_001) == TICKET
    except TicketError:
        return
    # the last character of base64 has bits that nothing stands in
    assert place in {len(text) - 1, text.rindex(".") - 1}
