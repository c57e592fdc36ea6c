"""An ECG cart that leaves HL7 aECG files in a folder: writes a WFDB record as such a file, without the reader.

Follows the implementation guide of HL7 V3 aECG (PORT_MT020001). `python -m firmware_adapters.simulate.aecg RECORD FOLDER`.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from protocols.ecgfile.wfdb import Annotation, read_annotations, read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

MICROVOLT_PER_DIGIT = 2.5  # what carts use
_MDC = 'codeSystem="2.16.840.1.113883.6.24" codeSystemName="MDC"'
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" type="Observation">\n'
)


@dataclass(frozen=True, slots=True)
class Cart:
    """Who recorded."""

    maker: str = "Simulated carts"
    model: str = "Cart 12"
    serial: str = "SIM-0001"
    software: str = "1.0"


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded. `microvolt`: shape (leads, n). `measured`: MDC code to (value, unit of the file)."""

    microvolt: "NDArray[np.float64]"
    leads: Sequence[str]
    fs_hz: float
    begin: datetime
    subject: str
    measured: Mapping[str, tuple[float, str]]
    statements: Sequence[str] = ()


def file_of(recording: Recording, cart: Cart | None = None) -> bytes:
    """The file, UTF-8. ValueError: leads and samples do not fit together, or the begin has no offset from UTC."""
    microvolt = recording.microvolt
    if microvolt.ndim != 2 or microvolt.shape[0] != len(recording.leads) or recording.begin.tzinfo is None:
        msg = f"{len(recording.leads)} leads, samples of shape {microvolt.shape}, begin {recording.begin}"
        raise ValueError(msg)
    cart = cart or Cart()
    end = recording.begin + timedelta(seconds=microvolt.shape[1] / recording.fs_hz)
    identity = uuid5(NAMESPACE_URL, f"{cart.serial}|{recording.subject}|{recording.begin.isoformat()}")
    time = f"<effectiveTime><low value={_ts(recording.begin)}/><high value={_ts(end)}/></effectiveTime>"
    parts = [
        _HEAD,
        f'<id root="{identity}"/><code code="93000" codeSystem="2.16.840.1.113883.6.12"/>{time}\n',
        "<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>",
        f'<id root="2.25.1" extension={quoteattr(recording.subject)}/>',
        "</trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>\n",
        f'<component><series><id root="{identity}"/><code code="RHYTHM" codeSystem="2.16.840.1.113883.5.4"/>{time}\n',
        f"<author><seriesAuthor><manufacturedSeriesDevice><id extension={quoteattr(cart.serial)}/>",
        f"<manufacturerModelName>{escape(cart.model)}</manufacturerModelName>",
        f"<softwareName>{escape(cart.software)}</softwareName></manufacturedSeriesDevice>",
        f"<manufacturerOrganization><name>{escape(cart.maker)}</name></manufacturerOrganization></seriesAuthor></author>\n",
        '<component><sequenceSet>\n<component><sequence><code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4"/>',
        f'<value xsi:type="GLIST_TS"><head value={_ts(recording.begin)}/>',
        f'<increment value="{1 / recording.fs_hz:.9g}" unit="s"/></value></sequence></component>\n',
        *(_lead(name, row) for name, row in zip(recording.leads, microvolt, strict=True)),
        "</sequenceSet></component>\n",
        f"<subjectOf><annotationSet><activityTime value={_ts(end)}/>\n",
        *(_quantity(code, value, unit) for code, (value, unit) in recording.measured.items()),
        *_interpretation(recording.statements),
        "</annotationSet></subjectOf>\n</series></component>\n</AnnotatedECG>\n",
    ]
    return "".join(parts).encode()


def _ts(moment: datetime) -> str:
    return f'"{moment:%Y%m%d%H%M%S}.{moment.microsecond // 1000:03d}{moment:%z}"'


def _lead(name: str, microvolt: "NDArray[np.float64]") -> str:
    digits = " ".join(str(round(float(v) / MICROVOLT_PER_DIGIT)) for v in microvolt)
    return (
        f'<component><sequence><code code="MDC_ECG_LEAD_{name.upper()}" {_MDC}/><value xsi:type="SLIST_PQ">'
        f'<origin value="0" unit="uV"/><scale value="{MICROVOLT_PER_DIGIT}" unit="uV"/><digits>{digits}</digits>'
        "</value></sequence></component>\n"
    )


def _quantity(code: str, value: float, unit: str) -> str:
    return (
        f'<component><annotation><code code="{code}" {_MDC}/><value xsi:type="PQ" value="{value:g}" unit={quoteattr(unit)}/>'
        "</annotation></component>\n"
    )


def _interpretation(statements: Sequence[str]) -> list[str]:
    if not statements:
        return []
    inner = "".join(
        f'<component><annotation><code code="MDC_ECG_INTERPRETATION_STATEMENT" {_MDC}/>'
        f'<value xsi:type="ST">{escape(words)}</value></annotation></component>'
        for words in statements
    )
    return [f'<component><annotation><code code="MDC_ECG_INTERPRETATION" {_MDC}/>{inner}</annotation></component>\n']


def measure(annotations: Sequence[Annotation], fs_hz: float) -> dict[str, tuple[float, str]]:
    """Heart rate and intervals from a record's marks `(`, peak `p`, `N` or `t`, `)`: medians over the beats."""
    waves = [
        (peak.symbol, on.sample, peak.sample, off.sample)
        for on, peak, off in zip(annotations, annotations[1:], annotations[2:], strict=False)
        if on.symbol == "(" and off.symbol == ")" and peak.symbol in "pNt"
    ]
    peaks = [peak for kind, _, peak, _ in waves if kind == "N"]
    found: dict[str, list[float]] = {
        "MDC_ECG_TIME_PD_PR": [], "MDC_ECG_TIME_PD_QRS": [], "MDC_ECG_TIME_PD_QT": []
    }  # fmt: skip
    for (kind, on, _, off), (following, next_on, _, next_off) in pairwise(waves):
        if (kind, following) == ("p", "N"):
            found["MDC_ECG_TIME_PD_PR"].append((next_on - on) / fs_hz * 1e3)
        if kind == "N":
            found["MDC_ECG_TIME_PD_QRS"].append((off - on) / fs_hz * 1e3)
        if (kind, following) == ("N", "t"):
            found["MDC_ECG_TIME_PD_QT"].append((next_off - on) / fs_hz * 1e3)
    measured = {code: (float(round(median(values))), "ms") for code, values in found.items() if values}
    if len(peaks) > 1:
        rate = 60 * fs_hz / median(b - a for a, b in pairwise(peaks))
        measured["MDC_ECG_HEART_RATE"] = (float(round(rate)), "bpm")
    return measured


def recording_of(path: Path, begin: datetime, *, subject: str = "SIM-SUBJECT-1") -> Recording:
    """A WFDB record with leads in mV; measurements where the record has marks for lead II."""
    record = read_record(path)
    marks = read_annotations(path, "ii") if path.with_suffix(".ii").is_file() else ()
    return Recording(
        np.nan_to_num(record.physical()) * 1e3,
        [s.description for s in record.header.signals],
        record.fs_hz,
        begin,
        subject,
        measure(marks, record.fs_hz),
    )


def deliver(content: bytes, folder: Path, name: str) -> Path:
    """Put a file into a watched folder as carts should: under another name first, so that no half of it is seen."""
    part, place = folder / f".{name}.part", folder / name
    part.write_bytes(content)
    return part.replace(place)


def main() -> int:
    """Write one file."""
    parser = argparse.ArgumentParser(prog="python -m firmware_adapters.simulate.aecg", description=__doc__)
    parser.add_argument("record", type=Path, help="WFDB record, without its extension")
    parser.add_argument("folder", type=Path, help="where the file is left")
    parser.add_argument(
        "--begin", type=datetime.fromisoformat, default=None, help="begin with offset; now unless given"
    )
    parser.add_argument("--subject", default="SIM-SUBJECT-1", help="what the file says whom it measures")
    given = parser.parse_args()
    recording = recording_of(given.record, given.begin or datetime.now(UTC), subject=given.subject)
    deliver(file_of(recording), given.folder, f"{given.record.name}-{recording.begin:%Y%m%dT%H%M%S}.xml")
    return 0


if __name__ == "__main__":
    sys.exit(main())
