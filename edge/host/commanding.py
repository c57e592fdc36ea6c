"""A command to a device whose adapter runs in a process of its own: handed to that process as one step, whose answer is the result."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import cast

from edge.host.wire import Json, Kind, object_of
from firmware_adapters.commanding import Send, Step
from protocols.device_command import MAX_DETAILS, Command, Outcome, Reason, Result, Value, offer_message, offers_of
from protocols.uplink_pb2 import OfferedCommand

_PATIENCE_S = 60.0  # for the adapter's own, which it keeps by itself
_numbers = count(1)


def offers_as_text(commands: Iterable[Command]) -> list[str]:
    """What an adapter offers, as its process tells it."""
    return [offer_message(command).SerializeToString().hex() for command in commands]


def offers_from_text(texts: Iterable[str]) -> tuple[Command, ...]:
    """The same; ValueError (DecodeError is one) for what is no command."""
    return offers_of(OfferedCommand.FromString(bytes.fromhex(text)) for text in texts)


def result_as_json(number: object, result: Result) -> Json:
    """What a process says became of a command."""
    told: Json = {"number": number, "outcome": str(result.outcome), "reason": str(result.reason)}
    return told | {"details": result.details[:MAX_DETAILS], "seen": dict(result.seen)}


class HostedExchange:
    """One command on its way through the process."""

    patience_s = _PATIENCE_S

    def __init__(self, code: str, values: Mapping[str, Value]) -> None:
        self._number = next(_numbers)
        self._told: Json = {"number": self._number, "code": code, "values": dict(values)}
        self.result: Result | None = None

    def begin(self, *, only_read: bool) -> Sequence[Step]:
        """Hand it over."""
        return (Send(json.dumps(self._told | {"only_read": only_read}).encode()),)

    def feed(self, data: bytes, channel: str) -> Sequence[Step]:
        """Wait for the answer to this one."""
        if channel == Kind.COMMANDED.name:
            said = object_of(data)
            if said.get("number") == self._number:
                self.result = Result(
                    Outcome(str(said["outcome"])),
                    Reason(str(said["reason"])),
                    str(said["details"]),
                    cast("Mapping[str, Value]", said["seen"]),
                )
        return ()

    def end(self) -> Sequence[Step]:
        """The process does that itself."""
        return ()
