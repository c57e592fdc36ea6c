"""A resting ECG as a page shows it: read from the cart's own file by the decoder that the gateway has. Pure.

The order of leads is that of IEC 60601-2-25 and of paper; a lead that the cart did not store is missing, never calculated.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from hub.core.errors import InvalidError
from models.signal import resting
from protocols.ecgfile import aecg
from protocols.errors import DecodeError
from protocols.nomenclature import EVT_DEVICE_SEEN, TERMS, lead
from protocols.record import RECORDED, DeviceEvent, Observation, SourcePath, WaveformGroup

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hub.placement.domain import Point, Who
    from models.screening.critical_recording import Found
    from models.signal.resting import Reading

MEDIA_TYPES = (aecg.MEDIA_TYPE,)
SHOWN_S = 10.0  # of a longer recording its begin
LEADS = tuple(lead(name) for name in ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"))
# What is read first on paper; what else the cart measured follows.
_ORDER = ("MDC_ECG_HEART_RATE", *(f"MDC_ECG_TIME_PD_{part}" for part in ("PR", "QRS", "QT", "QTc", "P", "PP", "RR")))
_STATEMENT = "MDC_ECG_INTERPRETATION_"
_MICROVOLT = {"uV": 1.0, "mV": 1e3, "nV": 1e-3, "V": 1e6}


@dataclass(frozen=True, slots=True)
class EcgRef:
    """A stored ECG. `at` is when it was recorded, by the clock of the gateway that judged the cart's."""

    document_id: int
    device_id: int
    device: str
    at: datetime
    media_type: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the cart measured, in `unit` (UCUM)."""

    code: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Trace:
    """One lead: int16 or int32 steps of `uv_per_lsb` microvolt."""

    code: str
    short: str
    uv_per_lsb: float
    samples: "NDArray[np.int32]"


@dataclass(frozen=True, slots=True)
class Recording:
    """What stands in a cart's file, its subject left out. `statements`: (kind, the cart's own words)."""

    fs_hz: float
    traces: tuple[Trace, ...]
    measurements: tuple[Measurement, ...]
    statements: tuple[tuple[str, str], ...]
    cart: tuple[tuple[str, str], ...]  # make, model, serial, firmware, as far as the file says them


@dataclass(frozen=True, slots=True)
class Ecg:
    """An ECG with whose it is. `others` are those of the same stay, the newest first, this one among them.

    `critical`: what the cart measured beyond a critical value, by the table in force and the patient's age on that day. `reading`: what Wardlink
    measures in the same ten seconds, None where it cannot.
    """

    ref: EcgRef
    recording: Recording
    point: "Point"
    who: "Who | None"
    others: tuple[EcgRef, ...]
    critical: "tuple[Found, ...]" = ()
    reading: "Reading | None" = None


def read(content: bytes, device: str) -> Recording:
    """Read a stored file; InvalidError when it cannot be read. It takes tens of milliseconds: call it in a thread."""
    try:
        records = aecg.decode(content, device, 0).records
    except DecodeError as error:
        raise InvalidError(
            f"The ECG cannot be drawn: {error}", "The file is kept; ask for it at the cart.", reason="ecg"
        ) from error
    groups = [record for record in records if isinstance(record, WaveformGroup)]
    first = max(groups, key=lambda group: (len(group.leads), -groups.index(group)))
    own = SourcePath(device, (RECORDED, "measurements"))
    said = [record for record in records if isinstance(record, Observation) and record.source == own]
    seen = [record for record in records if isinstance(record, DeviceEvent) and record.code == EVT_DEVICE_SEEN]
    return Recording(
        first.fs_hz,
        tuple(_traces(first)),
        tuple(_measurements(said)),
        tuple((o.code.removeprefix(_STATEMENT).lower(), str(o.value)) for o in said if o.code.startswith(_STATEMENT)),
        tuple((name, str(value)) for name, value in seen[0].params) if seen else (),
    )


def measure(recording: Recording) -> "Reading | None":
    """What the product's own program measures; it takes a quarter of a second: call it in a thread."""
    n = min((len(trace.samples) for trace in recording.traces), default=0)
    if not n:
        return None
    samples = np.stack([trace.samples[:n].astype(np.float64) * (trace.uv_per_lsb / 1000) for trace in recording.traces])
    return resting.read(samples, [trace.short for trace in recording.traces], recording.fs_hz)


def _traces(group: WaveformGroup) -> list[Trace]:
    n = round(SHOWN_S * group.fs_hz)
    steps = group.array()[:, :n].astype(np.int32)
    found: dict[str, Trace] = {}
    for code, scale, row in zip(group.leads, group.scales, steps, strict=True):
        step_uv = scale.gain * _MICROVOLT.get(scale.unit, 1.0)
        # An offset of the whole lead is where the electrode sat, not the heart; paper shows the line at its middle.
        found[code] = Trace(code, TERMS[code].short or TERMS[code].en, step_uv, row)
    return [found[code] for code in (*LEADS, *(c for c in found if c not in LEADS)) if code in found]


def _measurements(said: Iterable[Observation]) -> list[Measurement]:
    """Each measurement once, as the file first says it, in the order of paper."""
    found: dict[str, Measurement] = {}
    for one in said:
        if not isinstance(one.value, str):
            found.setdefault(one.code, Measurement(one.code, float(one.value), one.unit))
    return sorted(found.values(), key=lambda one: _ORDER.index(one.code) if one.code in _ORDER else len(_ORDER))


def pick(recording: Recording, leads: Sequence[str]) -> Recording:
    """The recording with these leads only; all when none is named."""
    if not leads:
        return recording
    traces = tuple(trace for trace in recording.traces if trace.code in leads)
    return Recording(recording.fs_hz, traces, recording.measurements, recording.statements, recording.cart)
