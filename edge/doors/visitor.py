"""One device that comes through a door: its screening, its sample numbers, and what it said about itself."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from edge.doors.numbering import Numbering, of_first_sample
from edge.pipeline.screened import RAW_OF_MESSAGE, Screened
from firmware_adapters.adapter import Resume
from models.screening.placement import Placement
from protocols.errors import Fault
from protocols.nomenclature import EVT_DEVICE_SEEN
from protocols.package import Maker
from protocols.record import AlarmCondition, DeviceEvent, Params, Record, SourcePath, Times, WaveformGroup

if TYPE_CHECKING:
    from uuid import UUID


class Visitor:
    """`turn` is held while a package of the device is taken, so that its packages keep their order."""

    def __init__(
        self,
        device: str,
        placement: Placement,
        resume: Mapping[SourcePath, Resume],
        active: tuple[AlarmCondition, ...] = (),
    ) -> None:
        """`resume` and `active`: what the spool knows of this device from before the start."""
        self.turn = asyncio.Lock()
        self.authenticated = False
        self._source = SourcePath(device)
        self._screened = Screened(device, placement, active, raw_kept=RAW_OF_MESSAGE)
        self._numbering = Numbering(resume)
        self._said: Params = ()

    def place(self, placement: Placement) -> None:
        """Go on under another placement."""
        self._screened.place(placement)

    def acknowledge(self, alarm: "UUID", times: Times) -> tuple[Record, ...]:
        """Somebody at the hub has acknowledged an alarm of this device."""
        return self._screened.acknowledge(alarm, times)

    def seen(self, door: str, maker: Maker | None, at_ns: int, *, listed: bool) -> list[DeviceEvent]:
        """The event that makes the device known to the ledger: at its first message, and when it says something new.

        `listed` false: nobody at this gateway knows it; the hub holds its records until it is admitted.
        """
        maker = maker or Maker()
        said = [("make", maker.make), ("model", maker.model), ("serial", maker.serial), ("firmware", maker.firmware)]
        known = dict(self._said)
        params: Params = (
            ("door", door),
            ("listed", listed),
            *((name, text or str(known.get(name, ""))) for name, text in said if text or known.get(name)),
        )
        if params == self._said:
            return []
        self._said = params
        return [DeviceEvent(self._source, EVT_DEVICE_SEEN, Times(at_ns), params)]

    def screen(self, decoded: Iterable[Record | Fault]) -> list[Record]:
        """A package's records, numbered and screened, with what was concluded from them."""
        out: list[Record] = []
        for item in decoded:
            numbered = self._numbering.number(of_first_sample(item)) if isinstance(item, WaveformGroup) else [item]
            screened = self._screened.step(numbered)
            for record in screened:
                if isinstance(record, WaveformGroup):
                    self._numbering.note(record)
            out += screened
        return out

    def keep(self, decoded: Iterable[Record | Fault]) -> list[Record]:
        """Records of a recording that was made some time ago: they bear their own times and numbers, and raise no alarm now."""
        return self._screened.keep(decoded)
