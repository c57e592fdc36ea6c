"""A command to a device as a value, and what a device offers. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from protocols.device_command import MAX_WITHIN_S, Command, Kind, Parameter, Reason, RefusedError, Value

USUAL_WITHIN_S = 60.0
MOST_OPEN = 32  # of a gateway: what its agent takes at a time
_TRUE, _FALSE = "true", "false"


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants. `command_id` is chosen by who asks: asked twice, it is done once."""

    command_id: UUID
    code: str
    values: Mapping[str, Value]
    within_s: float = USUAL_WITHIN_S


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command and how far it came. `state`: asked, sent, confirmed, unconfirmed, refused or expired."""

    command_id: UUID
    code: str
    values: dict[str, Value]
    asked_by: str
    asked_at: datetime
    deadline: datetime
    state: str
    reason: str
    details: str
    seen: dict[str, Value]
    sent_at: datetime | None
    ended_at: datetime | None
    asked_name: str  # of who asked, as people call them

    @property
    def is_open(self) -> bool:
        """Whether somebody may still answer."""
        return self.state in {"asked", "sent"}

    @property
    def tone(self) -> str:
        """How its tag looks."""
        return {"confirmed": "good", "asked": "", "sent": "", "unconfirmed": "warn"}.get(self.state, "bad")


@dataclass(frozen=True, slots=True)
class Told:
    """What a device offers, None before its gateway has said so, and what was asked of it, newest first."""

    offers: tuple[Command, ...] | None
    commands: list[CommandRow]


def offers_in(said: object) -> tuple[Command, ...]:
    """What `hub.ingest.device_commands` keeps of a device."""
    return tuple(_command(one) for one in cast("Sequence[Mapping[str, object]]", said))


def values_of_form(command: Command, texts: Mapping[str, str]) -> dict[str, Value]:
    """What a form sent, with the types of the parameters; RefusedError for a text that is no number."""
    values: dict[str, Value] = {}
    for parameter in command.parameters:
        text = texts.get(parameter.name, "").strip()
        try:
            values[parameter.name] = _typed(parameter.kind, text)
        except ValueError as error:
            raise RefusedError(Reason.PARAMETERS, f"{parameter.name}: {text!r}") from error
    return values


def value_of(text: str) -> Value:
    """What somebody wrote at a command line: true, false, a number, else a text."""
    if text in {_TRUE, _FALSE}:
        return text == _TRUE
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def wrong_with(order: Order) -> str:
    """What no gateway would take, "" for nothing; the rest is for the gateway to say."""
    if not 0 < order.within_s <= MAX_WITHIN_S:
        return f"within {order.within_s:g} s: expected more than 0 and at most {MAX_WITHIN_S:g}"
    names = [order.code, *order.values]
    if not all(1 <= len(name) <= 64 and name.isprintable() for name in names) or len(names) > 17:
        return "expected a code and at most 16 parameters, each name of 1 to 64 printable characters"
    texts = [value for value in order.values.values() if isinstance(value, str)]
    if any(len(text) > 64 or not text.isprintable() for text in texts):
        return "expected texts of at most 64 printable characters"
    if any(isinstance(value, int) and abs(value) > 2**53 for value in order.values.values()):
        return "expected whole numbers of at most 2^53"
    if not all(math.isfinite(value) for value in order.values.values() if isinstance(value, float)):
        return "expected finite numbers"
    return ""


def _typed(kind: Kind, text: str) -> Value:
    match kind:
        case Kind.BOOLEAN:
            return text == _TRUE
        case Kind.INTEGER:
            return int(text)
        case Kind.NUMBER:
            return float(text)
        case Kind.CHOICE:
            return text


def _command(said: Mapping[str, object]) -> Command:
    parameters = cast("Sequence[Mapping[str, object]]", said["parameters"])
    return Command(
        str(said["code"]),
        tuple(_parameter(one) for one in parameters),
        bool(said["reads_back"]),
        bool(said["interrupts"]),
    )


def _parameter(said: Mapping[str, object]) -> Parameter:
    low, high = cast("float | None", said["low"]), cast("float | None", said["high"])
    choices = tuple(cast("Sequence[str]", said["choices"]))
    return Parameter(str(said["name"]), Kind(str(said["kind"])), str(said["unit"]), low, high, choices)
