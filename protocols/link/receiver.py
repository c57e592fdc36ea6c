"""The hub's end of the uplink, sans-I/O: who may speak, what is stored already, what is acknowledged when.

One object a gateway and epoch, shared by its two connections and by a connection that replaces a dead one. It writes nothing:
the shell adds a batch to the stored position of its lane in the transaction of the data, and acknowledges after the commit. Transactions
of one gateway and lane follow each other; two at once would each write a position without the other's.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from protocols.link.events import ProtocolViolation, Refusal, Verdict
from protocols.link.lane import EPOCH_BYTES, VERSION, Connection, Lane
from protocols.link.ranges import MAX_N, MAX_RANGES, Position, Ranges
from protocols.uplink_pb2 import Ack, Batch, Hello, HubHello, Lost, NewestBatch, Rejected

# Batches that may be on their way into the database at once, of one lane: more than any sender has in flight.
MAX_BEING_STORED = 1024


def check_hello(hello: Hello, *, tenant: str, gateway: str) -> Refusal | None:
    """Compare a Hello with the identity in the client's certificate; None when it may go on."""
    if hello.version != VERSION:
        text = f"protocol version {hello.version}: this hub speaks version {VERSION}; update the older of the two"
        return Refusal("version", text)
    if hello.tenant != tenant:
        text = f"tenant {hello.tenant!r}: the certificate says {tenant!r}; enrol the gateway again"
        return Refusal("tenant", text)
    if hello.gateway != gateway:
        text = f"gateway {hello.gateway!r}: the certificate says {gateway!r}; enrol the gateway again"
        return Refusal("gateway", text)
    if len(hello.epoch) != EPOCH_BYTES:
        text = f"epoch of {len(hello.epoch)} bytes: expected {EPOCH_BYTES}; update the agent"
        return Refusal("epoch", text)
    if hello.connection not in set(Connection):
        return Refusal("connection", f"connection {int(hello.connection)}: expected 1 (alarm) or 2 (data)")
    return None


def newest_of(batch: Batch) -> NewestBatch:
    """What a later hello says of a batch when it is the newest of its lane; `closed_ns` 0 when the batch does not say it."""
    return NewestBatch(lane=batch.lane, n=batch.n, closed_ns=batch.made_ns or batch.closed_ns)


class LinkReceiver:
    """The hub's end for one gateway and epoch, with the positions that the database holds.

    `tenant` and `gateway` are those of the client's certificate, never those of the Hello.
    """

    def __init__(self, tenant: str, gateway: str, epoch: bytes, positions: Mapping[Lane, Position]) -> None:
        self._tenant, self._gateway, self._epoch = tenant, gateway, epoch
        self._stored = {lane: positions.get(lane, Position()).copy() for lane in Lane}
        self._storing = {lane: Ranges() for lane in Lane}
        self._greeted: set[Connection] = set()
        self.commits = 0  # how often something was stored here

    def hello(
        self, hello: Hello, hub_ns: int, features: Iterable[str] = (), newest: Iterable[NewestBatch] = ()
    ) -> HubHello | Refusal | Literal[Verdict.WAIT]:
        """Answer a Hello with what is stored of that connection's lanes, or refuse it.

        The shell first stops reading an older stream of the same connection. WAIT: something that came on it is still being
        stored; call again when that has ended, so that the answer is the truth the gateway reports its gaps by.
        `newest`: the newest batch of each lane of which it is known.
        """
        refusal = check_hello(hello, tenant=self._tenant, gateway=self._gateway)
        if refusal is not None:
            return refusal
        if hello.epoch != self._epoch:
            return Refusal("epoch", "another epoch: it has positions of its own")
        connection = Connection(hello.connection)
        if self.is_storing(connection):
            return Verdict.WAIT
        self._greeted.add(connection)
        positions = [self._stored[lane].to_proto(lane) for lane in connection.lanes]
        stated = [one for one in newest if one.lane in connection.lanes]
        return HubHello(version=VERSION, positions=positions, features=features, hub_ns=hub_ns, newest=stated)

    def is_storing(self, connection: Connection) -> bool:
        """Whether something of the connection's lanes is on its way into the database."""
        return any(len(self._storing[lane]) for lane in connection.lanes)

    def restate(self, connection: Connection, positions: Mapping[Lane, Position]) -> None:
        """Take the positions of a connection's lanes from the database, before a hello and while nothing of them is being stored.

        Another copy of the hub may have stored more since, and positions may have been opened again.
        """
        for lane in connection.lanes:
            self._stored[lane] = positions.get(lane, Position()).copy()

    def receive(self, connection: Connection, message: Batch | Lost) -> Verdict | ProtocolViolation:
        """Say what to do with a batch, or with a Lost. After STORE the shell has to call `committed` or `failed`."""
        named = self._named(connection, message)
        if isinstance(named, ProtocolViolation):
            return named
        lane, first, last = named
        stored, storing = self._stored[lane], self._storing[lane]
        if stored.contains(first, last):
            return Verdict.DUPLICATE
        if any(True for _ in storing.within(first, last)):
            return Verdict.WAIT
        where = f"lane {lane.name.lower()}, batch {first}"
        ahead = Ranges(stored)
        ahead.update(storing)
        ahead.add(first, last)
        if len(ahead) > MAX_RANGES:
            return ProtocolViolation(where, f"at most {MAX_RANGES} ranges in a position", str(len(ahead)))
        if isinstance(message, Batch) and sum(b - a + 1 for a, b in storing) >= MAX_BEING_STORED:
            return ProtocolViolation(where, f"at most {MAX_BEING_STORED} batches unacknowledged", "one more")
        storing.add(first, last)
        return Verdict.STORE

    def _named(self, connection: Connection, message: Batch | Lost) -> tuple[Lane, int, int] | ProtocolViolation:
        if connection not in self._greeted:
            return ProtocolViolation(f"connection {connection.name.lower()}", "a hello first", "data")
        if message.lane not in set(connection.lanes):
            expected = f"a lane of connection {connection.name.lower()}"
            return ProtocolViolation("lane", expected, str(int(message.lane)))
        lane = Lane(message.lane)
        batch = isinstance(message, Batch)
        first, last = (message.n, message.n) if batch else (message.range.first, message.range.last)
        if not 1 <= first <= last <= MAX_N:
            where = f"lane {lane.name.lower()}, batch {first}"
            return ProtocolViolation(where, f"1 <= first <= last <= {MAX_N}", f"{first} to {last}")
        return lane, first, last

    def position(self, lane: Lane) -> Position:
        """What is stored of a lane: a copy."""
        return self._stored[lane].copy()

    def committed(
        self, lane: Lane, first: int, last: int | None = None, rejected: Iterable[tuple[int, str]] = ()
    ) -> Ack:
        """The transaction that holds the data and the position is committed: returns the Ack to send.

        `rejected`: index in the batch and reason of each record that went to quarantine.
        """
        self.commits += 1
        self._storing[lane].remove(first, last)
        self._stored[lane].add(first, last)
        ack = self.ack(lane)
        ack.rejected.extend(Rejected(lane=lane.wire, n=first, index=index, reason=why) for index, why in rejected)
        return ack

    def failed(self, lane: Lane, first: int, last: int | None = None) -> None:
        """The transaction was rolled back: the batch may come again."""
        self._storing[lane].remove(first, last)

    def ack(self, lane: Lane) -> Ack:
        """Acknowledge what is stored of a lane."""
        return Ack(position=self._stored[lane].to_proto(lane))
