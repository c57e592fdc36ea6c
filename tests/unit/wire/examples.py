"""One record of each kind with every field set, and strategies that draw any record the wire can carry."""

import hashlib
import math
from dataclasses import replace
from uuid import UUID

import numpy as np
from hypothesis import strategies as st

from protocols.nomenclature import GAP_REASONS, HEART_RATE, LINK_LOSS, V_FIB
from protocols.record import (
    AlarmCondition,
    AlarmKind,
    DeviceEvent,
    Document,
    Evidence,
    Gap,
    Model,
    Observation,
    Presence,
    Priority,
    Quality,
    Reason,
    Record,
    Scale,
    SourcePath,
    Span,
    SubjectClaim,
    Times,
    WaveformGroup,
)

SOURCE = SourcePath("cyton-01", ("ecg",))
TIMES = Times(
    gateway_ns=1_750_000_000_000_000_000,
    device_ns=4_070_908_800_000_000_000,  # 2099: kept as seen
    corrected_ns=1_749_999_999_990_000_000,
    uncertainty_ns=4_000_000,
    clock_segment=3,
)
CONTENT = b"MSH|^~\\&|ECG|WARD"
STRIP = WaveformGroup(
    source=SOURCE,
    leads=("MDC_ECG_ELEC_POTL_II", "MDC_ECG_ELEC_POTL_V1"),
    fs_hz=250.0,
    first_sample=-7,
    # Too short to compress, so that the bytes do not depend on the deflate library.
    samples=np.array([[-32768, 32767, 0, 5], [1, -1, 2, -2]], "<i2").tobytes(),
    dtype="<i2",
    scales=(Scale(0.02235, 0.0, "uV"), Scale(0.02235, -1.5, "uV")),
    times=TIMES,
    quality=(Quality.GOOD, Quality.LEAD_OFF),
)
ALARM = AlarmCondition(
    id=UUID("c0ffee00-1234-5678-9abc-def012345678"),
    source=SOURCE,
    code=V_FIB,
    priority=Priority.HIGH,
    kind=AlarmKind.PHYSIOLOGICAL,
    presence=Presence.LATCHED,
    onset_ns=1_749_999_990_000_000_000,
    detected_ns=1_749_999_995_000_000_000,
    times=TIMES,
    params=(("rate", 312.5), ("leads", -2), ("lead", "II"), ("paced", False)),
    evidence=Evidence("vf", "1", STRIP, (-7, 0, 12), 12, 0.75),
)
# What evidence holds since it explains itself; captures of its own, as those of version 1 are never rewritten.
EXPLAINED = replace(
    ALARM,
    evidence=Evidence(
        "lethal", "3", STRIP, (-7, 0, 12), 12, 0.75, "NV?",
        (Span("window", -7, 12, ("MDC_ECG_ELEC_POTL_II",)), Span("judged", -9, 12)),
        (Reason("base", 0.25), Reason("waves", 0.625, 5.25, "Hz"), Reason("rests", -0.125, 0.5)),
        (Model("lethal", "1", "b90f0611502c"),),
    ),
)  # fmt: skip
EXAMPLES: dict[str, Record] = {
    "observation": Observation(
        SOURCE,
        HEART_RATE,
        72.5,
        "/min",
        TIMES,
        "<",
        site="MDC_ARM_UPPER",
        averaging_ns=8_000_000_000,
        quality=Quality.NOISE,
    ),
    "observation-coded": Observation(SOURCE, "MDC_ECG_RHY", "MDC_ECG_RHY_NOS", "1", TIMES, coded=True),
    "observation-text": Observation(SOURCE, "WDL_NOTE", "电极已更换", "1", TIMES),
    "waveform": STRIP,
    "event": DeviceEvent(SOURCE, "WDL_EVT_FIRMWARE", TIMES, (("version", "3.1.2"),), "v3.1.2"),
    "alarm": ALARM,
    "gap": Gap(SOURCE, 1_749_999_980_000_000_000, 1_749_999_990_000_000_000, LINK_LOSS, True, TIMES, 1000, 3500),
    "subject": SubjectClaim(SOURCE, bytes(range(48)), "hub-2025", TIMES),
    "document": Document(SOURCE, hashlib.sha256(CONTENT).hexdigest(), "application/hl7-v2", CONTENT, TIMES),
}

_INT64 = st.integers(-(2**63), 2**63 - 1)
_UINT63 = st.integers(0, 2**63 - 1)
_FLOAT = st.floats(allow_nan=False, allow_infinity=False)
_CHARACTER = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
_TEXT = st.text(_CHARACTER, max_size=40)
_CODE = st.text(_CHARACTER, min_size=1, max_size=40)
_PART = st.text(st.characters(exclude_categories=("Cs", "Z", "Cc"), exclude_characters="/|"), min_size=1, max_size=12)
_SOURCE = st.builds(SourcePath, _PART, st.lists(_PART, max_size=3).map(tuple))
_TIMES = st.builds(Times, _INT64, st.none() | _INT64, st.none() | _INT64, _UINT63, st.integers(0, 2**32 - 1))
_PARAMS = st.lists(st.tuples(_CODE, _FLOAT | _INT64 | _TEXT | st.booleans()), max_size=5).map(tuple)
_QUALITY = st.sampled_from(Quality)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    kind = draw(st.sampled_from(["number", "text", "coded"]))
    return Observation(
        source=draw(_SOURCE),
        code=draw(_CODE),
        value=draw({"number": _FLOAT, "text": _TEXT, "coded": _CODE}[kind]),
        unit=draw(_CODE),
        times=draw(_TIMES),
        comparator=draw(st.sampled_from(["", "<", "<=", ">=", ">"])) if kind == "number" else "",
        coded=kind == "coded",
        site=draw(_TEXT),
        averaging_ns=draw(_UINT63),
        quality=draw(_QUALITY),
    )


@st.composite
def waveforms(draw: st.DrawFn) -> WaveformGroup:
    leads, n = draw(st.integers(1, 4)), draw(st.integers(1, 60))
    dtype = draw(st.sampled_from(["<i2", "<i4"]))
    fill = draw(st.binary(min_size=4, max_size=24))
    size = leads * n * int(dtype[2])
    gain = _FLOAT.filter(bool)
    return WaveformGroup(
        source=draw(_SOURCE),
        leads=tuple(draw(_CODE) for _ in range(leads)),
        fs_hz=draw(st.floats(0, 1e6, exclude_min=True, exclude_max=True)),
        first_sample=draw(st.integers(-(2**62), 2**62)),
        samples=(fill * math.ceil(size / len(fill)))[:size],
        dtype=dtype,
        scales=tuple(Scale(draw(gain), draw(_FLOAT), draw(_CODE)) for _ in range(leads)),
        times=draw(_TIMES),
        quality=tuple(draw(_QUALITY) for _ in range(leads)) if draw(st.booleans()) else (),
    )


@st.composite
def gaps(draw: st.DrawFn) -> Gap:
    from_ns, to_ns = sorted((draw(_INT64), draw(_INT64)))
    samples = tuple(sorted((draw(_INT64), draw(_INT64)))) if draw(st.booleans()) else (None, None)
    reason = draw(st.sampled_from(sorted(GAP_REASONS)))
    return Gap(draw(_SOURCE), from_ns, to_ns, reason, draw(st.booleans()), draw(_TIMES), samples[0], samples[1])


@st.composite
def documents(draw: st.DrawFn) -> Document:
    content = draw(st.binary(max_size=100))
    return Document(draw(_SOURCE), hashlib.sha256(content).hexdigest(), draw(_CODE), content, draw(_TIMES))


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    beats = draw(st.lists(_INT64, max_size=5).map(tuple))
    letters = st.text("NSVFQP?", min_size=len(beats), max_size=len(beats))
    return Evidence(
        draw(_CODE),
        draw(_CODE),
        draw(st.none() | waveforms()),
        beats,
        draw(st.none() | _INT64),
        draw(st.none() | st.floats(0, 1)),
        draw(letters | st.just("")),
        tuple(draw(st.lists(spans(), max_size=3))),
        tuple(draw(st.lists(st.builds(Reason, _CODE, _FLOAT, st.none() | _FLOAT, _CODE), max_size=3))),
        tuple(draw(st.lists(st.builds(Model, _CODE, _CODE, st.text("0123456789abcdef", max_size=64)), max_size=3))),
    )


@st.composite
def spans(draw: st.DrawFn) -> Span:
    first, last = sorted((draw(_INT64), draw(_INT64)))
    return Span(draw(_CODE), first, last, tuple(draw(st.lists(_CODE, max_size=2))))


def alarms() -> st.SearchStrategy[AlarmCondition]:
    return st.builds(
        AlarmCondition,
        id=st.uuids(),
        source=_SOURCE,
        code=_CODE,
        priority=st.sampled_from(Priority),
        kind=st.sampled_from(AlarmKind),
        presence=st.sampled_from(Presence),
        onset_ns=_INT64,
        detected_ns=_INT64,
        times=_TIMES,
        params=_PARAMS,
        evidence=st.none() | evidences(),
    )


def records() -> st.SearchStrategy[Record]:
    return st.one_of(
        observations(),
        waveforms(),
        st.builds(DeviceEvent, _SOURCE, _CODE, _TIMES, _PARAMS, _TEXT),
        alarms(),
        gaps(),
        st.builds(SubjectClaim, _SOURCE, st.binary(min_size=1, max_size=64), _CODE, _TIMES),
        documents(),
    )
