"""The critical-value items that ship, version 0: starting values of which each says where it was published.

A hospital is expected to set its own; where no published bound is known the row says so instead of naming one.
"""

from collections.abc import Iterator
from typing import TypeAlias

from models.screening.critical_items import AgeGroup, Examination, Item, Table, Urgency
from protocols.nomenclature import (
    ART_DIA,
    ART_MEAN,
    ART_SYS,
    ASYSTOLE,
    BODY_TEMPERATURE,
    BRADY_EXTREME,
    GLUCOSE,
    HEART_RATE,
    NONINV_DIA,
    NONINV_MEAN,
    NONINV_SYS,
    POTASSIUM,
    PULSE_RATE,
    QTC,
    RESPIRATION_RATE,
    SPO2,
    TACHY_EXTREME,
    TERMS,
    V_FIB,
    V_TACHY,
)

Bound: TypeAlias = float | None
Four: TypeAlias = tuple[Bound, Bound, Bound, Bound]  # red low, yellow low, yellow high, red high
Row: TypeAlias = tuple[AgeGroup, Four, str]

_CONSENSUS = "Expert consensus on ECG critical values, China, 2017 (心电图危急值2017中国专家共识)"
_NEWS2 = "NEWS2, Royal College of Physicians, 2017"
_MERIT = "MERIT study, Lancet 2005;365:2091"
_PALS = "AHA PALS 2020, vital signs by age"
_KOST = "Kost, critical limits of US hospitals, JAMA 1990;263:704"
_SET = "no published bound: a starting value that the ward sets"
_A, _C, _N = AgeGroup.ADULT, AgeGroup.CHILD, AgeGroup.NEONATE

_LETHAL = "lethal: alarmed as it is found (IEC 60601-2-27; " + _CONSENSUS + ")"
_PAUSES = {_A: 4.0, _C: 4.0, _N: 3.0}
_SLOW = {
    _A: (40.0, f"{_MERIT}: pulse below 40; NEWS2 scores 3 at 40 or less"),
    _C: (50.0, f"{_PALS}: 60 with poor perfusion is treated; {_SET}"),
    _N: (70.0, f"{_PALS}: 60 with poor perfusion is treated; {_SET}"),
}
_FAST = {
    _A: (150.0, "AHA ACLS 2020: at 150 and more a tachycardia is likely to be the cause of symptoms"),
    _C: (190.0, f"{_PALS}: supraventricular tachycardia of a child from 180"),
    _N: (220.0, f"{_PALS}: supraventricular tachycardia of an infant from 220"),
}
_RATES: tuple[Row, ...] = (
    (_A, (40, 50, 130, 150), f"{_NEWS2}: 3 points at 40 or less and from 131; red as the extremes of the ECG"),
    (_C, (50, 60, 160, 190), f"{_PALS}: the outer bounds of one month to 17 years; red as the extremes of the ECG"),
    (_N, (70, 90, 205, 220), f"{_PALS}: 100 to 205 awake, from 90 asleep; red as the extremes of the ECG"),
)
# Not red: what moves the sensor looks like a pulse, and where the ECG is measured too its rate says what is red.
_PULSES: tuple[Row, ...] = tuple(
    (group, (None, low, high, None), f"as the heart rate: {source}") for group, (_, low, high, _), source in _RATES
)
_SATURATION: tuple[Row, ...] = (
    (_A, (85, 90, None, None), f"WHO Pulse Oximetry Training Manual 2011: below 90 an emergency; red: {_SET}"),
    (_C, (85, 90, None, None), f"WHO Pulse Oximetry Training Manual 2011: below 90 an emergency; red: {_SET}"),
    (_N, (80, 88, None, None), f"SUPPORT and BOOST II trials: target from 91, alarm below 88; red: {_SET}"),
)
_BREATHS: tuple[Row, ...] = (
    (_A, (5, 9, 24, 36), f"yellow {_NEWS2}: 3 points at 8 or less and from 25; red {_MERIT}: below 5, above 36"),
    (_C, (8, 12, 50, 60), f"{_PALS}: 12 (adolescent) to 53 (infant); red: {_SET}"),
    (_N, (20, 30, 60, 80), f"WHO Pocket Book 2013: fast breathing from 60, below 20 severe; red high: {_SET}"),
)
_WARMTH: tuple[Row, ...] = (
    (
        _A,
        (32, 35, 39, 41),
        f"yellow {_NEWS2}: 3 points at 35.0 or less, 2 from 39.1; red low ERC 2021: below 32 moderate hypothermia",
    ),
    (
        _C,
        (32, 35, 39, 41),
        "WHO Pocket Book 2013: below 35.5 and from 39; red low ERC 2021: below 32 moderate hypothermia",
    ),
    (
        _N,
        (32, 36, 38, 40),
        "WHO Thermal Protection of the Newborn 1997: below 36 moderate, below 32 severe hypothermia",
    ),
)
_SYSTOLIC: tuple[Row, ...] = (
    (
        _A,
        (70, 90, 180, 219),
        f"{_MERIT}: below 90; ESC 2018: 180 grade 3; {_NEWS2}: 3 points from 220; red low: {_SET}",
    ),
    (_C, (60, 70, 140, 160), f"{_PALS}: hypotension of an infant below 70, from ten years below 90; others: {_SET}"),
    (_N, (40, 60, 100, 120), f"{_PALS}: hypotension of a term neonate below 60; others: {_SET}"),
)
_DIASTOLIC: tuple[Row, ...] = (
    (_A, (30, 40, 110, 130), f"ESC 2018: 110 grade 3; others: {_SET}"),
    (_C, (20, 30, 90, 110), f"{_SET}"),
    (_N, (10, 20, 70, 90), f"{_SET}"),
)
_MEANS: tuple[Row, ...] = (
    (_A, (50, 65, 125, 150), f"Surviving Sepsis Campaign 2021: 65 at least; others: {_SET}"),
    (_C, (35, 45, 105, 125), f"{_SET}"),
    (_N, (20, 30, 80, 100), f"BAPM 1992: a mean below 30 (gestational age in weeks) is low; others: {_SET}"),
)
_SUGAR: tuple[Row, ...] = (
    (_A, (54, 70, 250, 484), f"ADA Standards of Care 2024: level 1 below 70, level 2 below 54; red high {_KOST}"),
    (
        _C,
        (54, 70, 250, 445),
        f"ADA Standards of Care 2024: level 1 below 70, level 2 below 54; red high {_KOST}, children",
    ),
    (_N, (40, 47, 150, 200), f"AAP 2011 (Adamkin): 40 to 47 acted on in the first day; high: {_SET}"),
)
_KALIUM: tuple[Row, ...] = (
    (
        _A,
        (2.8, 3.5, 5.5, 6.2),
        f"red {_KOST}: 2.8 and 6.2; yellow: the reference range, ERC 2021: from 5.5 hyperkalaemia",
    ),
    (_C, (2.8, 3.5, 5.5, 6.4), f"red {_KOST}, children: 2.8 and 6.4; yellow: the reference range"),
    (_N, (2.8, 3.5, 6.0, 6.5), f"red low {_KOST}, children; high: {_SET}"),
)
# A cart tells the rate, not the rhythm: the lower of the published limits holds, that of atrial fibrillation.
_CART_RATES: tuple[Row, ...] = (
    (
        _A,
        (36, 41, 130, 179),
        f"red low {_CONSENSUS}: 35 or less; red high: 180 and more (Shanxi 2017); yellow {_NEWS2}",
    ),
    (_C, (50, 60, 160, 190), f"{_PALS}: as at the bed"),
    (_N, (70, 90, 205, 220), f"{_PALS}: as at the bed"),
)
_QT = f"red {_CONSENSUS}: QTc of 550 ms and more; yellow AHA/ACC 2010 (Drew): above 500 ms"


def _items() -> Iterator[Item]:
    bed, cart = Examination.MONITORING, Examination.ROUTINE_ECG
    for group in AgeGroup:
        for code in (V_FIB, V_TACHY):
            yield Item(bed, code, group, "1", _LETHAL, level=Urgency.RED)
        pause = f"{_CONSENSUS}: a pause of 3 s and more; the last second is for the detector's beats that were missed"
        yield Item(bed, ASYSTOLE, group, "s", pause, red_high=_PAUSES[group])
        yield Item(bed, BRADY_EXTREME, group, "/min", _SLOW[group][1], red_low=_SLOW[group][0], delay_s=2)
        yield Item(bed, TACHY_EXTREME, group, "/min", _FAST[group][1], red_high=_FAST[group][0], delay_s=5)
    yield from _measure(bed, HEART_RATE, _RATES, delay_s=5, hysteresis=2)
    yield from _measure(bed, PULSE_RATE, _PULSES, delay_s=10, hysteresis=2)
    yield from _measure(bed, SPO2, _SATURATION, delay_s=5, hysteresis=2)
    yield from _measure(bed, RESPIRATION_RATE, _BREATHS, delay_s=10, hysteresis=2)
    yield from _measure(bed, BODY_TEMPERATURE, _WARMTH, hysteresis=0.2)
    for cuff, line, rows in (
        (NONINV_SYS, ART_SYS, _SYSTOLIC),
        (NONINV_DIA, ART_DIA, _DIASTOLIC),
        (NONINV_MEAN, ART_MEAN, _MEANS),
    ):
        yield from _measure(bed, cuff, rows)
        yield from _measure(bed, line, rows, delay_s=5, hysteresis=2)
    yield from _measure(bed, GLUCOSE, _SUGAR)
    yield from _measure(bed, POTASSIUM, _KALIUM)
    yield from _measure(cart, HEART_RATE, _CART_RATES)
    yield from _measure(cart, QTC, tuple((group, (None, None, 500, 549), _QT) for group in AgeGroup))


def _measure(
    examination: Examination, code: str, rows: tuple[Row, ...], *, delay_s: float = 0.0, hysteresis: float = 0.0
) -> Iterator[Item]:
    """Rows of a measurement. What is measured once in a while waits for nothing: the next reading may be an hour away."""
    for group, (red_low, yellow_low, yellow_high, red_high), source in rows:
        yield Item(
            examination, code, group, TERMS[code].unit, source, yellow_low, yellow_high, red_low, red_high,
            delay_s=delay_s, hysteresis=hysteresis,
        )  # fmt: skip


SHIPPED = Table(0, tuple(_items()))
