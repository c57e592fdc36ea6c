"""What a pulse says against an alarm of the heart, case by case: rules of `models.screening.fusion` with pulses put in by hand."""

from dataclasses import replace

import pytest

from models.screening import fusion
from models.screening.alarms import Condition
from models.screening.fusion import Why
from models.screening.placement import EXTREMES, AgeGroup
from models.screening.recent import Pulsing
from protocols.nomenclature import ART_WAVE, ASYSTOLE, BRADY_EXTREME, LEADS_OFF, PLETH, TACHY_EXTREME, V_FIB, V_TACHY
from protocols.record import NS_PER_S, AlarmKind, Priority, SourcePath

ADULT = EXTREMES[AgeGroup.ADULT]  # slower than 40, faster than 150
ONSET_S, NOW_S = 100.0, 104.0


def condition(code: str, onset_s: float = ONSET_S, rate: float | None = None) -> Condition:
    return Condition(
        SourcePath("monitor", ("ecg",)),
        code,
        True,
        Priority.HIGH,
        AlarmKind.PHYSIOLOGICAL,
        round(onset_s * NS_PER_S),
        round(NOW_S * NS_PER_S),
        "beats",
        params=() if rate is None else (("heart_rate", rate),),
    )


def pulsing(times_s: list[float], judged_s: float = NOW_S, code: str = PLETH) -> Pulsing:
    beats = tuple(round(at * NS_PER_S) for at in times_s)
    rate = 60 * (len(beats) - 1) / (times_s[-1] - times_s[0]) if len(beats) > 1 else 0.0
    return Pulsing(code, beats, round(judged_s * NS_PER_S), rate, 0.97)


def every(per_min: float, from_s: float = 92.0, to_s: float = NOW_S - 0.2) -> list[float]:
    step = 60 / per_min
    return [from_s + i * step for i in range(int((to_s - from_s) / step) + 1)]


def why(code: str, *waves: list[float], rate: float | None = None) -> Why | None:
    found = fusion.weigh(condition(code, rate=rate), tuple(pulsing(one) for one in waves), ADULT)
    return None if found is None else found.why


def test_without_a_pulse_nothing_speaks_against_an_alarm():
    for code in fusion.MOST_HELD_S:
        assert why(code) is None
        assert why(code, [103.0]) is None


@pytest.mark.parametrize("per_min", [45, 72, 110, 180])
def test_a_pulse_that_goes_on_through_a_pause_of_the_ecg_speaks_against_asystole(per_min: float):
    assert why(ASYSTOLE, every(per_min)) is Why.GOES_ON


@pytest.mark.parametrize(
    "times_s",
    [
        every(72, to_s=ONSET_S + 0.4),  # the wave of the last beat arrives behind it
        every(72, to_s=ONSET_S + 1.4),  # one more, and no second
        every(72, to_s=ONSET_S + 2.4),  # two, and then none for longer than usual
        every(35),  # too slow to be at ease
        [*every(72, to_s=ONSET_S), ONSET_S + 0.7, ONSET_S + 2.2, ONSET_S + 2.8],  # at no rhythm
        [ONSET_S + 2.9, ONSET_S + 2.8],  # nothing is known of before
    ],
)
def test_a_pulse_that_stops_falters_or_has_just_begun_does_not(times_s: list[float]):
    assert why(ASYSTOLE, times_s) is None


def test_a_slow_regular_pulse_speaks_against_ventricular_tachycardia_and_a_fast_one_does_not():
    assert why(V_TACHY, every(72)) is Why.SLOWER
    assert why(V_TACHY, every(99)) is Why.SLOWER
    assert why(V_TACHY, every(101)) is None
    assert why(V_TACHY, every(38)) is None, "slower than any pulse to be at ease with"


def test_a_pulse_at_half_the_rate_of_the_ecg_has_lost_every_second_beat():
    assert why(V_TACHY, every(80), rate=162) is None
    assert why(V_TACHY, every(80), rate=120) is Why.SLOWER
    assert why(TACHY_EXTREME, every(80), rate=158) is None


def test_extremes_are_held_against_a_pulse_clearly_inside_their_limits():
    assert why(TACHY_EXTREME, every(134)) is Why.SLOWER
    assert why(TACHY_EXTREME, every(137)) is None
    assert why(BRADY_EXTREME, every(50)) is Why.FASTER
    slow = replace(ADULT, low_per_min=46)
    found = fusion.weigh(condition(BRADY_EXTREME), (pulsing(every(50)),), slow)
    assert found is None, "one tenth above the limit is not clear"


def test_every_wave_has_to_speak_against_it():
    assert why(ASYSTOLE, every(72), every(72)) is Why.GOES_ON
    assert why(ASYSTOLE, every(72), every(72, to_s=ONSET_S)) is None


def test_the_wave_whose_pulses_are_most_alike_is_told():
    finger = pulsing(every(72))
    line = replace(pulsing(every(72), code=ART_WAVE), alike=0.99)
    found = fusion.weigh(condition(ASYSTOLE), (finger, line), ADULT)
    assert found is not None
    assert (found.code, found.pulses) == (ART_WAVE, 4)


def test_a_pulse_that_was_searched_for_some_time_ago_and_is_overdue_by_now_says_nothing():
    late = pulsing(every(72, to_s=101.8), judged_s=103.5)
    assert fusion.weigh(condition(ASYSTOLE), (late,), ADULT) is None


def test_what_no_pulse_can_tell_of_is_left_alone_and_fibrillation_is_held_for_no_time():
    assert LEADS_OFF not in fusion.MOST_HELD_S
    assert fusion.MOST_HELD_S[V_FIB] == 0
    assert fusion.MOST_HELD_S[ASYSTOLE] <= 10


def elsewhere(times_s: list[float], uncertainty_ms: int = 20) -> Pulsing:
    return replace(pulsing(times_s), device="oximeter-1", uncertainty_ns=uncertainty_ms * NS_PER_S // 1000)


def test_a_pulse_that_another_device_sees_may_have_come_a_second_late():
    """The same times: two pulses since the pause are believed of the ECG's own device, of another from 1.5 s into it on."""
    two = every(72, to_s=ONSET_S + 2.1)
    assert sum(at > ONSET_S + 0.5 for at in two) == 2
    own = fusion.weigh(condition(ASYSTOLE), (pulsing(two, judged_s=ONSET_S + 2.8),), ADULT)
    other = fusion.weigh(
        condition(ASYSTOLE), (replace(elsewhere(two), judged_ns=round((ONSET_S + 2.8) * NS_PER_S)),), ADULT
    )
    assert (own is None, other is None) == (False, True)
    found = fusion.weigh(condition(ASYSTOLE), (elsewhere(every(72)),), ADULT)
    assert found is not None
    assert found.device == "oximeter-1"


def test_a_pulse_whose_time_is_not_known_neither_holds_an_alarm_nor_keeps_another_from_holding_it():
    vague = elsewhere(every(72, to_s=ONSET_S), uncertainty_ms=300)
    assert fusion.weigh(condition(ASYSTOLE), (vague,), ADULT) is None
    assert fusion.weigh(condition(ASYSTOLE), (pulsing(every(72)), vague), ADULT) is not None
