"""The uplink's rules one by one: order, window, refusals, what comes again and what never comes."""

from collections.abc import Callable
from uuid import UUID

import pytest

from protocols.link import (
    MAX_ALARMS_TOLD,
    Acknowledged,
    AlarmsAcknowledged,
    CannotResend,
    ConfigurationReceived,
    Connection,
    EpochConflict,
    HubReady,
    Lane,
    LinkReceiver,
    LinkSender,
    Position,
    ProtocolViolation,
    Refusal,
    RejectedRecord,
    SendBatch,
    SendLost,
    Verdict,
    check_hello,
    newest_of,
)
from protocols.link.window import MAX_BYTES, MIN_BYTES, START_BYTES
from protocols.uplink_pb2 import (
    Ack,
    Batch,
    Configuration,
    Hello,
    HubHello,
    HubMessage,
    LanePosition,
    LookedAt,
    Lost,
    NewestBatch,
    Placement,
    Range,
    Setting,
    Settings,
)
from protocols.uplink_pb2 import (
    AlarmsAcknowledged as AlarmsAcknowledgedMessage,
)
from protocols.wire import decode_batch, encode_batch
from protocols.wire.moved import moved_batch

EPOCH = bytes(range(16))
S = 1_000_000_000
DATA, ALARM = Connection.DATA, Connection.ALARM


def sender_with(**newest: int) -> LinkSender:
    sender = LinkSender("ward", "g-1", EPOCH)
    for name, last in newest.items():
        sender.spool_opened(Lane[name.upper()], [(1, last)] if last else [], last)
    return sender


def say_hello(sender: LinkSender, connection: Connection = DATA, **stored: Position) -> list[object]:
    sender.connected(connection, 0)
    positions = [position.to_proto(Lane[name.upper()]) for name, position in stored.items()]
    return list(sender.receive(connection, HubMessage(hello=HubHello(version=1, positions=positions)), 0))


def ack(lane: Lane, *stored: tuple[int, int]) -> HubMessage:
    return HubMessage(ack=Ack(position=Position(stored).to_proto(lane)))


def send_all(sender: LinkSender, connection: Connection = DATA, size: int = 100) -> list[tuple[Lane, int]]:
    sent: list[tuple[Lane, int]] = []
    while isinstance(send := sender.next(connection), SendBatch):
        sender.sent(connection, send, size, 0)
        sent.append((send.lane, send.n))
    return sent


def test_live_data_go_by_lane_and_newest_first_and_the_backlog_oldest_first():
    sender = sender_with(event=2, waveform=43)
    say_hello(sender)
    expected = [(Lane.EVENT, 2), (Lane.EVENT, 1), *((Lane.WAVEFORM, n) for n in range(43, 3, -1))]
    assert send_all(sender) == [*expected, *((Lane.WAVEFORM, n) for n in (1, 2, 3))]


def test_a_backlog_goes_newest_first_while_a_page_looks_and_leaves_no_more_than_one_range():
    sender = sender_with(waveform=1_000, numeric=1_000, event=50)
    say_hello(sender)
    for _ in range(3 * 40):  # what is live
        send = sender.next(DATA)
        assert isinstance(send, SendBatch)
        sender.sent(DATA, send, 1, 0)
    sender.receive(DATA, HubMessage(looked_at=LookedAt(looked_at=True)), 0)
    looked = [sender.next(DATA)]
    for _ in range(20):
        assert isinstance(looked[-1], SendBatch)
        sender.sent(DATA, looked[-1], 1, 0)
        looked.append(sender.next(DATA))
    assert looked == [SendBatch(Lane.EVENT, n) for n in range(10, 0, -1)] + [
        SendBatch(Lane.NUMERIC, n) for n in range(960, 949, -1)
    ]
    sender.receive(DATA, HubMessage(looked_at=LookedAt(looked_at=False)), 0)
    assert sender.next(DATA) == SendBatch(Lane.NUMERIC, 1)


def test_alarms_go_oldest_first_so_that_an_end_follows_its_onset():
    sender = sender_with(alarm=3)
    say_hello(sender, ALARM)
    assert send_all(sender, ALARM) == [(Lane.ALARM, 1), (Lane.ALARM, 2), (Lane.ALARM, 3)]


def test_what_is_of_a_flood_goes_by_itself_when_nothing_else_waits_or_is_on_its_way():
    sender = sender_with(alarm=1)
    say_hello(sender, ALARM)
    for n in range(2, 62):
        sender.batch_ready(Lane.ALARM, n, yields=True)
    assert send_all(sender, ALARM) == [(Lane.ALARM, 1)]
    sender.receive(ALARM, ack(Lane.ALARM, (1, 1)), 0)
    assert send_all(sender, ALARM) == [(Lane.ALARM, 2)]
    sender.batch_ready(Lane.ALARM, 62)
    assert send_all(sender, ALARM) == [(Lane.ALARM, 62)], "past sixty batches, and behind the one that is on its way"
    sender.receive(ALARM, ack(Lane.ALARM, (1, 2)), 0)
    assert send_all(sender, ALARM) == []
    sender.receive(ALARM, ack(Lane.ALARM, (1, 2), (62, 62)), 0)
    assert send_all(sender, ALARM) == [(Lane.ALARM, 3)]
    sender.disconnected(ALARM)
    sender.batch_ready(Lane.ALARM, 63)
    say_hello(sender, ALARM, alarm=Position([(1, 3), (62, 62)]))
    assert send_all(sender, ALARM) == [(Lane.ALARM, 63)], "also behind a new hello"
    sender.receive(ALARM, ack(Lane.ALARM, (1, 3), (62, 63)), 0)
    for n in range(4, 62):
        assert send_all(sender, ALARM) == [(Lane.ALARM, n)]
        sender.receive(ALARM, ack(Lane.ALARM, (1, n), (62, 63)), 0)
    assert send_all(sender, ALARM) == []


def test_a_flood_with_as_many_others_in_between_as_a_position_may_have_holes_goes_in_its_order():
    sender = sender_with()
    say_hello(sender, ALARM)
    for n in range(1, 1001):
        sender.batch_ready(Lane.ALARM, n, yields=n % 2 == 1)
    sent, stored = list[int](), Position()
    while len(sent) < 1000:
        now = send_all(sender, ALARM)
        assert now
        sent += [n for _, n in now]
        for _, n in now:
            stored.add(n)
        assert len(stored) <= 256
        sender.receive(ALARM, HubMessage(ack=Ack(position=stored.to_proto(Lane.ALARM))), 0)
    assert sorted(sent) == list(range(1, 1001))
    assert sum(n % 2 == 0 for n in sent[:200]) == 200


def test_what_cannot_be_read_keeps_its_place_and_others_go_past_it_until_it_is_the_disk():
    sender = sender_with(alarm=200)
    say_hello(sender, ALARM)
    without = {SendBatch(Lane.ALARM, 161)}
    assert sender.next(ALARM, without) == SendBatch(Lane.ALARM, 162)
    assert sender.next(ALARM) == SendBatch(Lane.ALARM, 161)
    without = {SendBatch(Lane.ALARM, n) for n in range(161, 201)}
    assert sender.next(ALARM, without) == SendBatch(Lane.ALARM, 1)
    without |= {SendBatch(Lane.ALARM, n) for n in range(1, 24)}
    assert sender.next(ALARM, without) == SendBatch(Lane.ALARM, 24)
    assert sender.next(ALARM, without | {SendBatch(Lane.ALARM, 24)}) is None
    sender.batch_ready(Lane.ALARM, 201)
    assert sender.next(ALARM, without | {SendBatch(Lane.ALARM, 24)}) == SendBatch(Lane.ALARM, 201)


def test_an_alarm_goes_at_once_whatever_the_data_backlog_is():
    sender = sender_with(waveform=1_000_000)
    say_hello(sender, ALARM)
    say_hello(sender)
    send_all(sender, size=16 * 1024)
    assert sender.next(DATA) is None
    sender.batch_ready(Lane.ALARM, 1)
    assert sender.next(ALARM) == SendBatch(Lane.ALARM, 1)


def test_a_backlog_leaves_room_for_live_data():
    sender = sender_with(waveform=10_000)
    say_hello(sender, waveform=Position([(9_900, 10_000)]))
    sender.sent(DATA, SendBatch(Lane.WAVEFORM, 1), 16 * 1024, 0)
    sender.receive(DATA, ack(Lane.WAVEFORM, (1, 1), (9_900, 10_000)), S // 100)  # 1.6 MB/s
    send_all(sender, size=16 * 1024)
    assert sender.bytes_in_flight(DATA) == pytest.approx(MAX_BYTES * 0.75, abs=16 * 1024)
    sender.batch_ready(Lane.WAVEFORM, 10_001)
    assert sender.next(DATA) == SendBatch(Lane.WAVEFORM, 10_001)


def test_the_window_is_half_a_second_of_the_measured_rate():
    sender = sender_with(waveform=1000)
    say_hello(sender)
    for n in range(1000, 996, -1):
        sender.sent(DATA, SendBatch(Lane.WAVEFORM, n), 16_000, 0)
    sender.receive(DATA, ack(Lane.WAVEFORM, (997, 1000)), S // 2)  # 128 kB/s
    send_all(sender, size=1000)
    assert sender.bytes_in_flight(DATA) == 64_000 * 0.75, "the backlog's share of half a second"
    sender.receive(DATA, ack(Lane.WAVEFORM, (1, 1000)), 100 * S)
    assert sender.bytes_in_flight(DATA) == 0
    for n in range(1001, 1101):
        sender.batch_ready(Lane.WAVEFORM, n)
    send_all(sender, size=1000)
    assert sender.bytes_in_flight(DATA) == pytest.approx(MIN_BYTES, abs=1000)


def carry(sender: LinkSender, *, rate: float, way_s: float, size: int, seconds: float) -> list[tuple[float, int]]:
    """A link that carries `rate` bytes a second over `way_s` there and back; (time, bytes in flight) at each batch sent."""
    now, free, stored, seen = 0.0, 0.0, Position(), list[tuple[float, int]]()
    coming = list[tuple[float, int]]()  # when the acknowledgement of a batch is back
    while now < seconds:
        while isinstance(send := sender.next(DATA), SendBatch):
            sender.sent(DATA, send, size, round(now * S))
            free = max(free, now) + size / rate
            coming.append((free + way_s, send.n))
            seen.append((now, sender.bytes_in_flight(DATA)))
        now, n = coming.pop(0)
        stored.add(n)
        sender.receive(DATA, ack(Lane.WAVEFORM, *stored), round(now * S))
    return seen


def slow_hello(way_s: float) -> LinkSender:
    sender = sender_with(waveform=5_000)
    sender.connected(DATA, 0)
    sender.hello_sent(DATA, 0)
    sender.receive(DATA, HubMessage(hello=HubHello(version=1)), round(way_s * S))
    return sender


def test_a_link_of_64_kbit_carries_half_a_second_or_one_batch_at_a_time():
    rate, size = 8_000.0, 2_000
    seen = carry(slow_hello(0.05), rate=rate, way_s=0.05, size=size, seconds=60)
    assert max(in_flight for _, in_flight in seen) <= START_BYTES + size, "while the rate is not known"
    later = [in_flight for at, in_flight in seen if at > 10]
    assert max(later) <= max(rate / 2, MIN_BYTES) + size


def test_a_long_way_is_filled_although_its_answer_takes_longer_than_half_a_second():
    rate, way_s = 60_000.0, 2.0
    seen = carry(slow_hello(way_s), rate=rate, way_s=way_s, size=2_000, seconds=60)
    carried = [at for at, _ in seen if at > 30]
    assert len(carried) * 2_000 / 30 > 0.9 * rate * 0.75, "the backlog's share of what the link can carry"
    assert max(in_flight for _, in_flight in seen) <= MAX_BYTES + 2_000


def test_what_was_in_flight_comes_again_unless_the_hub_has_it():
    sender = sender_with(numeric=3)
    say_hello(sender)
    send_all(sender)
    sender.disconnected(DATA)
    assert sender.next(DATA) is None
    events = say_hello(sender, numeric=Position([(2, 2)]))
    assert isinstance(events[0], HubReady)
    assert send_all(sender) == [(Lane.NUMERIC, 3), (Lane.NUMERIC, 1)]


def test_a_restored_hub_gets_the_rest_again_and_is_known_for_it():
    sender = sender_with(numeric=9)
    say_hello(sender, numeric=Position([(1, 9)]))
    assert sender.waiting(Lane.NUMERIC) == 0
    ready, *_ = say_hello(sender, numeric=Position([(1, 4)]))
    assert isinstance(ready, HubReady)
    assert ready.behind == (Lane.NUMERIC,)
    assert send_all(sender) == [(Lane.NUMERIC, n) for n in (9, 8, 7, 6, 5)]


def test_what_the_spool_no_longer_has_is_reported_once_and_told_to_the_hub_after_its_gap():
    sender = LinkSender("ward", "g-1", EPOCH)
    sender.spool_opened(Lane.WAVEFORM, [(6, 9)], 9)
    events = say_hello(sender, waveform=Position([(1, 2), (6, 9)]))
    assert CannotResend(Lane.WAVEFORM, 3, 5) in events
    assert sender.next(DATA) is None
    sender.gap_recorded(Lane.WAVEFORM, 3, 5)
    assert sender.next(DATA) == SendLost(Lane.WAVEFORM, 3, 5)
    again = say_hello(sender, waveform=Position([(1, 2), (6, 9)]))
    assert not [event for event in again if isinstance(event, CannotResend)]
    assert sender.next(DATA) == SendLost(Lane.WAVEFORM, 3, 5)


def test_a_batch_that_may_have_arrived_is_no_gap_until_the_hub_says_so():
    sender = sender_with(waveform=4)
    say_hello(sender)
    sender.sent(DATA, SendBatch(Lane.WAVEFORM, 4), 100, 0)
    sender.disconnected(DATA)
    assert sender.spool_dropped(Lane.WAVEFORM, 3, 4) == [CannotResend(Lane.WAVEFORM, 3, 3)]
    assert CannotResend(Lane.WAVEFORM, 4, 4) in say_hello(sender)


def test_a_spool_that_went_back_in_time_is_told_to_start_a_new_epoch():
    sender = sender_with(event=5)
    assert say_hello(sender, event=Position([(1, 8)])) == [EpochConflict(Lane.EVENT, 8, 5)]
    assert sender.next(DATA) is None


@pytest.mark.parametrize(
    ("stated_n", "made_ns", "conflict"),
    [
        (4, 700, None),  # the batch that this spool made
        (4, None, None),  # the spool has let go of it
        (None, None, None),  # a hub of an earlier version
        (4, 701, EpochConflict(Lane.EVENT, 4, 5)),  # the spool made it anew, behind a restore
        (5, 0, EpochConflict(Lane.EVENT, 5, 5)),
        (6, None, EpochConflict(Lane.EVENT, 6, 5)),  # the position was opened again
    ],
)
def test_a_spool_that_went_back_and_has_passed_the_hub_since_is_known_by_the_hubs_newest_batch(
    stated_n: int | None, made_ns: int | None, conflict: EpochConflict | None
):
    sender = sender_with(event=5)
    sender.connected(DATA, 0)
    newest = [] if stated_n is None else [NewestBatch(lane=Lane.EVENT.wire, n=stated_n, closed_ns=700)]
    hello = HubHello(version=1, positions=[Position([(1, 4)]).to_proto(Lane.EVENT)], newest=newest)
    made = {} if made_ns is None else {(Lane.EVENT, stated_n or 0): made_ns}
    events = sender.receive(DATA, HubMessage(hello=hello), 0, made)
    if conflict is None:
        assert isinstance(events[0], HubReady)
    else:
        assert events == [conflict]
        assert sender.next(DATA) is None
    assert sender.waiting(Lane.EVENT) == (5 if conflict else 1)  # nothing is taken for acknowledged


def test_what_a_hub_names_of_other_lanes_is_no_matter_of_this_connection():
    sender = sender_with(alarm=1, event=1)
    sender.connected(DATA, 0)
    newest = [NewestBatch(lane=Lane.ALARM.wire, n=9, closed_ns=700)]
    events = sender.receive(DATA, HubMessage(hello=HubHello(version=1, newest=newest)), 0, {(Lane.ALARM, 9): 1})
    assert isinstance(events[0], HubReady)


def test_a_batch_is_known_again_when_its_times_were_put_right():
    batch = decode_batch(encode_batch(Lane.EVENT, 3, 700, []))
    right = decode_batch(moved_batch(decode_batch(encode_batch(Lane.EVENT, 3, 700, [])), 3600 * S, 5 * S))
    assert right.closed_ns == 700 + 3600 * S
    assert newest_of(right) == newest_of(batch) == NewestBatch(lane=Lane.EVENT.wire, n=3, closed_ns=700)


def test_repeated_and_overtaken_acknowledgements_say_nothing_new():
    sender = sender_with(event=5)
    say_hello(sender)
    send_all(sender)
    (event,) = sender.receive(DATA, ack(Lane.EVENT, (1, 5)), 0)
    assert isinstance(event, Acknowledged)
    assert sender.receive(DATA, ack(Lane.EVENT, (1, 5)), 0) == []
    assert sender.receive(DATA, ack(Lane.EVENT, (1, 3)), 0) == []
    assert sender.waiting(Lane.EVENT) == 0


def test_a_rejected_record_is_reported_and_counts_as_acknowledged():
    sender = sender_with(event=1)
    say_hello(sender)
    send_all(sender)
    receiver = LinkReceiver("ward", "g-1", EPOCH, {})
    message = HubMessage(ack=receiver.committed(Lane.EVENT, 1, rejected=[(0, "gap.reason")]))
    rejected, acknowledged = sender.receive(DATA, message, 0)
    assert rejected == RejectedRecord(Lane.EVENT, 1, 0, "gap.reason")
    assert isinstance(acknowledged, Acknowledged)
    assert acknowledged.position.contains(1)


def test_a_hub_that_does_not_answer_is_given_up():
    sender = sender_with(event=2)
    assert sender.deadline(DATA) is None
    sender.connected(DATA, 7 * S)
    assert sender.deadline(DATA) == 13 * S
    say_hello(sender)
    assert sender.deadline(DATA) is None
    sender.sent(DATA, SendBatch(Lane.EVENT, 2), 100, 20 * S)
    sender.sent(DATA, SendBatch(Lane.EVENT, 1), 100, 21 * S)
    assert sender.deadline(DATA) == 30 * S
    sender.receive(DATA, ack(Lane.EVENT, (2, 2)), 25 * S)
    assert sender.deadline(DATA) == 35 * S, "something arrived at 25 s"
    sender.receive(DATA, ack(Lane.EVENT, (1, 2)), 26 * S)
    assert sender.deadline(DATA) is None


def test_placement_and_settings_are_handed_on():
    sender = sender_with()
    say_hello(sender)
    (placement,) = sender.receive(DATA, HubMessage(placement=Placement(version=3)), 0)
    (settings,) = sender.receive(DATA, HubMessage(settings=Settings(version=1, settings=[Setting(key="a")])), 0)
    assert placement.placement.version == 3  # type: ignore[union-attr]
    assert settings.settings.settings[0].key == "a"  # type: ignore[union-attr]
    configured = HubMessage(configuration=Configuration(version=7, toml="[metrics]"))
    assert sender.receive(DATA, configured, 0) == [ConfigurationReceived(7, "[metrics]")]
    assert sender.receive(DATA, HubMessage(), 0) == [], "a message of a later hub"
    say_hello(sender, ALARM)
    (violation,) = sender.receive(ALARM, configured, 0)
    assert isinstance(violation, ProtocolViolation), "settings have no business between alarms"


@pytest.mark.parametrize(
    ("message", "where"),
    [
        (HubMessage(hello=HubHello(version=1)), "hello"),
        (ack(Lane.ALARM, (1, 1)), "ack"),
        (ack(Lane.EVENT, (1, 6)), "ack of lane event"),
        (HubMessage(ack=Ack()), "ack"),
        (
            HubMessage(ack=Ack(position=LanePosition(lane=Lane.EVENT.wire, stored=[Range(first=1, last=2)]))),
            "position of",
        ),
        (HubMessage(configuration=Configuration(toml="")), "configuration"),
        (HubMessage(configuration=Configuration(version=1, toml="#" * 65_537)), "configuration"),
    ],
)
def test_a_hub_that_breaks_the_protocol_is_not_listened_to_any_more(message: HubMessage, where: str):
    sender = sender_with(event=5)
    say_hello(sender)
    (violation,) = sender.receive(DATA, message, 0)
    assert isinstance(violation, ProtocolViolation)
    assert violation.where.startswith(where)
    assert sender.next(DATA) is None
    assert sender.receive(DATA, ack(Lane.EVENT, (1, 1)), 0) == []


@pytest.mark.parametrize("message", [HubMessage(hello=HubHello(version=2)), ack(Lane.EVENT, (1, 1)), HubMessage()])
def test_the_first_message_is_a_hello_of_our_version(message: HubMessage):
    sender = sender_with(event=5)
    sender.connected(DATA, 0)
    (violation,) = sender.receive(DATA, message, 0)
    assert isinstance(violation, ProtocolViolation)


def test_a_batch_number_that_does_not_follow_is_an_error_of_the_spool():
    with pytest.raises(ValueError, match="expected 6, numbers rise by one"):
        sender_with(event=5).batch_ready(Lane.EVENT, 7)


Change = Callable[[Hello], object]


def setting(name: str, value: object) -> Change:
    return lambda hello: setattr(hello, name, value)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (setting("version", 2), "version"),
        (setting("tenant", "other"), "tenant"),
        (setting("gateway", "g-2"), "gateway"),
        (setting("epoch", b"short"), "epoch"),
        (setting("epoch", bytes(16)), "epoch"),
        (setting("connection", 0), "connection"),
        (setting("connection", 9), "connection"),
    ],
)
def test_a_hello_that_is_not_the_certificates_is_refused_with_the_reason(change: Change, code: str):
    hello = sender_with().connected(DATA, 0).hello
    assert check_hello(hello, tenant="ward", gateway="g-1") is None
    change(hello)
    answer = LinkReceiver("ward", "g-1", EPOCH, {}).hello(hello, 0)
    assert isinstance(answer, Refusal)
    assert answer.code == code
    assert answer.text


def receiver_after_hello(**stored: Position) -> LinkReceiver:
    receiver = LinkReceiver("ward", "g-1", EPOCH, {Lane[name.upper()]: at for name, at in stored.items()})
    receiver.hello(sender_with().connected(DATA, 0).hello, 0)
    return receiver


def test_the_hub_states_what_is_stored_of_the_connections_lanes():
    receiver = LinkReceiver("ward", "g-1", EPOCH, {Lane.EVENT: Position([(1, 3), (7, 8)])})
    answer = receiver.hello(sender_with().connected(DATA, 0).hello, 99)
    assert isinstance(answer, HubHello)
    assert answer.hub_ns == 99
    assert {Lane(p.lane): list(Position.from_proto(p)) for p in answer.positions} == {
        Lane.EVENT: [(1, 3), (7, 8)],
        Lane.NUMERIC: [],
        Lane.WAVEFORM: [],
    }


def test_a_batch_is_stored_once_and_waits_while_it_is_being_stored():
    receiver = receiver_after_hello()
    batch = Batch(lane=Lane.EVENT.wire, n=1)
    assert receiver.receive(DATA, batch) is Verdict.STORE
    assert receiver.receive(DATA, batch) is Verdict.WAIT
    assert receiver.hello(sender_with().connected(DATA, 0).hello, 0) is Verdict.WAIT
    assert not receiver.ack(Lane.EVENT).position.cumulative, "not before the commit"
    assert receiver.committed(Lane.EVENT, 1).position.cumulative == 1
    assert receiver.receive(DATA, batch) is Verdict.DUPLICATE


def test_a_batch_whose_transaction_failed_may_come_again():
    receiver = receiver_after_hello()
    receiver.receive(DATA, Batch(lane=Lane.EVENT.wire, n=1))
    receiver.failed(Lane.EVENT, 1)
    assert receiver.receive(DATA, Batch(lane=Lane.EVENT.wire, n=1)) is Verdict.STORE


def test_lost_batches_close_the_position():
    receiver = receiver_after_hello(waveform=Position([(1, 2), (6, 9)]))
    lost = Lost(lane=Lane.WAVEFORM.wire, range=Range(first=3, last=5))
    assert receiver.receive(DATA, lost) is Verdict.STORE
    receiver.committed(Lane.WAVEFORM, 3, 5)
    assert list(receiver.position(Lane.WAVEFORM)) == [(1, 9)]
    assert receiver.receive(DATA, lost) is Verdict.DUPLICATE
    assert receiver.receive(DATA, Batch(lane=Lane.WAVEFORM.wire, n=4)) is Verdict.DUPLICATE


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (ALARM, Batch(lane=Lane.ALARM.wire, n=1)),  # no hello on that connection
        (DATA, Batch(lane=Lane.ALARM.wire, n=1)),
        (DATA, Batch(n=1)),
        (DATA, Batch(lane=Lane.EVENT.wire)),
        (DATA, Batch(lane=Lane.EVENT.wire, n=2**63)),
        (DATA, Lost(lane=Lane.EVENT.wire, range=Range(first=3, last=2))),
        (DATA, Lost(lane=Lane.EVENT.wire)),
    ],
)
def test_a_gateway_that_breaks_the_protocol_is_told_which_rule(connection: Connection, message: Batch | Lost):
    assert isinstance(receiver_after_hello().receive(connection, message), ProtocolViolation)


def test_a_gateway_cannot_fill_the_hubs_memory_with_holes():
    receiver = receiver_after_hello()
    for n in range(1, 1025):
        assert receiver.receive(DATA, Batch(lane=Lane.EVENT.wire, n=2 * n)) is Verdict.STORE
        receiver.committed(Lane.EVENT, 2 * n)
    refused = receiver.receive(DATA, Batch(lane=Lane.EVENT.wire, n=5000))
    assert isinstance(refused, ProtocolViolation)
    assert refused.expected == "at most 1024 ranges in a position"
    assert receiver.receive(DATA, Batch(lane=Lane.EVENT.wire, n=1)) is Verdict.STORE


def test_a_gateway_with_many_holes_fills_them_before_it_sends_ahead():
    sender = LinkSender("ward", "g-1", EPOCH)
    sender.spool_opened(Lane.WAVEFORM, [(1, 2000)], 2000)
    say_hello(sender, waveform=Position((n, n) for n in range(2, 1000, 2)))
    assert send_all(sender)[:3] == [(Lane.WAVEFORM, 1), (Lane.WAVEFORM, 3), (Lane.WAVEFORM, 5)]


def told(*ids: bytes) -> HubMessage:
    return HubMessage(alarms_acknowledged=AlarmsAcknowledgedMessage(ids=ids))


def test_acknowledged_alarms_are_told_on_the_alarm_connection():
    sender = sender_with(alarm=3)
    say_hello(sender, ALARM)
    one, two = UUID(int=1), UUID(int=2**128 - 1)
    assert sender.receive(ALARM, told(one.bytes, two.bytes), 0) == [AlarmsAcknowledged((one, two))]
    assert sender.receive(ALARM, told(one.bytes), 0) == [AlarmsAcknowledged((one,))], "they may be told again"


@pytest.mark.parametrize(
    ("connection", "ids", "where"),
    [
        (DATA, [bytes(16)], "alarms acknowledged"),
        (ALARM, [bytes(16), bytes(15)], "id of an alarm"),
        (ALARM, [b""], "id of an alarm"),
        (ALARM, [bytes(16)] * (MAX_ALARMS_TOLD + 1), "alarms acknowledged"),
    ],
)
def test_an_acknowledgement_that_breaks_the_protocol_ends_its_connection(
    connection: Connection, ids: list[bytes], where: str
):
    sender = sender_with(alarm=3)
    say_hello(sender, connection)
    [violation] = sender.receive(connection, told(*ids), 0)
    assert isinstance(violation, ProtocolViolation)
    assert violation.where == where
    assert sender.next(connection) is None


def test_an_acknowledgement_before_the_hello_breaks_the_protocol():
    sender = sender_with(alarm=3)
    sender.connected(ALARM, 0)
    [violation] = sender.receive(ALARM, told(bytes(16)), 0)
    assert isinstance(violation, ProtocolViolation)
