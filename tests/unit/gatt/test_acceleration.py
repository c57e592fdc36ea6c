"""The strap's accelerometer: what the settings say of its axes, and its frames from a simulator that shares nothing with the decoder."""

from itertools import permutations, product

import numpy as np
import pytest

from firmware_adapters.adapter import ConfigError, DeviceConfig, OptionValue
from firmware_adapters.registry import find_adapter
from firmware_adapters.simulate.polar import BORN_CLOCK_NS, CONTROL, DATA, FRAME_SAMPLES, RATE_HZ, Chest, Strap
from firmware_adapters.simulate.polar_motion import POSTURES
from protocols.body_axes import body_axes
from protocols.errors import Fault
from protocols.gatt.polar import START_ECG, PolarDecoder, StrapOptions, start_acceleration
from protocols.gatt.polar_pmd import Answer, Measurement, parse_control
from protocols.nomenclature import (
    ACCELERATION_FRONT,
    ACCELERATION_HEAD,
    ACCELERATION_LEFT,
    ACCELERATION_X,
    ACCELERATION_Y,
    ACCELERATION_Z,
    LINK_LOSS,
    lead,
)
from protocols.record import Gap, Record, WaveformGroup

T0_NS = 1_800_000_000_000_000_000
FRAME_S = FRAME_SAMPLES / RATE_HZ
AS_SIMULATED = {"x": "left", "y": "head", "z": "front"}


class Worn:
    """A strap that lies for 20 s on the back and then on the left side, and its decoder."""

    def __init__(self, hz: int = 25) -> None:
        chest = Chest(np.arange(200_000, dtype=np.int32), turns=((0.0, "supine"), (20.0, "left")))
        self.strap = Strap(chest, "A0:9E:1A:00:00:01")
        self.strap.clock_ns = T0_NS - BORN_CLOCK_NS
        self.decoder = PolarDecoder("strap", StrapOptions(lead("I"), hz, body_axes(AS_SIMULATED)))
        self.out: list[Record | Fault] = []
        self.passed_s = 0.0
        self.command(START_ECG)
        self.command(start_acceleration(hz))

    def command(self, data: bytes) -> None:
        control = self.strap.peripheral.services["fb005c80-02e7-f387-1cad-8acd2d8df0c8"][0]
        assert control.write is not None
        control.write(data)

    def run(self, until_s: float, *, lost: bool = False) -> None:
        while self.passed_s < until_s:
            self.passed_s += FRAME_S
            for uuid, value in self.strap.due(FRAME_S):
                if uuid in (DATA, CONTROL) and not lost:
                    self.out += self.decoder.feed(value, T0_NS + round(self.passed_s * 1e9), uuid)

    def groups(self) -> list[WaveformGroup]:
        return [r for r in self.out if isinstance(r, WaveformGroup) and r.source.path == ("accelerometer",)]

    def answers(self) -> list[Answer]:
        found = [parse_control(value) for uuid, value in self.strap.due(FRAME_S) if uuid == CONTROL]
        return [answer for answer in found if isinstance(answer, Answer)]


@pytest.mark.parametrize("hz", [25, 50, 100, 200])
def test_a_resting_chest_feels_one_g_upwards_and_a_turn_shows_on_the_bodys_axes(hz: int):
    worn = Worn(hz)
    worn.run(40)
    groups = worn.groups()
    assert not [item for item in worn.out if isinstance(item, Fault | Gap)]
    assert {g.leads for g in groups} == {(ACCELERATION_LEFT, ACCELERATION_HEAD, ACCELERATION_FRONT)}
    felt = np.concatenate([g.physical() for g in groups], axis=1)
    assert felt.shape[1] == pytest.approx(40 * hz, abs=36 + hz)
    for name, begin_s, end_s in (("supine", 0, 20), ("left", 23, 38)):
        up = felt[:, begin_s * hz : end_s * hz].mean(axis=1)
        assert np.linalg.norm(up) == pytest.approx(1, abs=0.02)
        assert up == pytest.approx(POSTURES[name], abs=0.03)


def test_samples_are_numbered_without_a_hole_and_timed_by_the_straps_clock():
    worn = Worn()
    worn.run(30)
    groups = worn.groups()
    assert [g.first_sample for g in groups] == [i * groups[0].n for i in range(len(groups))]
    for group in groups:
        assert group.times.device_ns == pytest.approx(T0_NS + (group.first_sample + 1) * 40_000_000, abs=100_000)


def test_lost_frames_of_the_accelerometer_are_one_gap_of_their_own():
    worn = Worn()
    worn.run(10)
    before = worn.groups()[-1].end_sample
    worn.run(20, lost=True)
    worn.run(30)
    (gap,) = [r for r in worn.out if isinstance(r, Gap) and r.source.path == ("accelerometer",)]
    behind = next(g for g in worn.groups() if g.first_sample > before)
    assert (gap.from_sample, gap.to_sample, gap.reason) == (before, behind.first_sample, LINK_LOSS)
    assert (gap.to_sample or 0) - before == pytest.approx(250, abs=72)


def test_the_strap_tells_what_can_be_chosen_and_refuses_the_rest_in_words():
    worn = Worn()
    worn.strap.due(FRAME_S)
    for command in (
        bytes([1, Measurement.ACCELERATION]),
        start_acceleration(50),  # it measures already
        bytes.fromhex("03 02"),
        bytes.fromhex("02 02 00 01 19 00 01 01 10 00"),  # without the range
        bytes.fromhex("02 02 00 01 1A 00 01 01 10 00 02 01 08 00"),  # 26 Hz
        start_acceleration(50),
    ):
        worn.command(command)
    offered, already, stopped, incomplete, rate, started = worn.answers()
    values = {number: [int.from_bytes(v, "little") for v in found] for number, found in offered.settings}
    assert values == {0: [25, 50, 100, 200], 1: [16], 2: [2, 4, 8]}
    assert [a.text for a in (already, stopped, incomplete, rate, started)] == [
        "already in this state", "success", "invalid parameter", "invalid sample rate", "success",
    ]  # fmt: skip


def test_half_of_the_ways_to_name_three_axes_are_mirror_images_and_refused():
    ways = (("left", "right"), ("head", "feet"), ("front", "back"))
    refused = 0
    for order in permutations(ways):
        for words in product(*order):
            try:
                body_axes(dict(zip("xyz", words, strict=True)))
            except ValueError:
                refused += 1
    assert refused == 48 - 24  # the rotations of a cube are 24


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ("left", "option axes: expected x, y and z, found none"),
        ({"x": "left", "y": "head"}, "expected x, y and z, found x, y"),
        ({"x": "left", "y": "head", "z": "up"}, "z = 'up': expected one of left, right, head"),
        ({"x": "left", "y": "right", "z": "front"}, "two axes lie on one line"),
        ({"x": "left", "y": "head", "z": "back"}, "mirror image"),
    ],
)
def test_axes_that_cannot_be_say_which_device_and_what_is_wrong(axes: OptionValue, said: str):
    config = DeviceConfig("strap-7", "polar", "ble:A0:9E:1A:00:00:01", {"acceleration_hz": 25, "axes": axes})
    with pytest.raises(ConfigError, match=said) as error:
        find_adapter("polar").check(config)
    assert "strap-7" in str(error.value)


def test_a_strap_whose_axes_nobody_told_keeps_its_own():
    decoder = PolarDecoder("strap", StrapOptions(lead("I"), 25))
    (group,) = decoder.feed(bytes.fromhex("02") + bytes(8) + bytes.fromhex("01 0A 00 EC FF E8 03"), T0_NS, DATA)
    assert isinstance(group, WaveformGroup)
    assert group.leads == (ACCELERATION_X, ACCELERATION_Y, ACCELERATION_Z)
    assert group.physical()[:, 0] == pytest.approx([0.010, -0.020, 1.000])  # thousandths of g


def test_a_direction_may_be_negative():
    # a strap put on upside down: turned half around the axis that comes out of the chest
    axes = body_axes({"x": "right", "y": "feet", "z": "front"})
    assert list(axes) == [(ACCELERATION_LEFT, -1), (ACCELERATION_HEAD, -1), (ACCELERATION_FRONT, 1)]
