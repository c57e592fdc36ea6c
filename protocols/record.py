"""The seven records into which every device's bytes are turned at the door; all that is downstream knows only these.

Names follow ISO/IEEE 11073-10101 (codes), UCUM (units) and IEC 60601-1-8 (alarms). Records are frozen and hold no objects
of other libraries; samples are bytes with a dtype. Times are integers: nanoseconds since 1970-01-01 UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID, uuid5

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NS_PER_S = 1_000_000_000

# The namespace of every alarm id: uuid5(ALARM_NAMESPACE, "source|code|onset_ns"). It may never change.
ALARM_NAMESPACE = UUID("6f2d0c1e-6a53-5b0e-9d0f-3c1f0b6b7a11")

# First part below the device of everything that was handed over as a whole, after it had been measured: an ECG cart's file. It is a
# document with a time: nothing of it is live, no link is lost when no more comes, and no alarm is raised by it (decision 0093).
RECORDED = "recorded"

# Normal, supraventricular, ventricular, fusion, unclassifiable (ANSI/AAMI EC57, 4.2.1), paced, not known.
BEAT_CLASSES = "NSVFQP?"

Params: TypeAlias = tuple[tuple[str, float | int | str | bool], ...]


class Quality(StrEnum):
    """How far a reading or a lead may be used."""

    GOOD = "good"
    QUESTIONABLE = "questionable"
    LEAD_OFF = "lead_off"
    FLAT = "flat"
    SATURATED = "saturated"
    NOISE = "noise"
    UNUSABLE = "unusable"


class Priority(StrEnum):
    """IEC 60601-1-8 clause 6.1.2."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class AlarmKind(StrEnum):
    """IEC 60601-1-8 clause 3: physiological (the patient) or technical (the equipment)."""

    PHYSIOLOGICAL = "physiological"
    TECHNICAL = "technical"


class Presence(StrEnum):
    """Whether the condition is there. The edge owns this; the signal (acknowledged, paused) is the hub's.

    `LATCHED`: the condition has gone, the signal stays until somebody has seen it.
    """

    PRESENT = "present"
    LATCHED = "latched"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, order=True)
class SourcePath:
    """Where a reading comes from: the device, then MDS, VMD and channel as far as the device knows them.

    Two temperature probes of one monitor are two sources. Text form: `device/part/part`.
    """

    device: str
    path: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse parts that would make the text form ambiguous."""
        for part in (self.device, *self.path):
            if part.split() != [part] or "/" in part or "|" in part:
                msg = f"source path part {part!r}: expected text without '/', '|' and white space"
                raise ValueError(msg)

    def __str__(self) -> str:
        """`device/part/part`."""
        return "/".join((self.device, *self.path))

    @property
    def is_recorded(self) -> bool:
        """Whether what comes from here was recorded before and handed over as a whole."""
        return self.path[:1] == (RECORDED,)

    @classmethod
    def parse(cls, text: str) -> "SourcePath":
        """Read the text form; ValueError when a part is empty or holds white space."""
        device, *path = text.split("/")
        return cls(device, tuple(path))


@dataclass(frozen=True, slots=True)
class Times:
    """Two clocks kept as seen, and what is made of them.

    `device_ns`: the device's own wall clock, or None. `gateway_ns`: the gateway's disciplined clock at arrival.
    `corrected_ns`: derived by `models.screening.align` from the device's clock model, with its uncertainty; it can be
    derived again. `clock_segment` numbers the stretch of that device's clock without a step (0: not yet aligned).
    """

    gateway_ns: int
    device_ns: int | None = None
    corrected_ns: int | None = None
    uncertainty_ns: int = 0
    clock_segment: int = 0

    @property
    def best_ns(self) -> int:
        """The corrected time, else the gateway's."""
        return self.gateway_ns if self.corrected_ns is None else self.corrected_ns


@dataclass(frozen=True, slots=True)
class Scale:
    """`physical = raw * gain + offset`, in `unit` (UCUM)."""

    gain: float
    offset: float
    unit: str


@dataclass(frozen=True, slots=True)
class Observation:
    """One reading: a number with a comparator, a code, or a text."""

    source: SourcePath
    code: str  # MDC reference id, as in protocols.nomenclature
    value: float | str
    unit: str  # UCUM; "1" for dimensionless and for coded values
    times: Times
    comparator: str = ""  # "", "<", "<=", ">=", ">" as in FHIR Quantity
    coded: bool = False  # a str value is an MDC code rather than free text
    site: str = ""
    averaging_ns: int = 0
    quality: Quality = Quality.GOOD


@dataclass(frozen=True, slots=True)
class WaveformGroup:
    """Simultaneous samples of one or more leads.

    `samples`: little-endian, C order, shape (leads, n), in raw units; `scales` turns them into physical ones.
    `first_sample` is the running number of the first sample of this source (it counts what the device measured, so that a
    lost packet leaves a hole in the numbers). `times` belong to the first sample.
    """

    source: SourcePath
    leads: tuple[str, ...]  # MDC reference ids
    fs_hz: float
    first_sample: int
    samples: bytes
    dtype: str  # "<i2" or "<i4"
    scales: tuple[Scale, ...]
    times: Times
    quality: tuple[Quality, ...] = ()  # a value per lead; empty: not yet assessed

    def __post_init__(self) -> None:
        """Check that the shape is one that the bytes can have."""
        if self.dtype not in ("<i2", "<i4"):
            msg = f"dtype {self.dtype!r}: expected '<i2' or '<i4'"
            raise ValueError(msg)
        if (
            not self.leads
            or len(self.scales) != len(self.leads)
            or (self.quality and len(self.quality) != len(self.leads))
        ):
            msg = f"{len(self.leads)} leads with {len(self.scales)} scales and {len(self.quality)} qualities"
            raise ValueError(msg)
        if not 0 < self.fs_hz < 1e6:
            msg = f"fs_hz {self.fs_hz}: expected more than 0 and less than 1e6"
            raise ValueError(msg)
        if len(self.samples) % (len(self.leads) * int(self.dtype[2])):
            msg = f"{len(self.samples)} bytes do not divide into {len(self.leads)} leads of {self.dtype}"
            raise ValueError(msg)

    def timed(self, times: Times) -> "WaveformGroup":
        """The same samples with other times. Not by `replace`, which takes four times as long: every group is timed and marked."""
        return WaveformGroup(
            self.source,
            self.leads,
            self.fs_hz,
            self.first_sample,
            self.samples,
            self.dtype,
            self.scales,
            times,
            self.quality,
        )

    def marked(self, quality: tuple[Quality, ...]) -> "WaveformGroup":
        """The same samples with a quality for each lead."""
        return WaveformGroup(
            self.source,
            self.leads,
            self.fs_hz,
            self.first_sample,
            self.samples,
            self.dtype,
            self.scales,
            self.times,
            quality,
        )

    @property
    def n(self) -> int:
        """Samples per lead."""
        return len(self.samples) // (len(self.leads) * int(self.dtype[2]))

    @property
    def end_sample(self) -> int:
        """Running number behind the last sample."""
        return self.first_sample + self.n

    def array(self) -> "NDArray[np.int16] | NDArray[np.int32]":
        """Raw samples, shape (leads, n), read-only."""
        return np.frombuffer(self.samples, dtype=self.dtype).reshape(len(self.leads), -1)

    def physical(self) -> "NDArray[np.float64]":
        """Samples in the unit of each lead's scale, shape (leads, n)."""
        gain = np.array([s.gain for s in self.scales])[:, None]
        offset = np.array([s.offset for s in self.scales])[:, None]
        return self.array().astype(np.float64) * gain + offset

    def time_of(self, sample: int) -> int:
        """Best time of a running sample number, in nanoseconds."""
        return self.times.best_ns + round((sample - self.first_sample) / self.fs_hz * NS_PER_S)


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """Something a device, or the link to it, reports: connected, lead off, battery low, clock wrong, firmware ..."""

    source: SourcePath
    code: str  # MDC event code or one of protocols.nomenclature's own ("WDL_...")
    times: Times
    params: Params = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A learned table that took part in a judgement. `sha256`: the first hexadecimal digits of its hash."""

    name: str
    version: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of samples that was judged, `to_sample` exclusive, and on which leads (MDC); none named: on all of them.

    `kind`: `window`, `judged`, `pause` or `intervals` (docs/reference/http-api.md).
    """

    kind: str
    from_sample: int
    to_sample: int
    leads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """What was seen in a signal (a code), what it added to the model's score, and the value that was read off, in `unit` (UCUM).

    The weights of all reasons, `base` among them, add up to the score.
    """

    code: str
    weight: float
    value: float | None = None
    unit: str = "1"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What decided an alarm: a copy of the samples, the beats in them, and the rule or models with their versions.

    `confidence`: the probability that the finding is right; None of a fixed rule, which has none. `classes`: a letter of BEAT_CLASSES
    for each beat, or empty where beats are not classified. `spans`: that which weighed most first.
    """

    rule: str
    rule_version: str
    strip: WaveformGroup | None = None
    beats: tuple[int, ...] = ()  # running sample numbers
    deciding_sample: int | None = None
    confidence: float | None = None
    classes: str = ""
    spans: tuple[Span, ...] = ()
    reasons: tuple[Reason, ...] = ()
    models: tuple[Model, ...] = ()

    def __post_init__(self) -> None:
        """Check that each beat has its class, or none has."""
        if self.classes and len(self.classes) != len(self.beats):
            msg = f"{len(self.classes)} classes of {len(self.beats)} beats"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody has seen an alarm at the gateway's own page. `ticket` says who, in the hub's own signature (protocols.ticket)."""

    at_ns: int
    ticket: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AlarmCondition:
    """One change of an alarm condition's life at the edge; the same `id` from onset to end."""

    id: UUID
    source: SourcePath
    code: str
    priority: Priority
    kind: AlarmKind
    presence: Presence
    onset_ns: int  # when the condition began, in corrected time
    detected_ns: int  # when this change was decided, in corrected time
    times: Times
    params: Params = ()
    evidence: Evidence | None = None
    acknowledged: Acknowledgement | None = None  # this record tells of it; later changes need not


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of a stream that is missing, so that nothing is lost silently. `to_*` are exclusive."""

    source: SourcePath
    from_ns: int
    to_ns: int
    reason: str  # one of protocols.nomenclature.GAP_REASONS
    recoverable: bool
    times: Times
    from_sample: int | None = None
    to_sample: int | None = None


@dataclass(frozen=True, slots=True)
class SubjectClaim:
    """Whom a device or file says it measures. Sealed for the hub; never used unchecked."""

    source: SourcePath
    sealed: bytes
    key_id: str
    times: Times


@dataclass(frozen=True, slots=True)
class Document:
    """An original file as it came."""

    source: SourcePath
    sha256: str
    media_type: str
    content: bytes = field(repr=False)
    times: Times


Record: TypeAlias = Observation | WaveformGroup | DeviceEvent | AlarmCondition | Gap | SubjectClaim | Document


def is_recorded(source: str) -> bool:
    """The same of a source path's text form, for code that reads thousands of them."""
    return f"{source}/".partition("/")[2].startswith(f"{RECORDED}/")


def alarm_id(source: SourcePath, code: str, onset_ns: int) -> UUID:
    """The id that an alarm keeps on every hop: the same condition found twice gets the same id."""
    return uuid5(ALARM_NAMESPACE, f"{source}|{code}|{onset_ns}")


def concatenate(groups: Sequence[WaveformGroup]) -> WaveformGroup:
    """Join groups of one source whose sample numbers follow each other; ValueError when they do not."""
    first = groups[0]
    expected = first.first_sample
    for group in groups:
        same = (group.source, group.leads, group.fs_hz, group.dtype, group.scales)
        if (
            same != (first.source, first.leads, first.fs_hz, first.dtype, first.scales)
            or group.first_sample != expected
        ):
            msg = f"group at sample {group.first_sample} of {group.source} does not follow sample {expected} of {first.source}"
            raise ValueError(msg)
        expected = group.end_sample
    joined = np.concatenate([g.array() for g in groups], axis=1)
    return WaveformGroup(
        source=first.source,
        leads=first.leads,
        fs_hz=first.fs_hz,
        first_sample=first.first_sample,
        samples=np.ascontiguousarray(joined).tobytes(),
        dtype=first.dtype,
        scales=first.scales,
        times=first.times,
        quality=first.quality,
    )
