"""What can be made to go wrong in the demo, with its devices switched on: each fault has its effect in the database, at every bed that offers it.

`WARDLINK_LONG=1` adds a hub that is away for ten minutes.
"""

import math
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from protocols.codec import decode
from protocols.nomenclature import (
    EVT_CLOCK_WRONG,
    EVT_FAULT,
    HEART_RATE,
    LEADS_OFF,
    LINK_LOST,
    SATURATED,
    SIGNAL_LOW,
    SPO2,
)
from tests.fixtures.demo_holes import NUMBERS_PAUSE_S, PAUSES_S, ends, holes, missing_numbers
from tests.fixtures.long_form import LONG
from tests.integration.test_demo_command import (
    COMMAND,
    Running,
    demo,
    signed_in,
    wait_until_all_stream,
    ward_page,
    without_a_database,
)
from wardlink.demo.faults import ask
from wardlink.demo.rigs.rig import DEVICE_FAULTS, DROP_LINK, GARBAGE, PULL_LEAD, WRONG_CLOCK
from wardlink.demo.ward import Recordings, ward
from wardlink.local.places import Places

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

CAPTURES = Path(__file__).parents[1] / "captures"
# Bed 1 has electrodes and a finger that could come off from 38 s on; 27 s later its oximeter has no pulse to read. What was
# told of the time before has ended a few seconds behind its end.
WIRED_S, PULLED_S = 38 + 8, 15
SEEN_WITHIN_S = 40
STOPPED_S, LONG_STOP_S = 6, 600
BY_A_WIRE = ("amplifier-1/ecg", "amplifier-1/accelerometer", "oximeter-1/pleth")
BEHIND_S = 1  # the bytes of a wire that are read together with garbage are over by then
DROPPED_S = 20  # a monitor that has promised to be back within 9 s is missed after 18
BY_WIRE = {"amplifier-1": "serial", "oximeter-1": "serial"}
OVER_THE_NETWORK = {
    "monitor-3": "mqtt",
    "patch-4": "coap",
    "thermometer-4": "coap",
    "monitor-5": "http",
    "cart-6": "folder",
}

# What a fault is in the words of the hub, for each process of the demo that can have it: a device, and an event or an alarm of it.
NO_FINGER, NO_HEART_RATE, FLAT = "no finger", "no heart rate", "flat lead"
Seen = frozenset[tuple[str, str]]
EFFECTS: Mapping[str, Mapping[str, Seen]] = {
    WRONG_CLOCK: {name: frozenset({(name, EVT_CLOCK_WRONG)}) for name in ("strap-2", "monitor-3", "patch-4", "monitor-5", "cart-6")},
    GARBAGE: {
        **{name: frozenset({(name, EVT_FAULT)}) for name in ("amplifier-1", "oximeter-1", "strap-2", "monitor-3", "monitor-5", "cart-6")},
        "patch-4": frozenset({("patch-4", EVT_FAULT), ("thermometer-4", EVT_FAULT)}),
    },
    PULL_LEAD: {
        "amplifier-1": frozenset({("amplifier-1", SATURATED)}),
        "oximeter-1": frozenset({("oximeter-1", NO_FINGER)}),
        "strap-2": frozenset({("strap-2", SIGNAL_LOW)}),
        "monitor-3": frozenset({("monitor-3", LEADS_OFF)}),
        "patch-4": frozenset({("patch-4", SATURATED)}),
        "monitor-5": frozenset({("monitor-5", NO_HEART_RATE)}),  # it sends numbers alone
        "cart-6": frozenset({("cart-6", FLAT)}),
    },
    DROP_LINK: {name: frozenset({(name, LINK_LOST)}) for name in ("amplifier-1", "oximeter-1", "strap-2", "monitor-3", "patch-4", "monitor-5")},
}  # fmt: skip
TOLD = """
select split_part(path, '/', 1), case when params->>'sensor_alarm' = 'true' then '{no_finger}' else code end
  from device_event join source using (source_id)  where stored_at >= to_timestamp({since_s}) and device_event.time < to_timestamp('{until_s}')
union select split_part(path, '/', 1), code from alarm join source using (source_id)
 where detected_at >= to_timestamp({since_s}) and detected_at < to_timestamp('{until_s}')
union select device.name, '{no_heart_rate}'
  from observation o join series e using (series_id) join source using (source_id) join device using (device_id)
 where o.time >= to_timestamp({since_s}) group by device.name
having count(*) filter (where e.code = '{spo2}') > 1 + count(*) filter (where e.code = '{heart_rate}')
"""
BEHIND = """
select path from waveform join stream using (stream_id) join source using (source_id)
 where split_part(path, '/', 1) in ('amplifier-1', 'oximeter-1') group by path having max(start) < to_timestamp({at_s})
"""
RECORDED = """
select d.name, w.codec, w.samples, w.n, t.dtype, cardinality(t.leads)
  from waveform w join stream t using (stream_id) join source s using (source_id) join device d using (device_id)
 where s.path like '%/recorded/ecg'
"""


def offered(beds: str = "123456") -> set[tuple[str, str]]:
    """Each fault with each process of the demo's beds that can have it."""
    rigs = [rig for bed in ward(Recordings(CAPTURES, None)) if bed.label in beds for rig in bed.rigs]
    return {(fault, rig.name) for fault in DEVICE_FAULTS for rig in rigs if rig.fault(fault, 1)}


def effects_of(fault: str, beds: str) -> set[tuple[str, str]]:
    return {seen for name, process in offered(beds) if name == fault for seen in EFFECTS[fault][process]}


@dataclass(frozen=True)
class Asking:
    """Somebody who lets things go wrong in a demo that runs, and looks what became of it."""

    running: Running
    pulled: Future[
        float
    ]  # when leads and finger came off at bed 1: its moment does not wait for what a test does meanwhile

    def fault(self, *words: str) -> subprocess.CompletedProcess[str]:
        """By the command."""
        command = [*COMMAND, "fault", *words, "--data", str(self.running.places.data)]
        return subprocess.run(
            command, env=without_a_database(), capture_output=True, text=True, timeout=90, check=False
        )

    def go_wrong(self, fault: str, beds: str, seconds: float) -> set[tuple[str, str]]:
        """At some beds: at the first by the command, at the others as the command asks. What there will be to see."""
        first, *others = beds
        done = self.fault(fault, first, "--for", f"{seconds:g}")
        assert (done.returncode, done.stderr) == (0, ""), (fault, first)
        assert done.stdout.startswith(f"bed {first}: {fault} for {seconds:g} s ("), done.stdout
        for bed in others:
            assert ask(self.running.places.data / "ward", fault, bed, seconds).startswith(f"bed {bed}: {fault} for ")
        return effects_of(fault, beds)

    def wait_until_seen(self, effects: set[tuple[str, str]], since_s: float, until_s: float = math.inf) -> None:
        give_up_s = time.monotonic() + SEEN_WITHIN_S
        while missing := effects - self.told(since_s, until_s):
            assert time.monotonic() < give_up_s, f"nothing is to be seen of {missing}"
            time.sleep(0.5)

    def wait_until_measured(self, at_s: float) -> None:
        """The hub has of each wire what was measured then."""
        give_up_s = time.monotonic() + SEEN_WITHIN_S
        while behind := self.running.rows(BEHIND.format(at_s=at_s)):
            assert time.monotonic() < give_up_s, f"the hub has nothing new of {behind}"
            time.sleep(0.5)

    def told(self, since_s: float, until_s: float) -> set[tuple[object, ...]]:
        """Devices with what they and the gateway said of them in that time, and carts that have recorded a flat lead."""
        words = {"no_finger": NO_FINGER, "no_heart_rate": NO_HEART_RATE, "spo2": SPO2, "heart_rate": HEART_RATE}
        told = self.running.rows(TOLD.format(since_s=since_s, until_s=until_s, **words))
        for name, codec, samples, n, dtype, leads in self.running.rows(RECORDED):
            assert isinstance(codec, int)
            assert isinstance(samples, bytes)
            assert isinstance(n, int)
            assert isinstance(dtype, str)
            assert isinstance(leads, int)
            counts = decode(codec, samples, leads=leads, n=n, dtype=dtype)
            told |= {(name, FLAT)} if not counts.any(axis=1).all() else set()
        return told

    def is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.running.ward}/health", timeout=2).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def asking(usual_places: Places, short_folder: Callable[[], Path]) -> Iterator[Asking]:
    """A demo whose devices stream."""
    places = replace(usual_places, data=short_folder(), database_url=None)
    with demo(places) as running:
        with ward_page(running):
            on_s = time.monotonic()
            wait_until_all_stream(running)

        def pull() -> float:
            time.sleep(max(0.0, on_s + WIRED_S - time.monotonic()))
            pulled_s = time.time()
            ask(places.data / "ward", PULL_LEAD, "1", PULLED_S)
            return pulled_s

        with ThreadPoolExecutor(1) as beside:
            yield Asking(running, beside.submit(pull))


def test_each_fault_has_an_effect_to_look_for_at_every_device_that_can_have_it():
    assert {(fault, process) for fault, by_process in EFFECTS.items() for process in by_process} == offered()


@pytest.mark.req("IOT-8.3b", "IOT-7.3a", surface="api")
def test_the_ledger_has_devices_by_wire_by_bluetooth_and_over_the_network_and_the_gateway_that_each_is_behind(
    asking: Asking,
):
    with signed_in(asking.running.engineers_link) as engineer:
        devices = engineer.get(f"{asking.running.ward}/api/v1/devices").json()["devices"]
        gateways = engineer.get(f"{asking.running.ward}/api/v1/gateways").json()["gateways"]
    [gateway] = gateways
    assert {device["name"]: device["door"] for device in devices} == {
        **BY_WIRE, **OVER_THE_NETWORK, "strap-2": "bluetooth"
    }  # fmt: skip
    assert {device["gateway"] for device in devices} == {gateway["name"]}
    assert (gateway["state"], gateway["devices"]) == ("online", len(devices))


def test_what_is_asked_to_go_wrong_goes_wrong_and_mends_and_the_rest_goes_on(asking: Asking):
    began_s = time.time()
    cut_off = asking.go_wrong(GARBAGE, "6", 1)  # may still be under way, for a minute
    # each longer than the pause in which a device begins its recording again
    rounds = (
        ((PULL_LEAD, "23456", 12), (DROP_LINK, "1", 3)),
        ((WRONG_CLOCK, "23456", 6),),
        ((GARBAGE, "12345", 6),),
    )
    for together in rounds:
        since_s = time.time()
        asking.wait_until_seen({e for one in together for e in asking.go_wrong(*one)}, since_s)
    garbage_s = time.monotonic() + 6  # it was asked for before, and is over by then
    since_s = time.time()
    lost = asking.go_wrong(DROP_LINK, "2345", DROPPED_S)
    assert asking.fault(DROP_LINK, "2", "--for", f"{DROPPED_S}").returncode == 0, "once more while it lasts"
    refused = {
        (DROP_LINK, "9"): "There is no bed '9'",
        (WRONG_CLOCK, "1"): "No device of bed 1 can have wrong-clock",
    }
    for words, reason in refused.items():
        no = asking.fault(*words)
        assert (no.returncode, reason in no.stderr) == (1, True), no.stderr
    # what garbage made unreadable is lost on a wire, and told; the newest sample at the hub is to be from behind that
    time.sleep(max(0.0, garbage_s - time.monotonic()))
    asking.wait_until_measured(time.time() + BEHIND_S)
    with closing(asking.running.database.connect_admin()) as admin:
        newest = ends(admin, BY_A_WIRE)  # what cannot be sent again; the others are pulled off at the same time
    assert asking.fault("stop-hub", "--for", f"{STOPPED_S}").returncode == 0
    assert not asking.is_healthy()
    assert "stopped already" in asking.fault("stop-hub").stderr
    until_s = time.monotonic() + 30
    while not asking.is_healthy():
        assert time.monotonic() < until_s
        time.sleep(0.2)
    pulled_s = asking.pulled.result()
    asking.wait_until_seen(effects_of(PULL_LEAD, "1"), pulled_s, pulled_s + PULLED_S)
    asking.wait_until_seen(lost, since_s)  # what went wrong while the hub was away, too
    asking.wait_until_seen(cut_off, began_s)
    with closing(asking.running.database.connect_admin()) as admin:
        wrong, _ = holes(admin, newest, STOPPED_S * 25, 30)
    assert wrong == []
    assert asking.running.process.poll() is None


if LONG:

    @pytest.mark.timeout(1200)
    def test_a_hub_that_is_stopped_for_ten_minutes_leaves_no_hole(
        usual_places: Places, short_folder: Callable[[], Path]
    ):
        """Issue 4's own words. Each sample number of each stream, and each second of the monitor that gives numbers alone."""
        places = replace(usual_places, data=short_folder(), database_url=None)
        with demo(places) as running:
            with ward_page(running):
                wait_until_all_stream(running)
                asking = Asking(running, Future())
                time.sleep(10)
            with closing(running.database.connect_admin()) as admin:
                newest = ends(admin, PAUSES_S)
            from_s = time.time() - 5
            assert asking.fault("stop-hub", "--for", f"{LONG_STOP_S}").returncode == 0
            time.sleep(LONG_STOP_S - 5)
            assert not asking.is_healthy()
            until_s = time.monotonic() + 60
            while not asking.is_healthy():
                assert time.monotonic() < until_s
                time.sleep(0.5)
            time.sleep(20)  # some of what is live behind it
            with closing(running.database.connect_admin()) as admin:
                wrong, came = holes(admin, newest, LONG_STOP_S * 25, 240)
                odd, seconds = missing_numbers(admin, "monitor-5", NUMBERS_PAUSE_S, from_s)
                held = admin.execute("select reason, count(*) from quarantine group by 1").fetchall()
            print(f"{came}, {seconds} seconds of readings")
            assert wrong + odd == []
            assert seconds >= LONG_STOP_S * 0.9
            assert held == []


def test_a_fault_without_a_demo_says_so(short_folder: Callable[[], Path]):
    command = [*COMMAND, "fault", "stop-hub", "--data", str(short_folder())]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 1
    assert "No demo runs" in done.stderr
