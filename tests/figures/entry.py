"""What a figure is and what it yields. To add one: a module with `FIGURES`, named in catalogue.py, and a card in docs/reference/figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One measured number, in the schema of build/figures.json."""

    id: str
    group: str
    value: float
    unit: str
    gate: float | None
    goal: float | None
    reference: str
    higher_is_better: bool
    n: int
    interval: tuple[float, float] | None = None
    note: str = ""
    details: dict[str, object] = field(default_factory=dict)

    @property
    def passes(self) -> bool:
        """Whether the gate is met; a number without a gate passes."""
        return self.gate is None or (self.value >= self.gate if self.higher_is_better else self.value <= self.gate)

    @property
    def reaches(self) -> bool:
        """Whether the goal is met; with a note it was not run in full and is not."""
        return (
            not self.note
            and self.goal is not None
            and (self.value >= self.goal if self.higher_is_better else self.value <= self.goal)
        )


@dataclass(frozen=True)
class Figure:
    """One run that yields entries. `data`: folders under the recordings that it reads; `cached`: not for speeds."""

    id: str
    group: str
    measure: Callable[[Path], Sequence[Entry]]
    data: tuple[str, ...] = ()
    code: tuple[str, ...] = ("models", "protocols", "tests/figures")
    cached: bool = True
    yields: tuple[str, ...] = ()
    long: Callable[[Path], Sequence[Entry]] | None = None
