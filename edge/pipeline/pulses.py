"""What the devices of each point of care see of the pulse: an ECG is held against the pulse that another device of its patient sees.

All on the loop's thread. Whether a wave is still of this moment is judged by who asks (`models.screening.held`).
"""

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.screening.recent import Pulsing


class Pulses:
    """The newest of each device, by point of care. A place without a name is none: its devices see nothing of one another."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._places: dict[str, dict[str, tuple[Pulsing, ...]]] = {}

    def tell(self, place: str, device: str, waves: "tuple[Pulsing, ...]") -> None:
        """What a device sees now, or that it sees nothing."""
        if waves and place:
            self._places.setdefault(place, {})[device] = tuple(replace(wave, device=device) for wave in waves)
        elif (known := self._places.get(place)) is not None:
            known.pop(device, None)
            if not known:
                del self._places[place]

    def beside(self, place: str, device: str) -> "tuple[Pulsing, ...]":
        """What the others of its place see."""
        known = self._places.get(place)
        if known is None:
            return ()
        return tuple(wave for other, waves in known.items() if other != device for wave in waves)
