"""Who this gateway is: its key, made here and never sent, its certificate and the authority that it trusts."""

from edge.identity.enrolment import EnrolmentError, enrol
from edge.identity.store import Identity, IdentityError, fall_back, load_identity, save_identity, save_renewed
from edge.identity.token import Token, TokenError, parse_token

__all__ = [
    "EnrolmentError",
    "Identity",
    "IdentityError",
    "Token",
    "TokenError",
    "enrol",
    "fall_back",
    "load_identity",
    "parse_token",
    "save_identity",
    "save_renewed",
]
