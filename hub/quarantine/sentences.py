"""Why a record could not be stored: a code with parameters, which pages say in the reader's language, and the English of it for logs and programs.

The catalogue of the pages has each sentence under `quarantine.said.CODE`. Leaves to ingest what is refused, and to decoders the words of
`expected` and `found`, which are terms of their formats in any language.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, cast

SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "not_admitted": "device {device} waits for its admission",
        "time": "gateway time {gateway}, corrected {corrected}: expected 2000 to 24 h ahead of the hub's {now}",
        "alarm_time": "alarm at {at}: expected 2000 to 24 h ahead of the hub's {now}",
        "gap_time": "from {at}: expected a time after 2000",
        "origin": "a record of another gateway: only one that was added with --forwards may hand on what others took in",
        "kind_unknown": "no kind that this version knows",
        "kind": "{found}: expected {expected}",
        "length": "{found}: expected {least} to {most} characters and no NUL",
        "nul": "a NUL in a text, which the database cannot hold",
        "form": "{where}: expected {expected}, found {found}",
        "unread": "expected {expected}, found {found}",
        "path": "{found}: expected a device and a path, parts without '|' and white space",
        "no_number": "{code}: {value} is no number that was measured",
        "no_value": "{code}: no value",
        "comparator": "{found}: expected <, <=, >= or >",
        "quality": "{found}: expected 1 to 7",
        "averaging": "{ns} ns is no averaging period",
        "dtype": "{found}: expected 1 (int16) or 2 (int32)",
        "shape": "{leads} leads with {scales} scales and {qualities} qualities",
        "fs_hz": "{found}: expected more than 0 and less than 1e6",
        "scale": "gains {gains}, offsets {offsets}: expected finite numbers, and no gain of 0",
        "no_tickets": "this hub gives out no tickets",
        "acknowledged_early": "it was given at a time that has not come yet",
        "ticket": "its ticket: {error}",
        "may_not": "{who} may not acknowledge",
        "message": "{text}",  # of a program that has only its own language, as the database
    }
)


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence. `code` is one of SENTENCES; the empty one says nothing."""

    code: str = ""
    params: Mapping[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        """In English."""
        return SENTENCES[self.code].format(**self.params) if self.code else ""

    @classmethod
    def from_json(cls, found: Mapping[str, object]) -> "Said":
        """As the database had it; nothing where this version knows no such sentence, or of other parameters."""
        code, params = found.get("code"), found.get("params")
        if not isinstance(code, str) or code not in SENTENCES or not isinstance(params, dict):
            return cls()
        read = cls(code, {str(name): str(value) for name, value in cast("dict[object, object]", params).items()})
        try:
            str(read)
        except KeyError:
            return cls()
        return read

    def as_json(self) -> dict[str, object]:
        """As the database has it."""
        return {"code": self.code, "params": dict(self.params)} if self.code else {}


def said(code: str, /, **params: object) -> Said:
    """A sentence with its parameters as text; the database holds no NUL."""
    return Said(code, {name: str(value).replace("\x00", "\\x00") for name, value in params.items()})
