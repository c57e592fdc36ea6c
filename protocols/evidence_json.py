"""The evidence of an alarm as the pages and the API have it (docs/reference/http-api.md): the same form from the hub and from a gateway."""

from protocols.microvolt import displayed
from protocols.nomenclature import TERMS
from protocols.record import Evidence, Span, WaveformGroup


def evidence_json(evidence: Evidence) -> dict[str, object]:
    """Codes, numbers and times; no text, which belongs to the page."""
    strip = evidence.strip
    return {
        "rule": evidence.rule,
        "rule_version": evidence.rule_version,
        "models": [{"name": m.name, "version": m.version, "sha256": m.sha256} for m in evidence.models],
        "confidence": evidence.confidence,
        "deciding_sample": evidence.deciding_sample,
        "beats": list(evidence.beats),
        "beat_classes": list(evidence.classes or "?" * len(evidence.beats)),
        "spans": [_span(span, strip) for span in evidence.spans],
        "reasons": [
            {"code": r.code, "weight": r.weight, "value": r.value, "unit": r.unit} for r in evidence.reasons
        ],
        "strip": None if strip is None else _strip(strip),
    }  # fmt: skip


def _span(span: Span, strip: WaveformGroup | None) -> dict[str, object]:
    from_ms, to_ms = (
        None if strip is None else strip.time_of(sample) // 1_000_000 for sample in (span.from_sample, span.to_sample)
    )
    return {
        "kind": span.kind,
        "from_sample": span.from_sample,
        "to_sample": span.to_sample,
        "from_ms": from_ms,
        "to_ms": to_ms,
        "leads": list(span.leads),
    }


def _strip(group: WaveformGroup) -> dict[str, object]:
    samples, steps = displayed(group)
    return {
        "leads": [
            {"code": code, "short": _short(code), "uv_per_lsb": step, "samples": line.tolist()}
            for code, step, line in zip(group.leads, steps, samples, strict=True)
        ],
        "fs_hz": group.fs_hz,
        "first_sample": group.first_sample,
        "t0_ms": group.times.best_ns / 1e6,
    }


def _short(code: str) -> str:
    term = TERMS.get(code)
    return term.short or term.en if term else code
