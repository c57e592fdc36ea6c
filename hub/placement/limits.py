"""Which alarm limits can be set for a patient, and what is refused before it reaches the edge. Pure.

The edge compares bare numbers (models/screening/limits.py), so unit, order and plausibility are settled here.
"""

import math

from hub.core.errors import InvalidError
from hub.placement.domain import LimitSet
from protocols.nomenclature import (
    ART_DIA,
    ART_MEAN,
    ART_SYS,
    BODY_TEMPERATURE,
    GLUCOSE,
    HEART_RATE,
    NONINV_DIA,
    NONINV_MEAN,
    NONINV_SYS,
    POTASSIUM,
    PULSE_RATE,
    RESPIRATION_RATE,
    SPO2,
    TERMS,
    TermKind,
)

# What a nurse sets limits of, in the order of a monitor's menu, with the step of its buttons in the unit of the term.
ADJUSTABLE: dict[str, float] = {
    HEART_RATE: 5,
    SPO2: 1,
    RESPIRATION_RATE: 1,
    NONINV_SYS: 5,
    NONINV_DIA: 5,
    NONINV_MEAN: 5,
    PULSE_RATE: 5,
    BODY_TEMPERATURE: 0.1,
    ART_SYS: 5,
    ART_DIA: 5,
    ART_MEAN: 5,
    GLUCOSE: 5,
    POTASSIUM: 0.1,
}
_DO = "Give bounds that a patient can have, the lower below the upper."


def check_limit(limit: LimitSet) -> None:
    """InvalidError for a code that is not measured, another unit, a bound that is no number, or bounds in the wrong order."""
    term = TERMS.get(limit.code)
    if term is None or term.kind is not TermKind.METRIC or term.unit != limit.unit:
        raise InvalidError(
            f"Limit of {limit.code!r} in {limit.unit!r}: expected a measurement of the nomenclature in its unit"
            f"{f' {term.unit!r}' if term else ''}.",
            "See docs/reference for codes and units.",
        )
    bounds = [bound for bound in (limit.low, limit.high) if bound is not None]
    if not all(math.isfinite(bound) for bound in bounds):
        raise InvalidError(f"Limits {limit.low} to {limit.high}: expected finite numbers.", _DO, reason="limit")
    if limit.low is not None and limit.high is not None and limit.low >= limit.high:
        raise InvalidError(
            f"Limits {limit.low} to {limit.high}: the lower is not below the upper.", "Swap them.", reason="limit-order"
        )


def check_patient_limit(limit: LimitSet) -> None:
    """As `check_limit`; also refused: a code that is not in ADJUSTABLE, and a bound that no patient can have."""
    check_limit(limit)
    if limit.code not in ADJUSTABLE:
        raise InvalidError(
            f"Limits of {limit.code!r} are not set for a patient.",
            f"Choose one of {', '.join(ADJUSTABLE)}.",
            reason="limit-code",
        )
    plausible = TERMS[limit.code].plausible
    for bound in (limit.low, limit.high):
        if bound is not None and plausible is not None and not plausible[0] <= bound <= plausible[1]:
            raise InvalidError(
                f"Limit {bound:g} of {limit.code!r}: expected {plausible[0]:g} to {plausible[1]:g} {limit.unit}.",
                _DO,
                reason="limit-range",
            )
