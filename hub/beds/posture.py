"""How a patient lies, from what a sensor on the body feels while it rests: gravity. Pure.

A sensor whose axes on the body are known tells the posture in words; of another one only that it lies differently. Neither is measured
finer than that: straps shift, and a breastbone slopes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from protocols.nomenclature import (
    ACCELERATION_FRONT,
    ACCELERATION_HEAD,
    ACCELERATION_LEFT,
    ACCELERATION_X,
    ACCELERATION_Y,
    ACCELERATION_Z,
)

OWN_AXES = (ACCELERATION_X, ACCELERATION_Y, ACCELERATION_Z)
BODY_AXES = (ACCELERATION_LEFT, ACCELERATION_HEAD, ACCELERATION_FRONT)

# At rest a sensor feels gravity alone; farther off than this it is being moved and says nothing of how it lies.
_REST_G = (0.85, 1.15)
STIR_G = 0.3  # and so it is when one axis swings this far within a group: breathing and heart stay below a tenth of it
# Half of a turn from the back to the side: less is breathing, shifting, a loose strap.
_TURN_DEGREES = 45.0
# With axes that are known a posture has another name before that: this far, so that none between two names is told again and again.
_OTHER_NAME_DEGREES = 25.0
_UPRIGHT_DEGREES, _RECLINED_DEGREES, _HEAD_DOWN_DEGREES = 60.0, 30.0, -20.0  # of the trunk above the horizontal

Vector: TypeAlias = tuple[float, float, float]


class Posture(StrEnum):
    """What a nurse calls it; words belong to the page."""

    SUPINE = "supine"
    PRONE = "prone"
    LEFT_SIDE = "left_side"
    RIGHT_SIDE = "right_side"
    RECLINED = "reclined"
    UPRIGHT = "upright"
    HEAD_DOWN = "head_down"


@dataclass(frozen=True, slots=True)
class Turn:
    """The sensor on the patient lies differently from before, by so many degrees. Names where its axes on the body are known."""

    at_ms: int
    source: str
    degrees: int
    posture: Posture | None = None
    before: Posture | None = None


def axes_of(leads: Sequence[str]) -> tuple[str, str, str] | None:
    """The three codes of a stream that feels acceleration, the body's where it has them; None for any other stream."""
    return next((axes for axes in (BODY_AXES, OWN_AXES) if set(axes) <= set(leads)), None)


def posture_of(up: Vector) -> Posture:
    """The name of a posture by which way is up: along the body's left, head and front; length 1."""
    left, head, front = up
    trunk = math.degrees(math.asin(max(-1.0, min(1.0, head))))
    roll = math.degrees(math.atan2(left, front))
    if trunk >= _UPRIGHT_DEGREES:
        return Posture.UPRIGHT
    if trunk <= _HEAD_DOWN_DEGREES:
        return Posture.HEAD_DOWN
    if abs(roll) <= 45.0:
        return Posture.RECLINED if trunk >= _RECLINED_DEGREES else Posture.SUPINE
    if abs(roll) >= 135.0:
        return Posture.PRONE
    return Posture.RIGHT_SIDE if roll > 0 else Posture.LEFT_SIDE


def turns(source: str, felt: Sequence[tuple[int, Vector]], *, is_body: bool = False) -> list[Turn]:
    """When the sensor came to lie differently: `felt` is (ms, acceleration in g), in order of time; `is_body`: along BODY_AXES."""
    found: list[Turn] = []
    lying: Vector | None = None
    for at_ms, vector in felt:
        length = math.hypot(*vector)
        if not _REST_G[0] <= length <= _REST_G[1]:
            continue
        up = (vector[0] / length, vector[1] / length, vector[2] / length)
        if lying is None:
            lying = up
            continue
        degrees = math.degrees(math.acos(max(-1.0, min(1.0, sum(a * b for a, b in zip(lying, up, strict=True))))))
        if is_body:
            before, posture = posture_of(lying), posture_of(up)
            if posture is not before and degrees >= _OTHER_NAME_DEGREES:
                found.append(Turn(at_ms, source, round(degrees), posture, before))
                lying = up
        elif degrees >= _TURN_DEGREES:
            found.append(Turn(at_ms, source, round(degrees)))
            lying = up
    return found
