"""An open ward page as a value: whose, of which ward, and whether it can sound. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# A page tells of itself every 4 s and at each change; one that has not for so long is closed or cut off.
GONE = timedelta(seconds=15)


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
    """An open page. `who` as in the audit, `user:12`; `sound_since`: since when its sound is as it is."""

    screen_id: str
    ward: str
    ward_name: str
    who: str
    sound: SoundState
    sound_since: datetime
    seen_at: datetime
