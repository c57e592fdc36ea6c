"""Commands to devices at the agent: the ledger of what was done, a simulated board on a link in memory behind the real pipeline and adapter."""

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest

from edge.device_commands import Commander, CommandLedger, Entry
from edge.device_commands import ledger as ledger_module
from edge.host.limits import HostLimits
from edge.host.process import HostProcess
from edge.host.wire import Kind as HostKind
from edge.pipeline.device import DevicePipeline, Sink
from edge.pipeline.queues import QUEUES
from firmware_adapters.adapter import Chunk, DeviceConfig, LinkError
from firmware_adapters.cyton import CytonAdapter
from firmware_adapters.nonin import NoninAdapter
from firmware_adapters.simulate.cyton import Board
from models.screening.placement import Placement
from protocols.cyton_registers import ChannelRegister, channel_registers
from protocols.device_command import Command, Kind, Outcome, Parameter, Reason, RefusedError, Result, Value, fitting
from protocols.record import NS_PER_S, Gap, Record, SourcePath, Times, WaveformGroup
from protocols.uplink_pb2 import (
    COMMAND_OUTCOME_CONFIRMED,
    COMMAND_OUTCOME_EXPIRED,
    COMMAND_OUTCOME_REFUSED,
    COMMAND_OUTCOME_UNCONFIRMED,
    DeviceCommand,
    GatewayMessage,
)
from protocols.wire import encode_params
from tests.fixtures.spool_records import waveform
from tests.fixtures.waiting import until

T0_NS = 1_790_000_000 * NS_PER_S
OFF = (("channel", 3), ("on", False))
# As the maker's own test data show the answer to `?`, shortened.
REGISTERS = b"""
Board ADS Registers
ADS_ID, 00, 3E, 0, 0, 1, 1, 1, 1, 1, 0
LOFF, 04, 02, 0, 0, 0, 0, 0, 0, 1, 0
CH1SET, 05, 68, 0, 1, 1, 0, 1, 0, 0, 0
CH2SET, 06, E1, 1, 1, 1, 0, 0, 0, 0, 1
CH8SET, 0C, 08, 0, 0, 0, 0, 1, 0, 0, 0
$$$"""


def entry(**changed: object) -> Entry:
    return Entry(id=uuid4(), device="amp", code="reset", values={}).model_copy(update=changed)


async def test_what_was_begun_and_what_became_of_it_is_known_to_the_next_run(tmp_path: Path):
    path = tmp_path / "commands.json"
    first = CommandLedger(path)
    await first.open()
    begun, done = entry(values={"channel": 3, "on": False, "level": 0.5}), entry()
    await first.begin(begun)
    await first.begin(done)
    seen = Result(Outcome.CONFIRMED, seen={"firmware": "v3.1.2", "on": True})
    await first.end(done, seen)

    second = CommandLedger(path)
    assert second.name == first.name
    assert second.unfinished() == [begun]
    found = second.find(done.id)
    assert found is not None
    assert found.result == seen
    assert second.find(uuid4()) is None


async def test_a_ledger_that_cannot_be_read_is_another_one(tmp_path: Path):
    path = tmp_path / "commands.json"
    first = CommandLedger(path)
    await first.begin(entry())
    path.write_bytes(path.read_bytes()[:-3])
    assert CommandLedger(path).name != first.name
    (tmp_path / "commands.json.damaged").unlink()
    assert CommandLedger(path).name != first.name


async def test_the_eldest_results_go_and_what_is_begun_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ledger_module, "KEPT", 5)
    ledger = CommandLedger(tmp_path / "commands.json")
    begun, done = entry(), [entry() for _ in range(8)]
    await ledger.begin(begun)
    for one in done:
        await ledger.end(one, Result(Outcome.CONFIRMED))
    kept = CommandLedger(tmp_path / "commands.json")
    assert [kept.find(one.id) is not None for one in done] == [False] * 3 + [True] * 5
    assert kept.unfinished() == [begun]


@dataclass
class BoardLink:
    """A board at the other end; `deaf`: it hears nothing; `cut`: the link breaks when it is told something."""

    board: Board
    deaf: bool = False
    cut: bool = False
    answers: "asyncio.Queue[bytes]" = field(default_factory=lambda: asyncio.Queue(100))

    async def receive(self) -> Chunk:
        if self.board.streaming and self.answers.empty():
            await asyncio.sleep(0.004)
            return Chunk(self.board.next_packet())
        async with asyncio.timeout(None):
            data = await self.answers.get()
        if not data:
            msg = "the cable was pulled"
            raise LinkError(msg)
        return Chunk(data)

    async def send(self, data: bytes) -> None:
        if self.deaf:
            return
        answer = self.board.command(data)
        if self.cut and data in b"3v":
            self.cut = False
            self.answers.put_nowait(b"")
        elif answer:
            self.answers.put_nowait(answer)


class BoardAdapter(CytonAdapter):
    """The real one on that link."""

    def __init__(self, link: BoardLink) -> None:
        self.link, self.opened = link, 0

    def transport(self, config: DeviceConfig) -> "BoardAdapter":
        del config
        return self

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[BoardLink]:
        self.opened += 1
        yield self.link


@dataclass
class Bench:
    """One agent's commander with a board and an oximeter; what it has told the hub, and what the board measured."""

    folder: Path
    board: Board = field(default_factory=lambda: Board(np.ones((8, 100_000))))
    records: list[Record] = field(default_factory=list)
    told: list[GatewayMessage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link = BoardLink(self.board)
        self.devices = {"amp": self.pipeline(BoardAdapter(self.link)), "finger": self.pipeline(NoninAdapter())}

    def pipeline(self, adapter: CytonAdapter | NoninAdapter) -> DevicePipeline:
        name = "amp" if isinstance(adapter, CytonAdapter) else "finger"
        config = DeviceConfig(name, adapter.family.name, str(self.folder / "nothing"))
        sink = Sink(self.add, lambda: T0_NS + time.monotonic_ns())
        return DevicePipeline(adapter, config, sink, placement=Placement(), resume={})

    def add(self, records: Iterable[Record]) -> None:
        self.records += records

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Commander]:
        """A life of the agent."""
        commander = Commander(CommandLedger(self.folder / "commands.json"), self.devices)
        commander.join(lambda: {"monitor"}, self.told.append)
        pipeline = asyncio.create_task(self.devices["amp"].run())
        running = asyncio.create_task(commander.run())
        try:
            await until(lambda: self.board.streaming, 5)
            assert [m for m in self.told if m.WhichOneof("message") == "commands_offered"] == [], "no hub has asked"
            commander.greeted()
            yield commander
            assert not running.done(), running.exception()
        finally:
            running.cancel()
            pipeline.cancel()
            await asyncio.wait((running, pipeline))

    def answers(self, command: UUID) -> list[tuple[int, str]]:
        found = [m.device_command_answer for m in self.told if m.WhichOneof("message") == "device_command_answer"]
        return [(a.outcome, a.reason) for a in found if a.id == command.bytes]

    async def answer(self, command: UUID, within_s: float = 8) -> tuple[int, str]:
        await until(lambda: bool(self.answers(command)), within_s)
        return self.answers(command)[-1]


def wanted(
    command: UUID, code: str = "channel-power", values: tuple[tuple[str, Value], ...] = OFF, **changed: object
) -> DeviceCommand:
    message = DeviceCommand(id=command.bytes, device="amp", code=code, parameters=encode_params(values), within_ms=5000)
    for name, value in changed.items():
        setattr(message, name, value)
    return message


async def test_a_command_that_comes_twice_is_done_once_and_answered_each_time(tmp_path: Path):
    bench, command = Bench(tmp_path), uuid4()
    async with bench.running() as commander:
        await until(lambda: any(isinstance(r, WaveformGroup) for r in bench.records), 5)
        commander.received(wanted(command))
        commander.received(wanted(command))
        assert await bench.answer(command) == (COMMAND_OUTCOME_CONFIRMED, "")
        commander.received(wanted(command, within_ms=0))
        assert bench.answers(command) == [(COMMAND_OUTCOME_CONFIRMED, "")] * 2
        waves = [r for r in bench.records if isinstance(r, WaveformGroup) and r.source.path == ("ecg",)]
        await until(lambda: bool([r for r in bench.records if isinstance(r, Gap) and r.source.path == ("ecg",)]), 5)
    (gap,) = [r for r in bench.records if isinstance(r, Gap) and r.source.path == ("ecg",)]
    assert waves[0].times.gateway_ns < gap.from_ns < gap.to_ns
    assert bench.board.switched == 1
    (offer,) = next(m.commands_offered for m in bench.told if m.WhichOneof("message") == "commands_offered").devices
    assert [(offer.device, [c.code for c in offer.commands])] == [("amp", ["channel-power", "reset"])]


@pytest.mark.parametrize(
    ("stepped_s", "next_s", "gap_s"),
    [(0, 3, (1, 3)), (-3600, 3, (-3599, -3597)), (3600, 3, (3601, 3603)), (0, 0.9, (1, 1))],
)
async def test_a_gap_behind_a_command_ends_no_earlier_than_it_begins_though_the_clock_is_set_meanwhile(
    tmp_path: Path, stepped_s: int, next_s: float, gap_s: tuple[int, int]
):
    bench = Bench(tmp_path)
    pipeline, source = bench.devices["amp"], SourcePath("amp", ("ecg",))
    pipeline._take([replace(waveform(0, 250), source=source)])  # a second of T0
    pipeline._paused()
    pipeline.clock_stepped(stepped_s * NS_PER_S)
    at_ns = T0_NS + stepped_s * NS_PER_S + round(next_s * NS_PER_S)
    pipeline._take([replace(waveform(250), source=source, times=Times(at_ns))])
    (gap,) = [r for r in bench.records if isinstance(r, Gap)]
    assert (gap.from_ns, gap.to_ns) == tuple(T0_NS + s * NS_PER_S for s in gap_s)


async def test_a_link_that_breaks_in_the_middle_is_waited_for_and_the_board_is_asked(tmp_path: Path):
    bench, switched, reset = Bench(tmp_path), uuid4(), uuid4()
    async with bench.running() as commander:
        bench.link.cut = True
        commander.received(wanted(switched))
        assert await bench.answer(switched) == (COMMAND_OUTCOME_CONFIRMED, "")
        bench.link.cut = True
        commander.received(wanted(reset, "reset", ()))
        assert await bench.answer(reset) == (COMMAND_OUTCOME_UNCONFIRMED, "interrupted")
    assert (bench.board.switched, bench.board.resets) == (1, 1)


async def test_what_a_run_has_begun_the_next_one_reads_back_and_says_so_when_the_board_says_otherwise(tmp_path: Path):
    bench, done, undone = Bench(tmp_path), uuid4(), uuid4()
    ledger = CommandLedger(tmp_path / "commands.json")
    bench.board.command(b"3")
    for command, channel in ((done, 3), (undone, 4)):
        await ledger.begin(
            Entry(id=command, device="amp", code="channel-power", values={"channel": channel, "on": False})
        )
    async with bench.running():
        assert await bench.answer(done) == (COMMAND_OUTCOME_CONFIRMED, "")
        assert await bench.answer(undone) == (COMMAND_OUTCOME_UNCONFIRMED, "differs")
    assert bench.board.switched == 1


async def test_what_cannot_be_done_is_refused_or_expires_and_the_board_hears_nothing(tmp_path: Path):
    bench = Bench(tmp_path)
    cases = [
        (wanted(uuid4(), device="nobody"), (COMMAND_OUTCOME_REFUSED, "device_unknown")),
        (wanted(uuid4(), device="monitor"), (COMMAND_OUTCOME_REFUSED, "device_by_door")),
        (wanted(uuid4(), device="finger"), (COMMAND_OUTCOME_REFUSED, "no_commands")),
        (wanted(uuid4(), "explode"), (COMMAND_OUTCOME_REFUSED, "command_unknown")),
        (wanted(uuid4(), values=(("channel", 0), ("on", False))), (COMMAND_OUTCOME_REFUSED, "parameters")),
        (wanted(uuid4(), values=(("channel", 1), ("on", False))), (COMMAND_OUTCOME_REFUSED, "not_now")),
        (wanted(uuid4(), within_ms=0), (COMMAND_OUTCOME_EXPIRED, "too_late")),
        (wanted(uuid4(), ledger=b"another" + bytes(9)), (COMMAND_OUTCOME_UNCONFIRMED, "ledger_lost")),
    ]
    async with bench.running() as commander:
        for message, expected in cases:
            commander.received(message)
            assert await bench.answer(UUID(bytes=message.id)) == expected
        bench.link.deaf = True
        silent, behind = uuid4(), uuid4()
        commander.received(wanted(silent))
        commander.received(wanted(behind, within_ms=500))
        assert await bench.answer(behind) == (COMMAND_OUTCOME_EXPIRED, "busy")
        assert await bench.answer(silent) == (COMMAND_OUTCOME_UNCONFIRMED, "no_answer")
        many = [wanted(uuid4(), within_ms=300) for _ in range(QUEUES["device-commands"].bound + 1)]
        for message in many:
            commander.received(message)
        assert bench.answers(UUID(bytes=many[-1].id)) == [(COMMAND_OUTCOME_REFUSED, "full")]
    assert (bench.board.switched, bench.board.resets) == (0, 0)


async def test_a_disk_that_refuses_an_entry_costs_that_command_alone_and_nothing_is_said_to_have_begun(tmp_path: Path):
    bench, unknown, refused, done = Bench(tmp_path), uuid4(), uuid4(), uuid4()
    in_the_way = tmp_path / "commands.json.new"
    in_the_way.mkdir()
    async with bench.running() as commander:
        commander.received(wanted(unknown, device="nobody"))
        assert await bench.answer(unknown) == (COMMAND_OUTCOME_REFUSED, "device_unknown")
        commander.received(wanted(refused))
        assert await bench.answer(refused) == (COMMAND_OUTCOME_REFUSED, "failed")
        commander.received(wanted(refused))
        assert bench.answers(refused) == [(COMMAND_OUTCOME_REFUSED, "failed")] * 2
        assert bench.board.switched == 0
        assert not (tmp_path / "commands.json").exists()
        in_the_way.rmdir()
        commander.received(wanted(done))
        assert await bench.answer(done) == (COMMAND_OUTCOME_CONFIRMED, "")
    assert bench.board.switched == 1
    kept = CommandLedger(tmp_path / "commands.json")
    assert kept.unfinished() == []
    found = kept.find(refused)
    assert found is not None
    assert found.result is not None
    assert found.result.outcome is Outcome.REFUSED


async def test_a_process_that_is_still_at_one_command_says_so_to_the_next():
    near, far = os.openpty()  # an amplifier that says nothing
    process = await HostProcess.start(os.environ, HostLimits())
    try:
        process.say(
            HostKind.BEGIN, device="amp", family="cyton", url=os.ttyname(far), options={}, resume={}, offset_ns=0
        )
        assert (await process.next())[0] is HostKind.READY
        process.say(HostKind.OPEN, session=1)
        assert (await process.next())[0] is HostKind.OPENED
        for number in (1, 2):
            process.say(HostKind.COMMAND, number=number, code="channel-power", values=dict(OFF), only_read=False)
        async with asyncio.timeout(10):
            kind, body = await process.next()
        assert kind is HostKind.COMMANDED
        said = json.loads(body)
        assert (said["number"], said["outcome"], said["reason"]) == (2, "refused", "busy")
    finally:
        await process.end()
        os.close(near)
        os.close(far)


@pytest.mark.parametrize(
    ("value", "fits"),
    [(3, 3), (3.0, 3), (1, 1), (8, 8), (0, None), (9, None), (3.5, None), (True, None), ("3", None), (1e300, None)],
)
def test_a_whole_number_within_its_bounds_fits_and_nothing_else(value: Value, fits: int | None):
    command = Command("x", (Parameter("n", Kind.INTEGER, low=1, high=8),))
    if fits is None:
        with pytest.raises(RefusedError, match="n: expected a whole number from 1 to 8, found"):
            fitting(command, {"n": value})
    else:
        assert fitting(command, {"n": value}) == {"n": fits}


def test_every_parameter_that_does_not_fit_is_named():
    parameters = (Parameter("mode", Kind.CHOICE, choices=("a", "b")), Parameter("on", Kind.BOOLEAN))
    rate = Parameter("rate", Kind.NUMBER, "Hz", 0.5, 2.0)
    command = Command("x", (*parameters, rate))
    assert fitting(command, {"rate": 1, "on": True, "mode": "b"}) == {"mode": "b", "on": True, "rate": 1.0}
    said = "more: there is no such parameter; mode: expected one of a, b, found 'c'; on: expected true or false, found nothing"
    with pytest.raises(RefusedError) as refused:
        fitting(command, {"mode": "c", "more": 1, "rate": float("nan")})
    assert refused.value.result.reason is Reason.PARAMETERS
    assert refused.value.result.details == f"{said}; rate: expected a number from 0.5 to 2 Hz, found nan"


def test_registers_are_read_from_what_the_maker_shows_and_from_nothing_else():
    assert channel_registers(REGISTERS) == {
        1: ChannelRegister(is_on=True, gain=24),
        2: ChannelRegister(is_on=False, gain=24),
        8: ChannelRegister(is_on=True, gain=1),
    }
    assert channel_registers(b"CH1SET, 06, 68, 0") == {}, "a line that is not of this channel"
    assert channel_registers(REGISTERS[:100]) == {}


def test_an_answer_that_comes_byte_by_byte_behind_packets_is_understood():
    board = Board(np.ones((1, 100)))
    board.command(b"b3")
    packets = b"".join(board.next_packet() for _ in range(7))
    board.command(b"s")
    exchange = CytonAdapter().command(DeviceConfig("amp", "cyton", "x"), "channel-power", dict(OFF))
    exchange.begin(only_read=False)
    said = packets + board.command(b"?")
    for at in range(len(said)):
        assert exchange.result is None
        exchange.feed(said[at : at + 1], "")
    assert exchange.result == Result(Outcome.CONFIRMED, seen={"channel": 3, "on": False, "gain": 24})
