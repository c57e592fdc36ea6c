"""What goes wrong with a simulated device: for how long, and what is refused."""

import pytest

from firmware_adapters.simulate.faults import LASTS_S, LONGEST_S, Switches


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def test_a_fault_lasts_as_long_as_the_line_says():
    clock = Clock()
    switches = Switches(("garbage", "hang"), now_s=clock)
    assert not switches.holds("garbage")
    switches.take("garbage 3\n")
    switches.take("hang")
    clock.s += 2.9
    assert switches.holds("garbage")
    clock.s += 0.2
    assert not switches.holds("garbage")
    assert switches.holds("hang")
    clock.s += LASTS_S
    assert not switches.holds("hang")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("fire", "fault 'fire': expected one of garbage, hang"),
        ("", "fault '': expected one of garbage, hang"),
        ("garbage soon", "fault 'garbage' for 'soon': expected seconds"),
        ("garbage -1", "fault 'garbage' for '-1'"),
        (f"garbage {LONGEST_S + 1}", "expected seconds, up to 3600"),
    ],
)
def test_a_line_that_is_no_fault_is_refused_and_nothing_goes_wrong(line: str, said: str):
    switches = Switches(("garbage", "hang"))
    with pytest.raises(ValueError, match=said):
        switches.take(line)
    assert not switches.holds("garbage")
