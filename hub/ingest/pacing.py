"""Holds gateways to their pace: what a gateway sends beyond it is read later, so that its window closes and it keeps what it has.

Nothing is dropped and nothing refused (docs/decisions/0147). The alarm connection has a pace of its own: alarms never wait for data.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge

from hub.ingest.identity import GatewayIdentity
from protocols.link import Connection
from protocols.pace import Bucket

BURST_S = 10.0
# Changes of alarms that a gateway may tell at once: 64 beds, the most that a ward page shows, and of each 16, as when a ward's power or
# network goes and comes: the link of each of four devices, the electrodes and limits behind them, their ends (decision 0166).
ALARM_BURST = 64 * 16
_HUB_SHARE = 20  # a hub that hands on what its gateways told stands for as many
# An agent gives a connection up after 10 s without an acknowledgement (protocols/link, ACK_TIMEOUT_NS): the way there and back, and storing,
# have the rest. What a batch owes beyond it is let off, or a stream would end and begin for ever.
LONGEST_WAIT_S = 3.0
TOLD_FROM_S = 0.5  # a wait shorter than that is no news
QUIET_S = 30.0  # so long without one, and it is over
_ALARM_SHARE = 0.1

_WAITED = Counter(
    "hub_ingest_paced_seconds_total", "Time by which gateways were read later than they sent", ["connection"]
)
_THROTTLED = Gauge("hub_ingest_gateways_throttled", "Gateways that are held back now")


@dataclass(frozen=True, slots=True)
class GatewayPace:
    """What one gateway may send in the long run; BURST_S seconds of it at once, ALARM_BURST changes of alarms."""

    records_per_s: float = 20_000.0
    bytes_per_s: float = 16 * 1024 * 1024.0
    alarms_per_s: float = 50.0


@dataclass(frozen=True, slots=True)
class PaceNews:
    """A gateway begins to be held back, or ends after `waited_s` seconds of waiting in all."""

    identity: GatewayIdentity
    holds: bool
    waited_s: float


@dataclass(slots=True)
class _Held:
    """The buckets of one connection of a gateway, and whether it is being held back."""

    records: Bucket
    size: Bucket
    waited_s: float = 0.0
    due_s: float = 0.0
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class Paces:
    """Those of every gateway of this process. `tell` hears once that one begins to be held back, and once that it ends."""

    pace: GatewayPace
    tell: Callable[[PaceNews], None]
    now_s: Callable[[], float] = time.monotonic
    _held: dict[tuple[int, Connection], _Held] = field(default_factory=dict[tuple[int, Connection], _Held])

    async def wait(self, identity: GatewayIdentity, connection: Connection, records: int, size: int) -> None:
        """Return when so many records and bytes may be read, after LONGEST_WAIT_S at the latest; one who gives up has used nothing."""
        held = self._of(identity, connection)
        now_s = self.now_s()
        wait_s = max(held.records.owe(records, now_s), held.size.owe(size, now_s))
        if not wait_s:
            return
        wait_s = min(wait_s, LONGEST_WAIT_S)
        owed = held.records.forgive(wait_s), held.size.forgive(wait_s)
        _WAITED.labels(connection.name.lower()).inc(wait_s)
        held.waited_s += wait_s
        if held.timer is not None or held.waited_s >= TOLD_FROM_S:
            self._hold(identity, held, wait_s)
        try:
            await asyncio.sleep(wait_s)
        except asyncio.CancelledError:
            # The stream has ended: its gateway sends the same again, and is not to pay for it twice.
            held.records.give_back(records - owed[0])
            held.size.give_back(size - owed[1])
            raise

    def end(self) -> None:
        """Nobody is read any more."""
        for held in self._held.values():
            if held.timer is not None:
                held.timer.cancel()

    def begin_anew(self) -> None:
        """Every gateway comes again, under an id that may have been another's."""
        self.end()
        _THROTTLED.dec(sum(held.timer is not None for held in self._held.values()))
        self._held.clear()

    def _of(self, identity: GatewayIdentity, connection: Connection) -> _Held:
        key = (identity.gateway_id, connection)
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = _Held(*self._buckets(identity, connection))
        return found

    def _buckets(self, identity: GatewayIdentity, connection: Connection) -> tuple[Bucket, Bucket]:
        pace = self.pace
        if connection is not Connection.ALARM:
            return Bucket(pace.records_per_s, BURST_S), Bucket(pace.bytes_per_s, BURST_S)
        alarms_per_s = pace.alarms_per_s
        records = Bucket(alarms_per_s * (_HUB_SHARE if identity.forwards else 1), ALARM_BURST / alarms_per_s)
        return records, Bucket(pace.bytes_per_s * _ALARM_SHARE, BURST_S)

    def _hold(self, identity: GatewayIdentity, held: _Held, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        held.due_s = loop.time() + wait_s + QUIET_S
        if held.timer is None:
            held.timer = loop.call_at(held.due_s, self._look, identity, held)
            _THROTTLED.inc()
            self.tell(PaceNews(identity, holds=True, waited_s=held.waited_s))

    def _look(self, identity: GatewayIdentity, held: _Held) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < held.due_s:
            held.timer = loop.call_at(held.due_s, self._look, identity, held)
            return
        held.timer = None
        _THROTTLED.dec()
        self.tell(PaceNews(identity, holds=False, waited_s=held.waited_s))
        held.waited_s = 0.0
