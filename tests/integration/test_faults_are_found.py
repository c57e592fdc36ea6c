"""The comparison by which `python -m tests.faults` judges a fault sees each way in which a sample or an alarm can be lost, and no other."""

from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from protocols import device_package_pb2 as wire
from protocols.codec import decode
from protocols.link import Connection, Lane
from tests.faults.alarms import Change, Row, changes_of, compare_alarms, delay_s, rows_of, told_twice
from tests.faults.entry import ON_TIME, WHEN_BACK, Asked, From
from tests.faults.run import lateness
from tests.faults.sent import Alarm, Measured, Notes
from tests.faults.whole import Found, compare, compare_readings, first_stored, uncovered
from tests.fixtures.ecg_groups import SOURCE, recording_groups
from tests.fixtures.hub import RunningHub, running_hub
from wardlink.local.database import Database

pytestmark = pytest.mark.integration

SECONDS = 4.0
GROUP = 90  # samples: a quarter of a second at 360 Hz
END = 16 * GROUP
MONITOR = "monitor-1/ecg"
AT_MS = 1_790_000_000_000


@dataclass
class Stored:
    """What was measured, and a hub that has it."""

    hub: RunningHub
    measured: Measured

    def found(self, may_lose: frozenset[str] = frozenset()) -> Found:
        with closing(psycopg.connect(self.hub.database.admin_url)) as connection:
            return compare(connection, self.measured, {SOURCE: (0, END)}, {SOURCE: may_lose})

    def gap(self, first: int, end: int, reason: str, *, recoverable: bool = False) -> None:
        self.hub.do(
            "insert into gap (tenant_id, source_id, gateway_id, from_time, to_time, from_sample, to_sample, reason, recoverable)"
            " select 1, source_id, 1, now(), now(), %s, %s, %s, %s from source where path = %s",
            first, end, reason, recoverable, SOURCE,
        )  # fmt: skip

    def uncovered(self) -> dict[str, list[tuple[int, int]]]:
        with closing(psycopg.connect(self.hub.database.admin_url)) as connection:
            return uncovered(connection, {SOURCE: (0, END)})


@pytest.fixture
async def stored(hub_database: Database, short_folder: Callable[[], Path]) -> AsyncGenerator[Stored]:
    groups = recording_groups(seconds=SECONDS)
    rows = [
        tuple(row)
        for group in groups
        for row in decode(group.waveform.codec, group.waveform.samples, leads=2, n=GROUP, dtype="<i2").T.tolist()
    ]
    readings = [
        wire.Record(
            source=MONITOR,
            times=wire.Times(gateway_ns=(AT_MS + 700 + 1000 * i) * 10**6, device_ns=(AT_MS + 1000 * i) * 10**6),
            observation=wire.Observation(
                code="MDC_ECG_HEART_RATE", number=60.0 + i, unit="/min", quality=wire.QUALITY_GOOD
            ),
        )
        for i in range(3)
    ]
    async with running_hub(hub_database, short_folder()) as hub:
        peer = await hub.peer()
        for group in groups:
            peer.batch(Lane.WAVEFORM, [group])
        peer.batch(Lane.NUMERIC, readings)
        await peer.deliver(hub.uplink, Connection.DATA)
        sent = [(MONITOR, "MDC_ECG_HEART_RATE", AT_MS + 1000 * i, 60.0 + i) for i in range(3)]
        yield Stored(hub, Measured({SOURCE: dict(enumerate(rows))}, {}, sent))


async def test_what_is_whole_is_called_whole_and_every_kind_of_loss_is_named(stored: Stored) -> None:
    assert stored.found().wrong == []
    assert (stored.found().sent, stored.uncovered()) == (END, {})

    stored.measured.samples[SOURCE][100] = (7, 7)
    [changed] = stored.found().wrong
    assert changed.startswith(f"{SOURCE}: sample 100 was sent as (7, 7), stored as")
    del stored.measured.samples[SOURCE][100]
    assert stored.found().wrong == [f"{SOURCE}: 1 samples are stored that were never sent, the first 100"]

    stored.hub.do("delete from waveform where first_sample = %s", GROUP)
    assert stored.uncovered() == {SOURCE: [(GROUP, 2 * GROUP)]}
    assert stored.found().wrong == [
        f"{SOURCE}: 89 samples are neither stored nor in a gap, the first 90"
    ]  # 100 is gone

    stored.gap(GROUP, 2 * GROUP, "agent_restart")
    assert stored.uncovered() == {}
    assert stored.found(frozenset({"agent_restart"})).wrong == []
    assert stored.found(frozenset({"agent_restart"})).lost == {"agent_restart": 89}
    assert stored.found().wrong == [
        f"{SOURCE}: 89 samples were given up as agent_restart, which this fault does not allow"
    ]
    stored.measured.untaken[SOURCE] = set(range(GROUP, 2 * GROUP))
    assert (stored.found().wrong, dict(stored.found().lost)) == ([], {"line overrun": 89})

    stored.gap(3 * GROUP, 4 * GROUP, "link_loss", recoverable=True)
    assert stored.found().wrong == [], "it came later"
    stored.hub.do("delete from waveform where first_sample = %s", 3 * GROUP)
    assert stored.uncovered() == {SOURCE: [(3 * GROUP, 4 * GROUP)]}, "it may come"
    assert stored.found().wrong == [f"{SOURCE}: 90 samples were given up as link_loss, which this fault does not allow"]
    stored.gap(4 * GROUP, 5 * GROUP, "link_loss")
    assert f"{SOURCE}: 90 samples are stored and in a gap, the first 360" in stored.found().wrong
    stored.hub.do("delete from gap where reason = 'link_loss'")
    stored.gap(3 * GROUP, 4 * GROUP, "agent_restart")

    stored.hub.do("insert into waveform select * from waveform where first_sample = %s", 5 * GROUP)
    assert stored.found(frozenset({"agent_restart"})).wrong == [f"{SOURCE}: 90 samples are stored twice, the first 450"]


async def test_readings_are_compared_one_by_one(stored: Stored) -> None:
    def wrong(until_ms: int = AT_MS + 2000) -> list[str]:
        with closing(psycopg.connect(stored.hub.database.admin_url)) as connection:
            return compare_readings(connection, stored.measured.readings, ["monitor-1"], until_ms)

    assert wrong() == []
    stored.hub.do("insert into observation select * from observation where value = 61")
    assert wrong() == [f"1 readings are stored more often than sent, one of them {stored.measured.readings[1]}"]
    stored.hub.do("delete from observation where value = 61")
    assert wrong() == [f"1 readings are missing, one of them {stored.measured.readings[1]}"]


async def test_alarms_are_compared_hop_by_hop_and_one_that_is_late_is_told(
    hub_database: Database, short_folder: Callable[[], Path]
) -> None:
    """One alarm that a monitor gave, from its beginning to its end, as the hub has it; then each way in which it can go wrong."""
    began_ns, ended_ns = AT_MS * 10**6, (AT_MS + 1000) * 10**6
    number = bytes(range(16))
    given = {number: Alarm("monitor-1", began_ns, began_ns, ended_ns)}

    def change(presence: "wire.Presence", at_ns: int) -> wire.Record:
        alarm = wire.AlarmCondition(
            id=number, code="MDC_EVT_APNEA", priority=wire.PRIORITY_HIGH, kind=wire.ALARM_KIND_PHYSIOLOGICAL,
            presence=presence, onset_ns=began_ns, detected_ns=at_ns,
        )  # fmt: skip
        return wire.Record(source="monitor-1/resp", times=wire.Times(gateway_ns=at_ns + 10**6), alarm=alarm)

    async with running_hub(hub_database, short_folder()) as hub:

        def rows() -> dict[bytes, Row]:
            with closing(psycopg.connect(hub.database.admin_url)) as connection:
                assert told_twice(connection, 0.0) == twice
                return rows_of(connection, ["monitor-1"], "MDC_EVT_APNEA", 0.0)

        peer, twice = await hub.peer(), list[str]()
        name = f"alarm {number.hex()} of monitor-1"
        assert compare_alarms(given, rows()) == [f"{name} is missing"]
        peer.batch(Lane.ALARM, [change(wire.PRESENCE_PRESENT, began_ns)])
        await peer.deliver(hub.uplink, Connection.ALARM)
        assert compare_alarms(given, rows())[0] == f"{name} has the hops {{'present': 1, 'sent': 1, 'stored': 1}}"
        peer.batch(Lane.ALARM, [change(wire.PRESENCE_ENDED, ended_ns)])
        await peer.deliver(hub.uplink, Connection.ALARM)
        assert compare_alarms(given, rows()) == []

        began, ended = changes_of(rows(), ["monitor-1"])
        assert (began.what, began.given_s, ended.given_s) == ("present", AT_MS / 1000, AT_MS / 1000 + 1)
        assert changes_of(rows(), ["monitor-2"]) == []
        stored_s = began.stored_s
        assert delay_s(began, []) == pytest.approx(stored_s - AT_MS / 1000)
        assert delay_s(began, [stored_s - 3, stored_s - 2, stored_s + 1]) == pytest.approx(2), "behind the way's return"

        assert compare_alarms({}, rows()) == [f"alarm {number.hex()} of monitor-1/resp was never given"]
        other = {number: replace(given[number], began_ns=began_ns + 10**6)}
        [moved] = compare_alarms(other, rows())
        assert moved.startswith(f"{name}: onset, beginning, end and presence were")
        peer.batch(Lane.ALARM, [change(wire.PRESENCE_ENDED, ended_ns)])
        await peer.deliver(hub.uplink, Connection.ALARM)
        twice.append("1 alarms MDC_EVT_APNEA were ended more than once")
        assert compare_alarms(given, rows()) == [
            f"{name} has the hops {{'present': 1, 'sent': 3, 'stored': 3, 'ended': 2}}"
        ]


def test_when_an_alarm_is_late_is_what_the_fault_does_to_the_way() -> None:
    """The fault ends at 20 s; the connection came up at 5, 22 and 50 s; a change of 10 s is stored at 22.5 s."""
    changes = [Change("monitor-2", "present", 10.0, 22.5), Change("monitor-3", "present", 22.3, 22.4)]

    def late(asked: Asked, changes: list[Change] = changes) -> tuple[float, int]:
        longest, wrong = lateness(asked, changes, (0.0, 20.0), [5.0, 22.0, 50.0])
        return longest, len(wrong)

    assert late(ON_TIME) == (12.5, 1)
    assert late(Asked(of=("monitor-3",))) == (pytest.approx(0.1), 0)
    assert late(WHEN_BACK) == (0.5, 0)
    on_the_way = [Change("monitor-2", "present", 1.0, 5.5)]
    assert late(Asked(since=From.CONNECTION), on_the_way) == (0.5, 0)
    assert late(Asked(0.4, From.CONNECTION), on_the_way) == (0.5, 1)
    assert late(Asked(since=From.CONNECTION)) == (12.5, 1), "one that was made too long behind the fault's beginning"
    much_later = [Change("monitor-2", "ended", 10.0, 50.5)]
    assert late(WHEN_BACK, much_later) == (28.5, 1), "a connection long behind the fault excuses nothing"


async def test_an_amplifiers_note_is_numbered_as_the_hub_numbers_it(stored: Stored, tmp_path: Path) -> None:
    with closing(psycopg.connect(stored.hub.database.admin_url)) as connection:
        first, rows = first_stored(connection, SOURCE, 50)
    assert (first, rows) == (0, [stored.measured.samples[SOURCE][n] for n in range(50)])
    # two turns of its counter before anybody heard it, and one packet of which the line took a part
    note = bytearray()
    for n, row in enumerate([(1, 1)] * 512 + rows):
        body = b"".join(count.to_bytes(3, "big", signed=True) for count in row)
        note += bytes([0xA0, n % 256]) + body.ljust(30, b"\0") + bytes([0xC0, n != 520])
    (tmp_path / "note").write_bytes(note)
    notes = Notes({"cyton-1": tmp_path / "note"}, {})
    notes.read()
    assert notes.align("cyton-1", first, rows)
    assert [notes.all.samples[SOURCE][n] for n in range(50)] == rows
    assert min(notes.all.samples[SOURCE]) == -512
    assert notes.all.untaken[SOURCE] == {6, 7, 8, 9, 10}
    assert not notes.align("cyton-1", first, [(9, 9), *rows])
