"""An open ward page as a value: whose, of which ward, and whether it can sound. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# A page tells of itself every 2 s, at each change and when it is closed. One that has not told for so long is cut off, stands still, or its
# machine is off: with the 3 s in which an engineers' page asks again, a technical alarm within 10 s.
SILENT = timedelta(seconds=6)
# A shift; by then somebody has looked. Sooner when the same person has opened the ward again: a browser that crashed.
FORGOTTEN = timedelta(hours=8)


class SoundState(StrEnum):
    """What the browser lets a page do."""

    ON = "on"
    OFF = "off"  # suspended until somebody presses a key or the screen
    NONE = "none"  # this browser has no sound at all

    @property
    def is_mute(self) -> bool:
        """Whether an alarm would not be heard."""
        return self is not SoundState.ON


@dataclass(frozen=True, slots=True)
class Screen:
    """An open page. `who` as in the audit, `user:12`; `sound_since`: since when its sound is as it is.

    `is_silent`: it has not told of itself since `seen_at`, and was not closed.
    """

    screen_id: str
    ward: str
    ward_name: str
    who: str
    sound: SoundState
    sound_since: datetime
    seen_at: datetime
    is_silent: bool = False
