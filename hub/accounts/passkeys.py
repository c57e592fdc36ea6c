"""Passkeys (W3C Web Authentication, level 2): what a browser's authenticator is asked, and whether what it answers holds.

They belong to the name by which people reach the pages; an address of digits has none, and passkeys are then not offered.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    UserVerificationRequirement,
)

from hub.accounts.second import ISSUER
from hub.core.errors import UnauthenticatedError

ANSWER_MAX = 16_384  # characters of an answer; those of usual authenticators have 1,000 to 3,000
_CHALLENGE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Asked:
    """What the browser is given, as JSON, and the challenge that its answer must be of."""

    options: str
    challenge: bytes


@dataclass(frozen=True, slots=True)
class Passkey:
    """What is kept of one. `sign_count`: rises with each use where the authenticator counts, else 0."""

    credential: bytes
    public_key: bytes
    sign_count: int


class Passkeys:
    """Asks and judges for one origin."""

    def __init__(self, origin: str) -> None:
        """`origin`: scheme, host and port of the pages, as browsers write it."""
        self._origin = origin
        self._host = urlsplit(origin).hostname or ""

    @property
    def are_offered(self) -> bool:
        """Whether the pages have a name that passkeys can belong to."""
        try:
            ip_address(self._host)
        except ValueError:
            return bool(self._host)
        return False

    def to_add(self, account: int, name: str, known: Iterable[bytes]) -> Asked:
        """Ask for a new one of this account, on no authenticator that has one already."""
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        options = webauthn.generate_registration_options(
            rp_id=self._host,
            rp_name=ISSUER,
            user_name=name,
            user_id=str(account).encode(),
            challenge=challenge,
            exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
            authenticator_selection=AuthenticatorSelectionCriteria(
                user_verification=UserVerificationRequirement.PREFERRED
            ),
        )
        return Asked(webauthn.options_to_json(options), challenge)

    def added(self, answer: str, challenge: bytes) -> Passkey:
        """The new one; UnauthenticatedError `wrong-passkey` when the answer does not hold."""
        try:
            found = webauthn.verify_registration_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
            )
        except WebAuthnException as error:
            raise wrong_passkey() from error
        return Passkey(found.credential_id, found.credential_public_key, found.sign_count)

    def to_show(self, known: Iterable[bytes]) -> Asked:
        """Ask for a proof by one of these."""
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        options = webauthn.generate_authentication_options(
            rp_id=self._host,
            challenge=challenge,
            allow_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
        )
        return Asked(webauthn.options_to_json(options), challenge)

    def shown(self, answer: str, challenge: bytes, kept: Passkey) -> int:
        """The new count; UnauthenticatedError `wrong-passkey` when the answer does not hold, or the count went back (a copy)."""
        try:
            found = webauthn.verify_authentication_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                credential_public_key=kept.public_key,
                credential_current_sign_count=kept.sign_count,
            )
        except WebAuthnException as error:
            raise wrong_passkey() from error
        return found.new_sign_count


def credential_of(answer: str) -> bytes:
    """By which passkey an answer says that it is; UnauthenticatedError when it cannot be read."""
    try:
        return webauthn.helpers.parse_authentication_credential_json(answer).raw_id
    except WebAuthnException as error:
        raise wrong_passkey() from error


def wrong_passkey() -> UnauthenticatedError:
    """What is raised for every answer that is not taken, whatever the reason."""
    return UnauthenticatedError(
        "This passkey was not accepted.", "Try again, or type a code instead.", reason="wrong-passkey"
    )
