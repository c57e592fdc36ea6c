"""One device that comes through a door: its screening, its sample numbers, what it said about itself, and whether it keeps its word."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from edge.doors.flood import Flood, Pacer, Rates
from edge.doors.numbering import Numbering, of_first_sample
from edge.health.metrics import LINK_UP
from edge.pipeline.device import Sink
from edge.pipeline.screened import RAW_OF_MESSAGE, Screened
from edge.pipeline.silence import Silence
from firmware_adapters.adapter import Resume
from models.screening.alarms import Life
from models.screening.placement import Placement
from protocols.errors import Fault
from protocols.nomenclature import EVT_DEVICE_SEEN, EVT_HEARD_AGAIN, EVT_SILENT, EVT_THROTTLE_ENDED
from protocols.package import Maker
from protocols.record import AlarmCondition, DeviceEvent, Params, Record, SourcePath, Times, WaveformGroup

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from uuid import UUID

    from firmware_adapters.door import Reply

# What is promised at a door comes over networks that are not ours: one message may be lost, and a second is waited for (decision 0072).
PATIENCE, LEAST_PATIENCE_S = 2.0, 5.0
LONGEST_PROMISE_S = 7 * 86400.0
_AT_A_DOOR = Life(0, 0, latching=False)  # a message that was taken is proof enough that the way is open again


class Visitor:
    """`turn` is held while a package of the device is taken, so that its packages keep their order.

    `queued`: packages that wait for it, or hold it and wait for their alarms.
    """

    def __init__(
        self,
        device: str,
        placement: Placement,
        resume: Mapping[SourcePath, Resume],
        active: tuple[AlarmCondition, ...] = (),
        *,
        sink: Sink,
        silence_s: float | None = None,
        rates: Rates | None = None,
    ) -> None:
        """`resume` and `active`: what the spool knows of this device from before the start.

        `silence_s`: after how long without a word it is silent, as settings say; None: as the device promises.
        """
        self.turn = asyncio.Lock()
        self.queued = 0
        self.authenticated = False
        self._source, self._sink = SourcePath(device), sink
        self._silence = Silence(silence_s or 0.0, self._fell_silent, self._heard_again)
        self._is_set = silence_s is not None
        self._heard_ns = sink.now_ns()
        self._screened = Screened(
            device, placement, active, pulses=sink.pulses, raw_kept=RAW_OF_MESSAGE, segments=sink.segments()
        )
        self._numbering = Numbering(resume)
        self._said: Params = ()
        rate = (rates or Rates()).of(device)
        self._pacer = Pacer(rate, time.monotonic)
        self._flood = Flood(self._source, sink.add, sink.now_ns, rate)

    def queue(self, work: "Coroutine[None, None, Reply]") -> "asyncio.Task[Reply]":
        """Let a package be taken behind those that wait: it needs the turn, or keeps it for a while."""
        self.queued += 1
        task = asyncio.create_task(work)
        task.add_done_callback(self._left)
        return task

    def _left(self, _: "asyncio.Task[Reply]") -> None:
        self.queued -= 1

    def admits(self, size: int, at_ns: int, *, can_wait: bool) -> bool:
        """Whether a message of `size` bytes is within what the device may send; if not, that is told."""
        if self._pacer.admits(size):
            return True
        self._flood.beyond(self._screened if self.authenticated else None, at_ns, given_up=not can_wait)
        return False

    def admits_alarms(self, alarms: int, at_ns: int, *, can_wait: bool) -> bool:
        """Whether a package with so many alarms is taken; that it is beyond what the device may send is told, and no alarm is given up."""
        if self._pacer.admits_alarms(alarms):
            return True
        self._flood.beyond(self._screened if self.authenticated else None, at_ns, given_up=False)
        return not can_wait

    @property
    def is_up(self) -> bool | None:
        """Whether it keeps its word; None when nobody expects it."""
        return not self._silence.holds if self._silence.after_s else None

    def watch(self) -> None:
        """From now on it is expected, if settings say so."""
        self._silence.watch()

    def end(self) -> None:
        """Nobody listens any more."""
        self._silence.end()
        self._flood.end(self._screened if self.authenticated else None)

    def heard(self, at_ns: int, next_within_s: float) -> None:
        """A message of it that can be read has come at `at_ns`; in it it promised the next one (0: it did not).

        The word of a stranger raises no alarm: anybody could give it.
        """
        if not self._is_set:
            promised_s = (
                max(LEAST_PATIENCE_S, PATIENCE * min(next_within_s, LONGEST_PROMISE_S)) if next_within_s else 0.0
            )
            self._silence.change(promised_s if self.authenticated else 0.0)
        self._heard_ns = at_ns
        self._silence.heard()
        self._tell_metric()
        if changes := self._screened.link(Times(at_ns), lost=False, life=_AT_A_DOOR):
            self._sink.add(changes)
        if not self._flood.holds:  # one that an agent which was killed had told of
            over = self._screened.flood(Times(at_ns), since_ns=0, holds=False)
            if over:
                self._sink.add([*over, DeviceEvent(self._source, EVT_THROTTLE_ENDED, Times(at_ns))])

    def place(self, placement: Placement) -> None:
        """Go on under another placement."""
        self._screened.place(placement)

    def clock_stepped(self, by_ns: int) -> None:
        """The gateway's clock was set forward by `by_ns`."""
        self._heard_ns += by_ns
        self._screened.clock_stepped(by_ns)

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
        message = [of_first_sample(item) if isinstance(item, WaveformGroup) else item for item in decoded]
        out = self._screened.arrived(message)
        for item in message:
            numbered = self._numbering.number(item) if isinstance(item, WaveformGroup) else [item]
            screened = self._screened.each(numbered)
            for record in screened:
                if isinstance(record, WaveformGroup):
                    self._numbering.note(record)
            out += screened
        return out

    def keep(self, decoded: Iterable[Record | Fault]) -> list[Record]:
        """Records of a recording that was made some time ago: they bear their own times and numbers, and raise no alarm now."""
        return self._screened.keep(decoded)

    def _fell_silent(self) -> None:
        self._tell_metric()
        times = Times(self._sink.now_ns())
        self._sink.add([DeviceEvent(self._source, EVT_SILENT, times)])
        self._sink.add(self._screened.link(times, lost=True, since_ns=self._heard_ns, life=_AT_A_DOOR))

    def _heard_again(self) -> None:
        self._sink.add([DeviceEvent(self._source, EVT_HEARD_AGAIN, Times(self._sink.now_ns()))])

    def _tell_metric(self) -> None:
        if self.is_up is not None:
            LINK_UP.labels(device=self._source.device).set(self.is_up)
