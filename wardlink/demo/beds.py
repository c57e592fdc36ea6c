"""The beds of the demo as values: who lies there, which limits hold, which devices stand there; and the hub's seed file for them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from wardlink.demo.rigs.rig import Rig


@dataclass(frozen=True, slots=True)
class DemoLimit:
    """Limits of a measurement."""

    code: str
    unit: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class DemoBed:
    """A bed. Patients are invented; hospital numbers begin with `demo-`."""

    label: str
    patient: str
    sex: str
    born: date
    rigs: tuple[Rig, ...]
    limits: tuple[DemoLimit, ...] = (DemoLimit("MDC_ECG_HEART_RATE", "/min", 50, 120),)


def seed(ward: str, beds: Iterable[DemoBed]) -> str:
    """The seed file (docs/reference/seed.md)."""
    parts = [
        f"""# Made by `wardlink demo` at each start; the patients are invented.
[[ward]]
slug = {json.dumps(ward)}
name = {json.dumps(ward.upper())}
"""
    ]
    for bed in beds:
        devices = [device for rig in bed.rigs for device in rig.devices]
        parts.append(f"""
[[bed]]
ward = {json.dumps(ward)}
bed = {json.dumps(bed.label)}
devices = {json.dumps(devices)}
patient = {{ hospital_number = "demo-{bed.label}", name = {json.dumps(bed.patient, ensure_ascii=False)}, sex = {json.dumps(bed.sex)}, birth_date = {bed.born} }}
limits = [{", ".join(_limit(limit) for limit in bed.limits)}]
""")
    return "".join(parts)


def _limit(limit: DemoLimit) -> str:
    ends = [f"{name} = {value}" for name, value in (("low", limit.low), ("high", limit.high)) if value is not None]
    return f"{{ code = {json.dumps(limit.code)}, unit = {json.dumps(limit.unit)}, {', '.join(ends)} }}"
