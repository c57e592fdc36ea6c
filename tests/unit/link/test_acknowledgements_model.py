"""Acknowledgements as a model: a bed whose heart stops and beats again, a nurse, and the two ends of the alarm connection.

What is asserted: an alarm that nobody has acknowledged never ends when its rhythm latches; one that somebody has ends exactly
once its condition has gone, whatever breaks in between; and the gateway then keeps nothing of it.
"""

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hub.ingest.acknowledged import messages
from models.screening import alarms
from models.screening.alarms import Condition
from protocols.link import AlarmsAcknowledged, Connection, HubReady, LinkReceiver, LinkSender
from protocols.nomenclature import ASYSTOLE
from protocols.record import NS_PER_S, AlarmCondition, AlarmKind, Presence, Priority, SourcePath, Times
from protocols.uplink_pb2 import HubHello, HubMessage
from tests.fixtures.long_form import examples

if TYPE_CHECKING:
    from uuid import UUID

EPOCH = bytes(16)
SOURCE = SourcePath("bed-1", ("ecg",))


class Bedside(RuleBasedStateMachine):
    """`spool` is what the gateway has on disk and `stored` what the hub has: presences of each alarm, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 1_700_000_000 * NS_PER_S
        self.stops = False
        self.spool: dict[UUID, list[Presence]] = {}
        self.last: dict[UUID, AlarmCondition] = {}
        self.stored: dict[UUID, list[Presence]] = {}
        self.seen: set[UUID] = set()
        self.heard: set[UUID] = set()  # by this run of the agent, while the condition held
        self.under_way: list[HubMessage] = []
        self.connected = False
        self.start()

    def start(self) -> None:
        self.hang_up()
        self.heard.clear()
        self.state = alarms.restore(tuple(a for a in self.last.values() if a.presence is not Presence.ENDED))
        self.sender = LinkSender("ward", "gateway-1", EPOCH)

    def hang_up(self) -> None:
        self.connected = False
        self.under_way.clear()

    def write(self, change: AlarmCondition | None) -> None:
        if change is not None:
            self.spool.setdefault(change.id, []).append(change.presence)
            self.last[change.id] = change

    def told(self) -> list[HubMessage]:
        """What the hub says: acknowledged and, as far as it has heard, not ended."""
        return messages(a.bytes for a in sorted(self.seen) if self.stored[a][-1] is not Presence.ENDED)

    def second(self) -> None:
        self.now_ns += NS_PER_S
        condition = Condition(
            SOURCE, ASYSTOLE, self.stops, Priority.HIGH, AlarmKind.PHYSIOLOGICAL, self.now_ns, self.now_ns, "pause"
        )
        if self.stops or condition.key in self.state.standing:
            self.state, change, _ = alarms.step(self.state, condition, Times(self.now_ns))
            self.write(change)

    @rule(stops=st.booleans(), seconds=st.sampled_from((1, 5)))
    def time_passes(self, *, stops: bool, seconds: int) -> None:
        self.stops = stops
        for _ in range(seconds):
            self.second()

    @rule()
    def agent_is_killed(self) -> None:
        self.start()

    @rule()
    def link_breaks(self) -> None:
        self.hang_up()
        self.sender.disconnected(Connection.ALARM)

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self) -> None:
        self.connected = True
        hello = LinkReceiver("ward", "gateway-1", EPOCH, {}).hello(
            self.sender.connected(Connection.ALARM, self.now_ns).hello, self.now_ns
        )
        assert isinstance(hello, HubHello)
        events = self.sender.receive(Connection.ALARM, HubMessage(hello=hello), self.now_ns)
        assert any(isinstance(event, HubReady) for event in events)
        self.under_way = self.told()

    @precondition(lambda self: self.connected)
    @rule()
    def upload(self) -> None:
        self.stored = {alarm: list(presences) for alarm, presences in self.spool.items()}

    @precondition(lambda self: self.stored)
    @rule()
    def nurse_acknowledges(self) -> None:
        self.seen |= {a for a, presences in self.stored.items() if presences[-1] is not Presence.ENDED}
        if self.connected:
            self.under_way += self.told()

    @precondition(lambda self: self.under_way)
    @rule()
    def hear(self) -> None:
        for event in self.sender.receive(Connection.ALARM, self.under_way.pop(0), self.now_ns):
            if isinstance(event, AlarmsAcknowledged):
                self.heard |= {a for a in event.alarms if self.last[a].presence is Presence.PRESENT}
                for alarm in event.alarms:
                    self.state, change = alarms.acknowledge(self.state, alarm, Times(self.now_ns))
                    self.write(change)

    @invariant()
    def what_nobody_has_seen_does_not_end(self) -> None:
        for alarm, presences in self.spool.items():
            assert alarm in self.seen or Presence.ENDED not in presences

    @invariant()
    def what_was_seen_while_it_held_does_not_latch(self) -> None:
        assert not [alarm for alarm in self.heard if self.last[alarm].presence is Presence.LATCHED]

    @invariant()
    def each_alarm_lives_once(self) -> None:
        lives = ([Presence.PRESENT], [Presence.PRESENT, Presence.LATCHED], [Presence.PRESENT, Presence.ENDED])
        for presences in self.spool.values():
            assert presences in (*lives, [Presence.PRESENT, Presence.LATCHED, Presence.ENDED])

    def teardown(self) -> None:
        """In the end the heart beats, the link holds, and everything is acknowledged: every alarm ends on both sides."""
        self.time_passes(stops=False, seconds=5)
        self.link_breaks()
        self.upload()
        self.nurse_acknowledges()
        self.connect()
        while self.under_way:
            self.hear()
        self.upload()
        assert all(presences[-1] is Presence.ENDED for presences in self.stored.values())
        assert not self.state.standing
        assert not self.state.latched
        assert not self.state.seen
        assert self.told() == []


def test_an_acknowledged_alarm_ends_whatever_breaks() -> None:
    tried = settings(max_examples=examples(100, 1000), stateful_step_count=30, deadline=None)
    run_state_machine_as_test(Bedside, settings=tried)  # pyright: ignore[reportUnknownMemberType]
