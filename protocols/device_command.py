"""Commands to devices as values: what a device can be told to do, whether parameters fit, what became of it. Pure.

An adapter says what it offers (firmware_adapters/commanding.py), the agent checks and does it (edge/device_commands), the hub asks for it
(hub/device_commands). On the wire they are messages of uplink.proto.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from protocols import uplink_pb2 as pb
from protocols.errors import DecodeError

Value: TypeAlias = bool | int | float | str
NOTHING_SEEN: Mapping[str, Value] = MappingProxyType({})

COMMAND_ID_BYTES = 16
MAX_WITHIN_S = 3600.0  # a command is for somebody who waits for it; what is to hold for long is a setting
MAX_PARAMETERS = 16
MAX_OFFERED = 64  # commands of a device
MAX_DETAILS = 1000  # characters
_MAX_NAME = 64
_MAX_INT = 2**53  # what JSON's readers keep exactly (RFC 8259, 6)


class Kind(StrEnum):
    """Type of a parameter."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"


class Outcome(StrEnum):
    """How a command ended."""

    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"
    REFUSED = "refused"
    EXPIRED = "expired"


class Reason(StrEnum):
    """Why a command was not confirmed. Pages have words for each."""

    NONE = ""
    DEVICE_UNKNOWN = "device_unknown"
    DEVICE_BY_DOOR = "device_by_door"
    NO_COMMANDS = "no_commands"
    COMMAND_UNKNOWN = "command_unknown"
    PARAMETERS = "parameters"
    NOT_NOW = "not_now"  # the adapter will not, as the device is set up
    DEVICE_REFUSED = "device_refused"
    FULL = "full"  # too many commands wait at the gateway
    NOT_CONNECTED = "not_connected"
    BUSY = "busy"  # another command of the device took too long
    TOO_LATE = "too_late"  # it came when its time was over
    NO_ANSWER = "no_answer"
    NOTHING_TO_READ = "nothing_to_read"  # the device cannot be asked
    DIFFERS = "differs"  # the device was asked, and says something else
    INTERRUPTED = (
        "interrupted"  # the agent or the link ended in the middle, and the device could not be asked afterwards
    )
    LEDGER_LOST = "ledger_lost"  # sent before to an agent whose ledger is gone
    FAILED = "failed"
    GATEWAY_TOO_OLD = "gateway_too_old"
    GATEWAY_AWAY = "gateway_away"
    GATEWAY_REVOKED = "gateway_revoked"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter. `low` and `high` (inclusive) in `unit` bound an integer or number; `choices` are those of a choice."""

    name: str
    kind: Kind
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """What a device can be told to do. Every parameter is needed.

    `reads_back`: the device can be asked afterwards; `interrupts`: it measures nothing meanwhile, which leaves a Gap.
    """

    code: str
    parameters: tuple[Parameter, ...] = ()
    reads_back: bool = True
    interrupts: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a command. `seen`: what the device said when it was asked; `details`: in words, for a person."""

    outcome: Outcome
    reason: Reason = Reason.NONE
    details: str = ""
    seen: Mapping[str, Value] = field(default_factory=lambda: NOTHING_SEEN)


class RefusedError(ValueError):
    """A command is not done."""

    def __init__(self, reason: Reason, details: str = "") -> None:
        """`details`: in words, for a person."""
        super().__init__(details or reason)
        self.result = Result(Outcome.REFUSED, reason, details[:MAX_DETAILS])


def fitting(command: Command, values: Mapping[str, Value]) -> dict[str, Value]:
    """The values in the order and with the types of the parameters; RefusedError names each one that does not fit."""
    known = {parameter.name for parameter in command.parameters}
    wrong = [f"{name}: there is no such parameter" for name in sorted(values.keys() - known)]
    fit: dict[str, Value] = {}
    for parameter in command.parameters:
        value = values.get(parameter.name)
        found = None if value is None else _fitted(parameter, value)
        if found is None:
            wrong.append(
                f"{parameter.name}: expected {_expected(parameter)}, found {'nothing' if value is None else repr(value)}"
            )
        else:
            fit[parameter.name] = found
    if wrong:
        raise RefusedError(Reason.PARAMETERS, "; ".join(wrong))
    return fit


def _fitted(parameter: Parameter, value: Value) -> Value | None:
    match parameter.kind, value:
        case (Kind.BOOLEAN, bool()):
            return value
        case (Kind.CHOICE, str()):
            return value if value in parameter.choices else None
        case (Kind.INTEGER | Kind.NUMBER, bool() | str()):
            return None
        case (Kind.INTEGER, float() | int()) if value == value // 1 and abs(value) <= _MAX_INT:
            return int(value) if _is_within(parameter, value) else None
        case (Kind.NUMBER, float() | int()) if math.isfinite(value):
            return float(value) if _is_within(parameter, value) else None
        case _:
            return None


def _is_within(parameter: Parameter, value: float) -> bool:
    return (parameter.low is None or value >= parameter.low) and (parameter.high is None or value <= parameter.high)


def _expected(parameter: Parameter) -> str:
    if parameter.kind is Kind.BOOLEAN:
        return "true or false"
    if parameter.kind is Kind.CHOICE:
        return f"one of {', '.join(parameter.choices)}"
    low, high = parameter.low, parameter.high
    within = f" from {low:g} to {high:g}" if low is not None and high is not None else ""
    what = "a whole number" if parameter.kind is Kind.INTEGER else "a number"
    return f"{what}{within}{' ' + parameter.unit if parameter.unit else ''}"


def offer_message(command: Command) -> pb.OfferedCommand:
    """A command that is offered, for the wire."""
    return pb.OfferedCommand(
        code=command.code,
        parameters=[
            pb.CommandParameter(name=p.name, kind=p.kind, unit=p.unit, low=p.low, high=p.high, choices=p.choices)
            for p in command.parameters
        ],
        reads_back=command.reads_back,
        interrupts=command.interrupts,
    )


def offers_of(messages: Iterable[pb.OfferedCommand]) -> tuple[Command, ...]:
    """What is offered on the wire; DecodeError for what is no command."""
    found = tuple(_offer(message) for message in messages)
    if len(found) > MAX_OFFERED or len({command.code for command in found}) != len(found):
        raise DecodeError("commands", f"at most {MAX_OFFERED}, each once", str(len(found)))
    return found


def _offer(message: pb.OfferedCommand) -> Command:
    parameters = tuple(_parameter(p) for p in message.parameters)
    if len(parameters) > MAX_PARAMETERS or len({p.name for p in parameters}) != len(parameters):
        raise DecodeError(
            f"command {message.code!r}", f"at most {MAX_PARAMETERS} parameters, each once", str(len(parameters))
        )
    return Command(_name(message.code), parameters, message.reads_back, message.interrupts)


def _parameter(message: pb.CommandParameter) -> Parameter:
    try:
        kind = Kind(message.kind)
    except ValueError as error:
        raise DecodeError("kind of a parameter", ", ".join(Kind), repr(message.kind[:_MAX_NAME])) from error
    low = message.low if message.HasField("low") else None
    high = message.high if message.HasField("high") else None
    if any(bound is not None and not math.isfinite(bound) for bound in (low, high)):
        raise DecodeError("bound of a parameter", "a finite number", f"{low}, {high}")
    choices = tuple(_name(choice) for choice in message.choices[: MAX_OFFERED + 1])
    if len(choices) > MAX_OFFERED:
        raise DecodeError("choices of a parameter", f"at most {MAX_OFFERED}", str(len(message.choices)))
    return Parameter(_name(message.name), kind, _name(message.unit) if message.unit else "", low, high, choices)


def _name(text: str) -> str:
    if not 1 <= len(text) <= _MAX_NAME or not text.isprintable():
        raise DecodeError("name", f"1 to {_MAX_NAME} printable characters", repr(text[:_MAX_NAME]))
    return text
