"""One bed with one amplifier: what the tests of the whole path play on."""

from datetime import date
from pathlib import Path
from typing import Final

from wardlink.demo.beds import DemoBed
from wardlink.demo.installation import WARD, Installation, Progress
from wardlink.demo.rigs.rig import Recording
from wardlink.demo.rigs.serial import SerialRig, amplifier
from wardlink.local.database import Database
from wardlink.local.places import Places

DEVICE: Final = "amplifier-1"
BED: Final = "1"
NURSE: Final = "nurse"


class OneBed(Installation):
    """`with OneBed(...) as bed:` brings it up and leaves no process behind."""

    def __init__(
        self,
        places: Places,
        folder: Path,
        recording: Recording,
        *,
        web_port: int | None = None,
        database: Database | None = None,
        progress: Progress = print,
        secure_local_page: bool = False,
    ) -> None:
        """Nothing is started yet. `database`: one that is up already, and stays up."""
        self._amplifier: SerialRig = amplifier(DEVICE, [recording], {"1": "II", "2": "V1"})
        bed = DemoBed(BED, "Zhang Demo", "male", date(1959, 3, 1), (self._amplifier,))
        super().__init__(
            places,
            folder,
            [bed],
            web_port=web_port,
            database=database,
            progress=progress,
            secure_local_page=secure_local_page,
        )

    @property
    def amplifier_port(self) -> Path:
        """The serial line."""
        return self._amplifier.port(self.ground)

    def invite_nurse(self) -> str:
        """A fresh one-time link for the nurse."""
        return self.invite(NURSE)


__all__ = ["BED", "DEVICE", "NURSE", "WARD", "OneBed", "Recording"]
