"""What a batch is by its gateway's own numbers: live, overtaken, of a backlog, or from before the clock was set back."""

import random

from hub.core.live import LiveKind, LiveMessage
from hub.ingest.arrivals import Arrivals, Came
from hub.ingest.rows import Rows
from protocols.link import Lane

S = 1_000_000_000
HOUR = 3600 * S
EPOCH, OTHER = bytes(16), bytes(15) + b"1"


def took(arrivals: Arrivals, n: int, closed_s: float, epoch: bytes = EPOCH, lane: Lane = Lane.NUMERIC) -> Came:
    return arrivals.took(1, epoch, lane, n, round(closed_s * S))


def test_a_backlog_is_not_live_and_what_was_overtaken_a_moment_ago_is():
    arrivals = Arrivals()
    assert took(arrivals, 100, 1000.0) == Came(is_live=True, clock=0)
    assert took(arrivals, 1, 100.0) == Came(is_live=False, clock=0)
    assert took(arrivals, 99, 999.75).is_live
    assert took(arrivals, 101, 1000.25).is_live


def test_batches_behind_a_step_back_are_live_and_those_from_before_it_are_told_apart():
    arrivals = Arrivals(begin=7)
    took(arrivals, 100, 4600.0)
    behind = took(arrivals, 102, 1000.5)
    assert behind == Came(is_live=True, clock=8)
    assert took(arrivals, 101, 4600.25) == Came(is_live=False, clock=None)
    assert took(arrivals, 103, 1000.75) == behind
    assert took(arrivals, 104, 4604.0) == behind, "ahead again: later times hide nothing by themselves"
    assert took(arrivals, 105, 1001.25).clock == 9
    assert took(arrivals, 1, 100.0, lane=Lane.WAVEFORM) == Came(is_live=True, clock=0), "each lane by itself"


def test_a_new_spool_counts_from_one_and_is_live():
    arrivals = Arrivals()
    took(arrivals, 100, 1000.0)
    assert took(arrivals, 1, 1001.0, OTHER) == Came(is_live=True, clock=0)
    assert took(arrivals, 2, 1001.25, OTHER).is_live


def test_however_live_batches_overtake_each_other_no_step_is_seen_where_there_is_none(seed: random.Random):
    arrivals = Arrivals()
    waiting = list(range(1, 400))
    while waiting:
        n = waiting.pop(seed.randrange(min(8, len(waiting))))
        assert took(arrivals, n, n / 4 + seed.uniform(0, 0.2)).clock == 0


def test_a_recording_from_before_a_step_back_is_told_to_pages_and_what_was_measured_then_is_not():
    kinds = (LiveKind.WAVEFORM, LiveKind.DOCUMENT, LiveKind.NUMERIC, LiveKind.GAP, LiveKind.EVENT)
    rows = Rows(live=[LiveMessage(kind, 1, b"cart-1") for kind in kinds])
    rows.set_clock(None)
    assert [message.kind for message in rows.live] == [LiveKind.DOCUMENT, LiveKind.EVENT]
