"""What a password must be like: length, four classes of characters, and nothing that attackers try first. Pure.

Length and classes are those of D.2.2 of the standard for access of AI. The lists are those of zxcvbn (Wheeler, USENIX Security 2016),
which also sees keyboard rows, years, doubled words and letters that were exchanged.
"""

from collections.abc import Iterable

from zxcvbn import zxcvbn

PASSWORD_MIN = 12  # characters
PASSWORD_MAX = 256  # what argon2 is fed; a longer one is refused, never cut
_GUESSES = 1e8  # that an attacker needs at least: "safely unguessable" of zxcvbn, its score 3
_LOOKED_AT = 72  # characters: the estimate takes quadratic time
_SPREAD = 5  # different characters beside what is known of the person
_KINDS = ("upper", "lower", "digit", "special")
_OURS = ("wardlink", "ward", "hospital", "nurse", "doctor", "yiyuan", "hushi", "yisheng")


def password_fault(password: str, known: Iterable[str]) -> str | None:
    """Say why a password is refused: `short`, `long`, `classes` or `common`; None when it is good.

    `known`: what belongs to the person (names, staff number). A character that is neither a letter of two cases nor a digit
    counts as special, so that one of Chinese characters needs the other three as well.
    """
    if len(password) < PASSWORD_MIN:
        return "short"
    if len(password) > PASSWORD_MAX:
        return "long"
    kinds = {_kind(character) for character in password}
    if len(kinds) < len(_KINDS):
        return "classes"
    words = [*_OURS, *known]
    found = zxcvbn(password[:_LOOKED_AT], user_inputs=words)
    return "common" if found["guesses"] < _GUESSES or len(set(_without(password, words))) < _SPREAD else None


def _without(password: str, words: Iterable[str]) -> str:
    """What of a password is not of these words."""
    rest = password.lower()
    for word in words:
        rest = rest.replace(word.lower(), "") if word else rest
    return rest


def _kind(character: str) -> str:
    if character.isupper():
        return "upper"
    if character.islower():
        return "lower"
    return "digit" if character.isdecimal() else "special"
