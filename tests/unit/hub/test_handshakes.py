"""The lines in which gRPC tells of a handshake that failed, as seen with grpcio 1.85."""

import pytest

from hub.ingest.handshakes import reason_in

HEAD = b"I1121 05:48:09.421049   19806 ssl_transport_security.cc:2563] Handshake failed with error SSL_ERROR_SSL: "


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (b"error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: certificate has expired", "certificate-expired"),
        (b"error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate", "certificate-foreign"),
        (b"error:100000c0:SSL routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE: Invalid certificate verification context", "no-certificate"),
        (b"error:100000b8:SSL routines:OPENSSL_internal:NO_SHARED_CIPHER: Invalid certificate verification context", "tls-version"),
        (b"error:1000010b:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER: x", "tls-wrong_version_number"),
    ],
)  # fmt: skip
def test_a_failed_handshake_has_a_reason(tail: bytes, reason: str):
    assert reason_in(HEAD + tail) == reason


def test_other_lines_are_left_alone():
    assert reason_in(b"Traceback (most recent call last):") is None
