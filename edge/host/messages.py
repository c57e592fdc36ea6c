"""Messages and replies of a door between host and agent: a JSON object, and behind a message's the bytes that came. Pure."""

import json
import struct
from typing import cast

from edge.host import wire
from edge.host.wire import Json, Kind
from firmware_adapters.door import Message, Pace, Reply, Verdict

_SIZE = struct.Struct("<I")  # bytes of the JSON object


def message_frame(number: int, message: Message) -> bytes:
    """A message with the number by which its reply is known."""
    told = {
        "number": number,
        "device": message.device,
        "media_type": message.media_type,
        "where": message.where,
        "at_ns": message.at_ns,
        "zone": message.zone,
        "pace": message.pace.name,
    }
    head = json.dumps(told).encode()
    return wire.frame(Kind.MESSAGE, _SIZE.pack(len(head)) + head + message.body)


def message_of(body: bytes) -> tuple[int, Message]:
    """A message and its number; ValueError, TypeError or KeyError when the body is none."""
    if len(body) < _SIZE.size:
        msg = f"a message of {len(body)} bytes"
        raise ValueError(msg)
    end = _SIZE.size + _SIZE.unpack_from(body)[0]
    told = wire.object_of(body[_SIZE.size : end])
    device, media_type, where, zone = (_text(told, name) for name in ("device", "media_type", "where", "zone"))
    pace = Pace[_text(told, "pace")]
    return _whole(told, "number"), Message(
        device, media_type, body[end:], where, _whole(told, "at_ns"), zone=zone, pace=pace
    )


def reply_values(number: int, reply: Reply) -> Json:
    """A reply as the values of a frame."""
    return {"number": number, "verdict": reply.verdict.name, "reason": reply.reason, "again_s": reply.retry_after_s}


def reply_of(body: bytes) -> tuple[int, Reply]:
    """The reply to a message, and which."""
    told = wire.object_of(body)
    reply = Reply(Verdict[_text(told, "verdict")], _text(told, "reason"), _whole(told, "again_s"))
    return _whole(told, "number"), reply


def _text(told: Json, name: str) -> str:
    if not isinstance(told[name], str):
        msg = f"{name}: expected a text"
        raise TypeError(msg)
    return cast("str", told[name])


def _whole(told: Json, name: str) -> int:
    if not isinstance(told[name], int):
        msg = f"{name}: expected a whole number"
        raise TypeError(msg)
    return cast("int", told[name])
