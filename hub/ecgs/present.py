"""An ECG as JSON (docs/reference/http-api.md): codes and steps; words belong to the page."""

from typing import TYPE_CHECKING, TypeAlias

from hub.alarms.store import to_us
from hub.ecgs.domain import Ecg, EcgRef

if TYPE_CHECKING:
    from models.signal.resting import Reading

Json: TypeAlias = dict[str, object]


def ref_json(ref: EcgRef) -> Json:
    """One line of a list."""
    return {"id": ref.document_id, "at_ms": to_us(ref.at) // 1000, "device": ref.device}


def _reading_json(reading: "Reading") -> Json:
    def ms(value: float | None) -> int | None:
        return None if value is None else round(value)

    swap = reading.swap
    return {
        "beats": reading.beats,
        "rate_per_min": None if reading.rate_per_min is None else round(reading.rate_per_min),
        "p_ms": ms(reading.p_ms),
        "pr_ms": ms(reading.pr_ms),
        "qrs_ms": ms(reading.qrs_ms),
        "qt_ms": ms(reading.qt_ms),
        "qtc_bazett_ms": ms(reading.qtc_bazett_ms),
        "qtc_fridericia_ms": ms(reading.qtc_fridericia_ms),
        "st_mv": {name: round(level, 2) for name, level in reading.st_mv.items()},
        "swap": None
        if swap is None
        else {
            "which": swap.swap.value,
            "probability": round(swap.probability, 2),
            "sure": swap.sure,
            "doubts": [doubt.value for doubt in swap.doubts],
        },
    }


def ecg_json(ecg: Ecg) -> Json:
    """Everything that the 12-lead view draws."""
    who, recording = ecg.who, ecg.recording
    return {
        **ref_json(ecg.ref),
        "ward": {"id": ecg.point.ward.slug, "name": ecg.point.ward.name},
        "bed": ecg.point.bed,
        "who": None if who is None else {"masked_name": who.masked_name, "age": who.age, "sex": who.sex},
        "cart": dict(recording.cart),
        "fs_hz": recording.fs_hz,
        "leads": [
            {"code": t.code, "short": t.short, "uv_per_lsb": t.uv_per_lsb, "samples": t.samples.tolist()}
            for t in recording.traces
        ],
        "measurements": [{"code": m.code, "value": m.value, "unit": m.unit} for m in recording.measurements],
        "statements": [{"kind": kind, "text": text} for kind, text in recording.statements],
        "critical": [
            {
                "code": one.code,
                "value": one.value,
                "unit": one.unit,
                "level": one.level.value,
                "bound": one.bound,
                "side": "high" if one.is_high else "low",
                "item": one.item,
                "table": one.table,
            }
            for one in ecg.critical
        ],
        "reading": None if ecg.reading is None else _reading_json(ecg.reading),
        "others": [ref_json(ref) for ref in ecg.others],
    }
