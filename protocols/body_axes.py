"""Which way the axes of an accelerometer point on the body that wears it: the installation's finding as a code and a sign for each axis.

No standard says it and makers mount as they like, so nothing is taken for granted. How a body lies is for whoever reads the samples.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from protocols.nomenclature import ACCELERATION_FRONT, ACCELERATION_HEAD, ACCELERATION_LEFT

Axis = tuple[str, int]  # code of the direction, and 1 or -1

_WAYS: "Mapping[str, Axis]" = MappingProxyType(
    {
        "left": (ACCELERATION_LEFT, 1),
        "right": (ACCELERATION_LEFT, -1),
        "head": (ACCELERATION_HEAD, 1),
        "feet": (ACCELERATION_HEAD, -1),
        "front": (ACCELERATION_FRONT, 1),
        "back": (ACCELERATION_FRONT, -1),
    }
)
_NAMES = ("x", "y", "z")
# Each before its successor: left x head = front, seen from the patient.
_ROUND = (ACCELERATION_LEFT, ACCELERATION_HEAD, ACCELERATION_FRONT)


def body_axes(said: Mapping[str, str]) -> Sequence[Axis]:
    """`{"x": "left", "y": "head", "z": "front"}` as the axes X, Y, Z; ValueError says which word cannot be.

    A word is where the positive axis points on the patient: left, right, head, feet, front (out of the chest) or back.
    """
    if sorted(said) != list(_NAMES):
        msg = f"expected x, y and z, found {', '.join(sorted(said)) or 'none'}"
        raise ValueError(msg)
    for name, word in said.items():
        if word not in _WAYS:
            msg = f"{name} = {word!r}: expected one of {', '.join(_WAYS)}"
            raise ValueError(msg)
    axes = [_WAYS[said[name]] for name in _NAMES]
    order = [_ROUND.index(code) for code, _ in axes]
    if len(set(order)) != len(_NAMES):
        msg = "two axes lie on one line of the body: expected one along it, one across it, one through it"
        raise ValueError(msg)
    turned = 1 if (order[1] - order[0]) % 3 == 1 else -1
    if turned * axes[0][1] * axes[1][1] * axes[2][1] != 1:
        msg = "these axes are a mirror image of any that a sensor has: one of them points the other way"
        raise ValueError(msg)
    return axes
