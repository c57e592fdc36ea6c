"""Figure `screen-cost`: CPU of the whole screening for one lead, per second of signal."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np

from models.evaluation.played import groups
from models.screening import chain
from tests.figures import corpus
from tests.figures.entry import Entry, Figure

SIGNAL_S = 300.0
RUNS = 5


def measure(recordings: Path) -> Sequence[Entry]:
    """Five minutes of record 100's first lead in groups of 100 ms, as the Cyton gives them; median of five runs."""
    record, _ = corpus.load(recordings, "mitdb/100")
    one = replace(
        record,
        header=replace(record.header, signals=record.header.signals[:1]),
        raw=np.ascontiguousarray(record.raw[:1]),
    )
    played = list(groups(one, 0, SIGNAL_S, 0.1))
    costs: list[float] = []
    for _ in range(RUNS + 1):
        state = chain.begin()
        start = process_time()
        for group in played:
            state, _ = chain.step(state, group)
        costs.append((process_time() - start) / SIGNAL_S * 1000)
    return [
        Entry(
            id="screen-cost", group="signal", value=round(median(costs[1:]), 3), unit="ms CPU a second of one lead",
            gate=2, goal=0.3, reference="", higher_is_better=False, n=RUNS, interval=(min(costs[1:]), max(costs[1:])),
        )
    ]  # fmt: skip


FIGURES = (Figure("screen-cost", "signal", measure, ("mitdb",), cached=False, yields=("screen-cost",)),)
