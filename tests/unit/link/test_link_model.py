"""The uplink as a model: a gateway, two wires and a hub, with everything that can go wrong between them, in any order.

The hub's database and the gateway's spool are plain sets here, written only where the real ones commit. What the model asserts
is rule 3 and rule 4 of the architecture: each batch is stored exactly once, nothing acknowledged is missing, nothing is both
stored and reported as a gap, alarms wait for no data, and memory is bounded.
"""

import copy
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from protocols.link import (
    Acknowledged,
    CannotResend,
    Connection,
    Lane,
    LinkReceiver,
    LinkSender,
    Position,
    ProtocolViolation,
    Ranges,
    SendBatch,
    SendLost,
    Verdict,
    connection_of,
)
from protocols.link.sender import LIVE_BATCHES
from protocols.link.window import MAX_BATCHES, MAX_BYTES
from protocols.uplink_pb2 import Ack, Batch, GatewayMessage, HubHello, HubMessage
from tests.fixtures.long_form import examples

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH_BYTES = (200, 16 * 1024, 80 * 1024)
LANES, CONNECTIONS = st.sampled_from(list(Lane)), st.sampled_from(list(Connection))


@dataclass
class Spool:
    """What the gateway has on disk."""

    epoch: bytes
    newest: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    held: dict[Lane, Ranges] = field(default_factory=lambda: {lane: Ranges() for lane in Lane})
    gaps: dict[Lane, Ranges] = field(default_factory=lambda: {lane: Ranges() for lane in Lane})


@dataclass
class Database:
    """What the hub has committed: rows and positions, by epoch and lane."""

    rows: list[tuple[bytes, Lane, int]] = field(default_factory=list)
    positions: dict[tuple[bytes, Lane], Position] = field(default_factory=dict)


@dataclass
class Wire:
    """A connection that is up, with what is under way on it."""

    up: deque[GatewayMessage] = field(default_factory=deque)
    down: deque[HubMessage] = field(default_factory=deque)
    epoch: bytes = b""
    sent: set[tuple[Lane, int]] = field(default_factory=set)


@dataclass
class Transaction:
    """A batch on its way into the database."""

    epoch: bytes
    lane: Lane
    first: int
    last: int
    lost: bool


class UplinkModel(RuleBasedStateMachine):
    """One gateway and one hub."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.epochs = 0
        self.spool = self.new_spool()
        self.database = Database()
        self.backup = Database()
        self.wires: dict[Connection, Wire] = {}
        self.receivers: dict[bytes, LinkReceiver] = {}
        self.transactions: list[Transaction] = []
        self.start_sender()

    # -- the two machines

    def new_spool(self) -> Spool:
        self.epochs += 1
        return Spool(self.epochs.to_bytes(16, "big"))

    def start_sender(self) -> None:
        self.wires.clear()
        self.acknowledged = {lane: Position() for lane in Lane}
        self.flood = Ranges()  # alarms that yield, as far as the sender knows: it does not after a start
        self.sender = LinkSender("ward", "gateway-1", self.spool.epoch)
        for lane in Lane:
            self.sender.spool_opened(lane, self.spool.held[lane], self.spool.newest[lane])

    def stop_hub(self) -> None:
        self.receivers.clear()
        self.transactions.clear()
        for connection in list(self.wires):
            self.hang_up(connection)

    def hang_up(self, connection: Connection) -> None:
        self.wires.pop(connection, None)
        self.sender.disconnected(connection)

    def receiver(self, epoch: bytes) -> LinkReceiver:
        if epoch not in self.receivers:
            positions = {lane: self.database.positions.get((epoch, lane), Position()) for lane in Lane}
            self.receivers[epoch] = LinkReceiver("ward", "gateway-1", epoch, positions)
        return self.receivers[epoch]

    def on_disk(self, lane: Lane, n: int) -> bool:
        return (self.spool.epoch, lane, n) in set(self.database.rows) or self.spool.gaps[lane].contains(n)

    # -- what happens at the gateway

    @rule(lane=LANES, count=st.sampled_from([1, 1, 1, 2, 5, 60]), of_a_flood=st.booleans())
    def batches_are_made(self, lane: Lane, count: int, *, of_a_flood: bool = False) -> None:
        for _ in range(count):
            n = self.spool.newest[lane] + 1
            self.spool.newest[lane] = n
            self.spool.held[lane].add(n)
            is_flood = of_a_flood and lane is Lane.ALARM
            self.sender.batch_ready(lane, n, yields=is_flood)
            if is_flood:
                self.flood.add(n)

    def the_spool_drops_its_oldest(self, lane: Lane, count: int) -> None:
        held = list(self.spool.held[lane])
        if held:
            first = held[0][0]
            last = min(first + count, self.spool.newest[lane])
            self.spool.held[lane].remove(first, last)
            self.take(self.sender.spool_dropped(lane, first, last))

    def the_spool_finds_a_batch_damaged(self, lane: Lane, back: int) -> None:
        n = self.spool.newest[lane] - back
        if self.spool.held[lane].contains(n):
            self.spool.held[lane].remove(n)
            self.take(self.sender.spool_dropped(lane, n, n))

    def the_gateway_starts_a_new_spool(self) -> None:
        if self.epochs < 3:
            self.spool = self.new_spool()
            self.start_sender()

    def connects_if_it_is_down(self, connection: Connection) -> None:
        if connection not in self.wires:
            self.connect(connection)

    def connect(self, connection: Connection) -> None:
        self.hang_up(connection)
        wire = Wire(epoch=self.spool.epoch)
        self.wires[connection] = wire
        wire.up.append(self.sender.connected(connection, self.now_ns))

    def send(self, connection: Connection, size: int, count: int) -> None:
        for _ in range(count):
            send = self.sender.next(connection)
            if send is None or connection not in self.wires:
                return
            if isinstance(send, SendLost):
                assert self.spool.gaps[send.lane].contains(send.first, send.last)
                message = send.message
            else:
                assert self.spool.held[send.lane].contains(send.n)
                message = GatewayMessage(batch=Batch(lane=send.lane.wire, n=send.n))
                self.wires[connection].sent.add((send.lane, send.n))
            self.sender.sent(connection, send, size, self.now_ns)
            self.wires[connection].up.append(message)

    def the_gateway_receives(self, connection: Connection, count: int) -> None:
        wire = self.wires.get(connection)
        for _ in range(count):
            if wire is None or not wire.down:
                return
            self.take(self.sender.receive(connection, wire.down.popleft(), self.now_ns))

    def take(self, events: "list[Any]") -> None:
        for event in events:
            assert not isinstance(event, ProtocolViolation), event
            if isinstance(event, Acknowledged):
                self.acknowledged[event.lane] = event.position
                for first, last in event.position:
                    assert all(self.on_disk(event.lane, n) for n in range(first, last + 1)), (
                        "acknowledged and not stored"
                    )
            if isinstance(event, CannotResend):
                self.spool.gaps[event.lane].add(event.first, event.last)
                self.sender.gap_recorded(event.lane, event.first, event.last)

    # -- what happens on the wire

    def a_message_is_lost_or_comes_twice(self, connection: Connection, up: bool, again: bool) -> None:
        """gRPC does neither; a proxy or a wrong shell may."""
        wire = self.wires.get(connection)
        if wire is None:
            return
        queue: deque[Any] = wire.up if up else wire.down
        if queue and queue[0].WhichOneof("message") != "hello":
            message = queue[0]
            if again:
                queue.append(message)
            else:
                queue.popleft()

    @rule(seconds=st.sampled_from([1, 6, 11]))
    def time_passes(self, seconds: int) -> None:
        self.now_ns += seconds * 1_000_000_000
        for connection in Connection:
            deadline = self.sender.deadline(connection)
            if deadline is not None and self.now_ns >= deadline:
                self.hang_up(connection)

    # -- what happens at the hub

    def the_hub_receives(self, connection: Connection, count: int) -> None:
        for _ in range(count):
            wire = self.wires.get(connection)
            if wire is None or not wire.up or not self.hub_takes(connection, wire, wire.up[0]):
                return
            wire.up.popleft()

    def hub_takes(self, connection: Connection, wire: Wire, message: GatewayMessage) -> bool:
        """Whether the message was taken; False leaves it for later."""
        receiver = self.receiver(wire.epoch)
        kind = message.WhichOneof("message")
        if kind == "hello":
            answer = receiver.hello(message.hello, self.now_ns)
            if isinstance(answer, HubHello):
                wire.down.append(HubMessage(hello=answer))
            return isinstance(answer, HubHello)
        data = message.batch if kind == "batch" else message.lost
        verdict = receiver.receive(connection, data)
        assert isinstance(verdict, Verdict), verdict
        lane = Lane(data.lane)
        if verdict is Verdict.STORE:
            first, last = (data.n, data.n) if isinstance(data, Batch) else (data.range.first, data.range.last)
            self.transactions.append(Transaction(wire.epoch, lane, first, last, lost=kind == "lost"))
            self.stored_begun(self.transactions[-1])
        elif verdict is Verdict.DUPLICATE:
            wire.down.append(HubMessage(ack=receiver.ack(lane)))
        return verdict is not Verdict.WAIT

    def stored_begun(self, transaction: Transaction) -> None:
        """Nothing is acknowledged here; a wrong hub of the tests below does."""

    def the_hub_commits(self, which: int, count: int, acked: bool) -> None:
        for _ in range(count):
            if self.transactions:
                self.commit(self.transactions.pop(which % len(self.transactions)), acked=acked)

    def commit(self, transaction: Transaction, *, acked: bool) -> None:
        key = (transaction.epoch, transaction.lane)
        receiver = self.receiver(transaction.epoch)
        if not transaction.lost:
            self.database.rows.append((*key, transaction.first))
        position = self.database.positions.get(key, Position()).copy()
        position.add(transaction.first, transaction.last)
        self.database.positions[key] = position
        ack = receiver.committed(transaction.lane, transaction.first, transaction.last)
        if acked:
            self.acknowledge(transaction, ack)

    def acknowledge(self, transaction: Transaction, ack: Ack) -> None:
        wire = self.wires.get(connection_of(transaction.lane))
        if wire is not None and wire.epoch == transaction.epoch and self.greeted(connection_of(transaction.lane)):
            wire.down.append(HubMessage(ack=ack))

    def greeted(self, connection: Connection) -> bool:
        """Whether the hub has answered the Hello of the wire that is up."""
        return not any(message.WhichOneof("message") == "hello" for message in self.wires[connection].up)

    def a_transaction_fails(self, which: int) -> None:
        if self.transactions:
            failed = self.transactions.pop(which % len(self.transactions))
            self.receiver(failed.epoch).failed(failed.lane, failed.first, failed.last)

    def the_hub_is_backed_up(self) -> None:
        self.backup = copy.deepcopy(self.database)

    def the_hub_is_restored(self) -> None:
        self.stop_hub()
        self.database = copy.deepcopy(self.backup)

    # -- what goes well, and what breaks (few rules with many choices: hypothesis leaves rules out of a run at random)

    @initialize(lane=LANES, database_is_slow=st.booleans())
    def it_has_run_for_a_while(self, lane: Lane, *, database_is_slow: bool) -> None:
        self.batches_are_made(lane, 5)
        self.all_goes_well_for_a_while(3, database_is_slow=database_is_slow)

    @rule(rounds=st.integers(1, 3), database_is_slow=st.booleans())
    def all_goes_well_for_a_while(self, rounds: int, *, database_is_slow: bool) -> None:
        for connection in Connection:
            self.connects_if_it_is_down(connection)
        for _ in range(rounds):
            self.one_round(8, commits=0 if database_is_slow else 8)

    @rule(
        what=st.sampled_from(["send", "the hub receives", "the gateway receives", "the hub commits", "connect"]),
        connection=CONNECTIONS,
        size=st.sampled_from(BATCH_BYTES),
        count=st.sampled_from([1, 1, 3, 20]),
        which=st.integers(0, 1000),
    )
    def something_moves(self, what: str, connection: Connection, size: int, count: int, which: int) -> None:
        match what:
            case "send":
                self.send(connection, size, count)
            case "the hub receives":
                self.the_hub_receives(connection, count)
            case "the gateway receives":
                self.the_gateway_receives(connection, count)
            case "the hub commits":
                self.the_hub_commits(which, count, acked=which % 3 > 0)
            case _:
                self.connects_if_it_is_down(connection)

    def one_round(self, count: int, commits: int) -> None:
        for connection in Connection:
            self.the_hub_receives(connection, count)
            self.the_hub_commits(0, commits, acked=True)
            self.the_gateway_receives(connection, count)
            self.send(connection, 16 * 1024, count)

    @rule(
        what=st.sampled_from(
            [
                "a connection",
                "a connection, and it comes back",
                "a connection, while the database is slow",
                "a message on its way up",
                "a message on its way down",
                "a transaction",
                "the gateway, and it restarts",
                "the gateway's spool, and it starts a new one",
                "the spool's oldest batches",
                "one batch of the spool",
                "the hub",
                "the hub, and it is restored",
                "nothing, and the hub is backed up",
            ]
        ),
        connection=CONNECTIONS,
        lane=LANES,
        count=st.integers(0, 30),
    )
    def something_breaks(self, what: str, connection: Connection, lane: Lane, count: int) -> None:
        breaks: dict[str, Callable[[], None]] = {
            "a connection": lambda: self.hang_up(connection),
            "a connection, and it comes back": lambda: self.connect(connection),
            "a connection, while the database is slow": lambda: self.a_connection_breaks_in_a_commit(connection),
            "a message on its way up": lambda: self.a_message_is_lost_or_comes_twice(connection, True, count % 2 == 0),
            "a message on its way down": lambda: self.a_message_is_lost_or_comes_twice(
                connection, False, count % 2 == 0
            ),
            "a transaction": lambda: self.a_transaction_fails(count),
            "the gateway, and it restarts": self.start_sender,
            "the gateway's spool, and it starts a new one": self.the_gateway_starts_a_new_spool,
            "the spool's oldest batches": lambda: self.the_spool_drops_its_oldest(lane, count),
            "one batch of the spool": lambda: self.the_spool_finds_a_batch_damaged(lane, count),
            "the hub": self.stop_hub,
            "the hub, and it is restored": self.the_hub_is_restored,
            "nothing, and the hub is backed up": self.the_hub_is_backed_up,
        }
        breaks[what]()

    def a_connection_breaks_in_a_commit(self, connection: Connection) -> None:
        self.all_goes_well_for_a_while(2, database_is_slow=True)
        self.connect(connection)
        self.all_goes_well_for_a_while(2, database_is_slow=True)

    # -- what must hold at any moment

    @invariant()
    def each_batch_is_stored_at_most_once(self) -> None:
        assert len(set(self.database.rows)) == len(self.database.rows), "stored twice"

    @invariant()
    def nothing_is_both_stored_and_a_gap(self) -> None:
        for epoch, lane, n in self.database.rows:
            assert epoch != self.spool.epoch or not self.spool.gaps[lane].contains(n), "a gap that is none"

    @invariant()
    def an_alarm_is_the_next_thing_on_its_connection(self) -> None:
        self.next_is_the_most_urgent(Connection.ALARM)

    @invariant()
    def live_data_follow_their_order(self) -> None:
        self.next_is_the_most_urgent(Connection.DATA)

    def next_is_the_most_urgent(self, connection: Connection) -> None:
        """Of the lanes with an unsent batch among their newest ones, the most urgent comes next."""
        send = self.sender.next(connection)
        if send is None:
            return
        for lane in connection.lanes:
            newest = self.spool.newest[lane]
            live = [
                n for n in range(max(1, newest - LIVE_BATCHES + 1), newest + 1) if self.spool.held[lane].contains(n)
            ]
            sent = self.wires[connection].sent
            unsent = [n for n in live if (lane, n) not in sent and not self.acknowledged[lane].contains(n)]
            if lane is Lane.ALARM:
                unsent = [n for n in unsent if not self.flood.contains(n)]
            if unsent:
                assert isinstance(send, SendBatch)
                assert send.lane is lane
                assert lane is Lane.ALARM or send.n == max(unsent)
                assert lane is not Lane.ALARM or not self.flood.contains(send.n)
                return

    @invariant()
    def an_alarm_is_sent_whatever_the_data_do(self) -> None:
        wire = self.wires.get(Connection.ALARM)
        if wire is None or self.sender.bytes_in_flight(Connection.ALARM) or self.sender.deadline(Connection.ALARM):
            return  # acknowledgements of alarms, or the hub's hello, are awaited
        if self.sender.waiting(Lane.ALARM):
            assert isinstance(self.sender.next(Connection.ALARM), SendBatch | SendLost)

    @invariant()
    def memory_is_bounded(self) -> None:
        for connection in Connection:
            assert self.sender.bytes_in_flight(connection) < MAX_BYTES + max(BATCH_BYTES)
        assert len(self.transactions) <= 4 * MAX_BATCHES

    # -- and at the end, when nothing goes wrong any more

    def teardown(self) -> None:
        for connection in Connection:
            self.connect(connection)
        for _ in range(10_000):
            before = self.state()
            self.one_round(50, commits=50)
            if self.state() == before:
                break
        rows = set(self.database.rows)
        self.each_batch_is_stored_at_most_once()
        self.nothing_is_both_stored_and_a_gap()
        for lane, newest in self.spool.newest.items():
            for n in range(1, newest + 1):
                stored, gap = (self.spool.epoch, lane, n) in rows, self.spool.gaps[lane].contains(n)
                assert stored != gap, f"{lane.name} {n}: stored {stored}, gap {gap}"
            position = self.database.positions.get((self.spool.epoch, lane), Position())
            assert (position.cumulative, position.above) == (newest, []), "the position is not what is stored"
            assert self.sender.waiting(lane) == 0
        assert not any(self.sender.bytes_in_flight(connection) for connection in Connection)

    def state(self) -> tuple[int, ...]:
        queued = [len(wire.up) + len(wire.down) for wire in self.wires.values()]
        in_flight = [self.sender.bytes_in_flight(connection) for connection in Connection]
        return (len(self.database.rows), len(self.transactions), *queued, *in_flight)


UplinkModel.TestCase.settings = settings(
    max_examples=examples(50, 500),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
TestUplinkModel = UplinkModel.TestCase


class AcknowledgesBeforeTheCommit(UplinkModel):
    """A wrong hub: it acknowledges what it has not committed."""

    def stored_begun(self, transaction: Transaction) -> None:
        position = self.receiver(transaction.epoch).position(transaction.lane)
        position.add(transaction.first, transaction.last)
        self.acknowledge(transaction, Ack(position=position.to_proto(transaction.lane)))


class ForgetsPositions(UplinkModel):
    """A wrong hub: it commits the data without the position."""

    def commit(self, transaction: Transaction, *, acked: bool) -> None:
        super().commit(transaction, acked=acked)
        self.database.positions.pop((transaction.epoch, transaction.lane))


class SaysHelloTooEarly(UplinkModel):
    """A wrong hub: it answers a Hello while an older stream's batches are being stored."""

    def hub_takes(self, connection: Connection, wire: Wire, message: GatewayMessage) -> bool:
        if message.WhichOneof("message") == "hello":
            for lane in connection.lanes:
                self.receiver(wire.epoch)._storing[lane] = Ranges()
        return super().hub_takes(connection, wire, message)


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (AcknowledgesBeforeTheCommit, "acknowledged and not stored"),
        (ForgetsPositions, "stored twice|the position is not what is stored"),
        (SaysHelloTooEarly, "stored twice"),
    ],
)
def test_the_model_finds_a_planted_fault(wrong: type[UplinkModel], found: str):
    search = settings(
        UplinkModel.TestCase.settings,
        max_examples=1000,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
    )
    with pytest.raises(AssertionError, match=found):
        run_state_machine_as_test(wrong, settings=search)
