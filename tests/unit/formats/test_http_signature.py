"""Signed requests against the published vector of RFC 9421, and what is left out of the standard is refused."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from protocols.http_signature import Request, SignatureError, base, verify
from tests.fixtures.signed_http import Device

NOW = 1_790_000_000.0


def test_the_signature_of_rfc_9421_appendix_b_2_6_holds_over_our_base():
    key = load_der_public_key(base64.b64decode("MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="))
    assert isinstance(key, Ed25519PublicKey)
    fields = {"date": "Tue, 20 Apr 2021 02:07:55 GMT", "content-type": "application/json", "content-length": "18"}
    covered = ("date", "@method", "@path", "@authority", "content-type", "content-length")
    params = " ".join(f'"{c}"' for c in covered)
    signature = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    signed = base(
        Request("POST", "example.com", "/foo", fields, b'{"hello": "world"}'),
        covered,
        f'({params});created=1618884473;keyid="test-key-ed25519"',
    )
    key.verify(base64.b64decode(signature), signed)


def request(device: Device, body: bytes = b"{}", created: float = NOW) -> Request:
    headers = device.headers("gateway:8443", "/packages", "application/json", body, created=created)
    return Request("POST", "gateway:8443", "/packages", headers, body)


def test_a_good_signature_names_its_device():
    device = Device("monitor-5")
    signed = verify(request(device), {"monitor-5": device.key.public_key()}, NOW, 300)
    assert (signed.keyid, signed.created_s) == ("monitor-5", NOW)


@pytest.mark.parametrize("off_s", [-299, 299])
def test_a_clock_may_be_off_by_the_window(off_s: float):
    device = Device("monitor-5")
    verify(request(device, created=NOW + off_s), {"monitor-5": device.key.public_key()}, NOW, 300)


@pytest.mark.parametrize("off_s", [-301, 301])
def test_a_clock_that_is_off_by_more_is_told(off_s: float):
    device = Device("monitor-5")
    with pytest.raises(SignatureError, match="set the device's clock"):
        verify(request(device, created=NOW + off_s), {"monitor-5": device.key.public_key()}, NOW, 300)


@pytest.mark.parametrize("part", ["method", "authority", "path", "content-type", "content-digest", "body"])
def test_whatever_is_covered_cannot_be_changed(part: str):
    device = Device("monitor-5")
    good = request(device)
    fields = {**good.fields, **({part: "text/csv"} if part in good.fields else {})}
    changed = Request(
        "PUT" if part == "method" else good.method,
        "other" if part == "authority" else good.authority,
        "/other" if part == "path" else good.path,
        fields,
        b"[]" if part == "body" else good.body,
    )
    with pytest.raises(SignatureError):
        verify(changed, {"monitor-5": device.key.public_key()}, NOW, 300)


@pytest.mark.parametrize(
    "said",
    [
        'sig1=("@method";req);created=1;keyid="monitor-5"',  # component parameters
        'sig1=("@method" "@method");created=1;keyid="monitor-5"',
        'sig1=("@method");created=1;created=2;keyid="monitor-5"',
        'sig1=("@method");created=1;keyid="monitor-5", sig2=("@path");created=1;keyid="monitor-5"',
        "sig1=();created=1",
        "sig1",
        "",
    ],
)
def test_what_this_door_does_not_read_of_the_standard_is_refused(said: str):
    device = Device("monitor-5")
    good = request(device)
    with pytest.raises(SignatureError, match="signature-input"):
        verify(
            Request("POST", good.authority, good.path, {**good.fields, "signature-input": said}, good.body),
            {"monitor-5": device.key.public_key()},
            NOW,
            300,
        )
