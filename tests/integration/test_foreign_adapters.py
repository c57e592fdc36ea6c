"""Another maker's adapter that raises, crashes, blocks or fills the memory, in the agent's real process beside a board that streams.

`WARDLINK_LONG=1` adds the faults that end in the same way as one of the short form.
"""

import signal
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge.identity import save_identity
from firmware_adapters.simulate.cyton import RATE_HZ, Board
from protocols.link import Lane
from protocols.nomenclature import EVT_ADAPTER_LOST, LINK_LOSS
from protocols.record import NS_PER_S, DeviceEvent, Gap, Observation, WaveformGroup
from tests.fixtures.agent import Gateway
from tests.fixtures.foreign_adapter import install
from tests.fixtures.hub_peer import Authority, Store, hub_peer, write_config
from tests.fixtures.long_form import LONG
from tests.fixtures.waiting import until

pytestmark = pytest.mark.integration
BLOCKED_S = 1.0
SHORT = ("segfault", "loop", "raise")
MORE = ("sleep", "exit", "leak")
SHORT_OF_A_DOOR = ("loop", "exit")
MORE_OF_A_DOOR = ("segfault", "sleep", "raise", "leak")
# what the log says of each: how it ended, a word of the sentence, and the innermost frame that a maker can look at
SAID = {
    "segfault": ("crashed", "SIGSEGV", "string_at"),
    "loop": ("blocked", "stood still", "stare_at_the_wall"),
    "sleep": ("blocked", "stood still", "stare_at_the_wall"),
    "raise": ("crashed", "RuntimeError: the maker did not think of this", "stare_at_the_wall"),
    "exit": ("crashed", "exit status 3", ""),
    "leak": ("crashed", "MemoryError", "stare_at_the_wall"),
}


@pytest.fixture
def board() -> Board:
    return Board(np.arange(120 * RATE_HZ, dtype=np.float64)[None, :])


def waves(store: Store, device: str) -> list[WaveformGroup]:
    found = [r for r in store.records(Lane.WAVEFORM) if isinstance(r, WaveformGroup) and r.source.device == device]
    return sorted((g for g in found if g.source.path in {("ecg",), ("wave",)}), key=lambda g: g.first_sample)


def gaps(store: Store, device: str) -> list[Gap]:
    found = [r for lane in (Lane.EVENT, Lane.WAVEFORM) for r in store.records(lane)]
    return [r for r in found if isinstance(r, Gap) and r.source.device == device]


def lost(store: Store) -> list[DeviceEvent]:
    return [r for r in store.records(Lane.EVENT) if isinstance(r, DeviceEvent) and r.code == EVT_ADAPTER_LOST]


def holes(groups: list[WaveformGroup]) -> list[tuple[int, int]]:
    """Between samples that are stored; none is stored twice."""
    found: list[tuple[int, int]] = []
    for before, behind in pairwise(groups):
        assert behind.first_sample >= before.end_sample, "a sample is stored twice"
        if behind.first_sample > before.end_sample:
            found.append((before.end_sample, behind.first_sample))
    return found


def settings(port: Path, trigger: Path) -> str:
    third = '[[devices]]\nid = "{}"\nfamily = "third"\nurl = "{}"\n'
    return (
        f'[[devices]]\nid = "amp"\nfamily = "cyton"\nurl = "{port}"\n'
        + third.format("third-1", trigger)
        + third.format("third-2", trigger.with_name("never"))
        + third.format("third-3", "nowhere")
        + f"[host]\nblocked_s = {BLOCKED_S}\n"
    )


def at_least(store: Store, more: int) -> Callable[[], bool]:
    before = len(waves(store, "third-1"))
    return lambda: len(waves(store, "third-1")) >= before + more


async def test_what_an_adapter_of_another_maker_does_is_named_and_no_other_device_notices(tmp_path: Path, port: Path):
    store, authority, trigger = Store(), Authority(), tmp_path / "do"
    faults = SHORT + (MORE if LONG else ())
    async with hub_peer(store, authority) as hub:
        save_identity(tmp_path / "state", authority.identity(f"127.0.0.1:{hub.port}"))
        agent = Gateway(write_config(tmp_path, settings(port, trigger)))
        agent.environment["PYTHONPATH"] = str(install(tmp_path / "packages"))
        await agent.start()
        try:
            for count, fault in enumerate(faults, start=1):
                await until(at_least(store, 10))
                trigger.write_text(fault)
                began_ns = time.time_ns()
                await until(lambda n=count: len(lost(store)) == n)
                reason, text, where = SAID[fault]
                told = agent.said("adapter-lost")[-1]
                assert (told["device"], told["family"], told["reason"]) == ("third-1", "third", reason)
                assert text in str(told["text"])
                assert where in str(told["where"])
                event = lost(store)[-1]
                assert event.source.device == "third-1"
                assert dict(event.params)["reason"] == reason
                assert text in event.text
                assert event.times.gateway_ns - began_ns < 10 * NS_PER_S
            await until(at_least(store, 10))
            await until(lambda: len(gaps(store, "third-1")) >= 2 * len(faults))
            assert await agent.kill(signal.SIGTERM) == 0
        except BaseException:
            print(*agent.log, sep="\n")
            raise
        finally:
            await agent.kill()
    check_gaps(store, len(faults))
    for steady in ("amp", "third-2"):
        assert holes(waves(store, steady)) == []
        assert gaps(store, steady) == []
    assert not [line for line in agent.said("link-lost") if line["device"] in {"amp", "third-2"}]
    assert "there is no such place" in str(agent.said("device-not-usable")[0]["reason"])


def check_gaps(store: Store, faults: int) -> None:
    """Each hole in the samples is told as it is, and so is the time without numbers; what follows is no sample that was there before."""
    found = [g for g in gaps(store, "third-1") if g.source.path == ("wave",)]
    assert sorted((g.from_sample, g.to_sample) for g in found) == holes(waves(store, "third-1"))
    assert len(found) == faults
    assert {g.reason for g in found} == {LINK_LOSS}
    without = [g for g in gaps(store, "third-1") if g.source.path == ("process",)]
    assert len(without) == faults
    times = sorted(
        r.times.gateway_ns
        for r in store.records(Lane.NUMERIC)
        if isinstance(r, Observation) and r.source.device == "third-1"
    )
    for gap in without:
        assert gap.from_ns in times
        assert not [t for t in times if gap.from_ns < t < gap.to_ns]


def acknowledged(folder: Path, door: str) -> list[float]:
    """The readings of which a door was told that they are safe."""
    told = folder / f"{door}.acknowledged"
    lines = [line.split() for line in told.read_text().splitlines()] if told.exists() else []
    return [float(value) for value, device, verdict in lines if device == f"of-{door}" and verdict == "ACCEPTED"]


def taken(store: Store, door: str) -> list[float]:
    found = [r for r in store.records(Lane.NUMERIC) if isinstance(r, Observation) and str(r.source) == f"of-{door}"]
    return [float(r.value) for r in found]


async def test_what_a_door_of_another_maker_does_is_named_and_no_other_adapter_notices(tmp_path: Path, port: Path):
    store, authority, trigger = Store(), Authority(), tmp_path / "do"
    faults = SHORT_OF_A_DOOR + (MORE_OF_A_DOOR if LONG else ())
    door = '[[doors]]\nname = "{0}"\nkind = "hatch"\nurl = "{1}"\n[[doors.devices]]\nid = "of-{0}"\n'
    async with hub_peer(store, authority) as hub:
        save_identity(tmp_path / "state", authority.identity(f"127.0.0.1:{hub.port}"))
        words = f'[[devices]]\nid = "amp"\nfamily = "cyton"\nurl = "{port}"\n[host]\nblocked_s = {BLOCKED_S}\n'
        words += door.format("bad", trigger) + door.format("good", tmp_path / "never")
        agent = Gateway(write_config(tmp_path, words))
        agent.environment["PYTHONPATH"] = str(install(tmp_path / "packages"))
        await agent.start()
        try:
            for count, fault in enumerate(faults, start=1):
                before = len(acknowledged(tmp_path, "bad"))
                await until(lambda n=before: len(acknowledged(tmp_path, "bad")) >= n + 10)
                trigger.write_text(fault)
                await until(lambda n=count: len(lost(store)) == n)
                reason, text, where = SAID[fault]
                told = agent.said("adapter-lost")[-1]
                assert (told["door"], told["kind"], told["reason"]) == ("bad", "hatch", reason)
                assert text in str(told["text"])
                assert where in str(told["where"])
                event = lost(store)[-1]
                assert event.source.device == authority.identity("").gateway
                assert dict(event.params)["door"] == "bad"
            before = len(acknowledged(tmp_path, "bad"))
            trigger.write_text("impostor")
            await until(lambda: len(acknowledged(tmp_path, "bad")) >= before + 10)
            assert await agent.kill(signal.SIGTERM) == 0
        except BaseException:
            print(*agent.log, sep="\n")
            raise
        finally:
            await agent.kill()
    for name in ("bad", "good"):
        # what was acknowledged is stored, and nothing twice: the door repeats nothing, so that what it lost stays lost
        assert len(set(taken(store, name))) == len(taken(store, name))
        assert set(acknowledged(tmp_path, name)) <= set(taken(store, name))
    assert " amp REFUSED" in (tmp_path / "bad.acknowledged").read_text()
    assert not [r for r in store.records(Lane.NUMERIC) if isinstance(r, Observation) and str(r.source) == "amp"]
    assert holes(waves(store, "amp")) == []
    assert gaps(store, "amp") == []
    rest = taken(store, "good")
    assert max(behind - before for before, behind in pairwise(rest)) < BLOCKED_S, "the other door stood still"
