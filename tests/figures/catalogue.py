"""Every figure that the harness knows. Add a module's `FIGURES` here."""

from tests.figures import (
    alarm_path,
    calibration,
    classes,
    clock,
    cost,
    delineate,
    drain,
    ec57,
    edge_rate,
    fibrillation,
    growth,
    heart,
    hub_bytes,
    hub_rows,
    hub_two,
    icu,
    lethal,
    memory,
    meter,
    noise_stress,
    patterns,
    query,
    reversal,
    robustness,
    speed,
    spool,
    vitals,
    wall,
    waveform_codec,
)
from tests.figures.entry import Figure

FIGURES: tuple[Figure, ...] = (
    *heart.FIGURES,
    *noise_stress.FIGURES,
    *classes.FIGURES,
    *ec57.FIGURES,
    *patterns.FIGURES,
    *lethal.FIGURES,
    *vitals.FIGURES,
    *icu.FIGURES,
    *calibration.FIGURES,
    *delineate.FIGURES,
    *reversal.FIGURES,
    *robustness.FIGURES,
    *fibrillation.FIGURES,
    *meter.FIGURES,
    *cost.FIGURES,
    *speed.FIGURES,
    *waveform_codec.FIGURES,
    *clock.FIGURES,
    *hub_rows.FIGURES,
    *hub_two.FIGURES,
    *query.FIGURES,
    *hub_bytes.FIGURES,
    *drain.FIGURES,
    *growth.FIGURES,
    *alarm_path.FIGURES,
    *memory.FIGURES,
    *spool.FIGURES,
    *edge_rate.FIGURES,
    *wall.FIGURES,
)


def chosen(only: str) -> list[Figure]:
    """Figures by group, id or one of their entries, comma-separated; all when empty."""
    names = {name.strip() for name in only.split(",") if name.strip()}
    found = [f for f in FIGURES if not names or names & {f.id, f.group, *f.yields}]
    unknown = names - {n for f in FIGURES for n in (f.id, f.group, *f.yields)}
    if unknown:
        msg = f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(f.id for f in FIGURES)}"
        raise SystemExit(msg)
    return found
