"""The two ways in which input can be wrong: a `Fault` among good records, and a `DecodeError` for a whole file.

Both say where, what was expected and what was found, so that a person can act on the text alone.
"""

from dataclasses import dataclass

_SHOWN_BYTES = 64


@dataclass(frozen=True, slots=True)
class Fault:
    """Input that could not become a record. It is a value, not an exception: the decoder goes on behind it.

    `where` names byte offset, field or record; `raw` holds the offending bytes for the quarantine.
    """

    source: str
    where: str
    expected: str
    found: str
    raw: bytes = b""
    gateway_ns: int = 0

    def __str__(self) -> str:
        """One sentence for a log line or the quarantine page."""
        return f"{self.source}: {self.where}: expected {self.expected}, found {self.found}"


class DecodeError(ValueError):
    """A file or message that cannot be read at all."""

    def __init__(self, where: str, expected: str, found: str, raw: bytes = b"") -> None:
        """Keep the parts apart; `raw` is cut to what a person can look at."""
        super().__init__(f"{where}: expected {expected}, found {found}")
        self.where = where
        self.expected = expected
        self.found = found
        self.raw = raw[:_SHOWN_BYTES]
