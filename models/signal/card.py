"""Model cards: which version of a model there is, and the SHA-256 of each of its files. A file that has another one is not used.

A card is a page of the documentation (models/cards/NAME.md). Its title ends in the version; a table of it lists the files of
`models/weights`. The tables of cross-validation, which only figures use, are listed in `folds/SHA256SUMS`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType

FOLDS = "folds/SHA256SUMS"
_TITLE = re.compile(r"^# Model card: .+, version (\S+)$", re.MULTILINE)
_FILE = re.compile(r"^\| `([\w./-]+)` \| `([0-9a-f]{64})` \|$", re.MULTILINE)


class WeightsError(ValueError):
    """A weights file is not the one that its card and code belong to."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a card states: the version, and the SHA-256 of each file of `models/weights`."""

    version: str
    sha256: Mapping[str, str]


def parse(text: str) -> Card:
    """Read a card; WeightsError when it has no version or names no file."""
    title, listed = _TITLE.search(text), dict(_FILE.findall(text))
    if title is None or not listed:
        msg = "a model card begins with '# Model card: NAME, version N' and lists its files with their SHA-256"
        raise WeightsError(msg)
    return Card(title[1], MappingProxyType(listed))


@lru_cache(maxsize=16)
def of(name: str) -> Card:
    """The card `models/cards/NAME.md`."""
    return parse((files("models") / "cards" / f"{name}.md").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def of_folds() -> Mapping[str, str]:
    """SHA-256 of each table or network of cross-validation, by its name in `models/weights/folds`."""
    lines = read(FOLDS).decode().split("\n")
    return MappingProxyType({name: digest for digest, _, name in (line.partition("  ") for line in lines) if name})


def read(name: str) -> bytes:
    """The bytes of `models/weights/NAME`."""
    return (files("models") / "weights" / name).read_bytes()


def checked(data: bytes, expected_sha256: str) -> bytes:
    """The same bytes; WeightsError when their hash is not the expected one."""
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected_sha256:
        msg = f"weights have SHA-256 {digest}, expected {expected_sha256}: install the package again"
        raise WeightsError(msg)
    return data
