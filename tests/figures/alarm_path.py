"""Figures `alarm-path-p50` and `alarm-path-p99`: from a deciding sample at the edge to the frame after paint in a nurse's browser.

Everything is real but the amplifier, which plays a normal ECG whose leads fail in turn. The times are those that the product stores;
the page's is put right by what its estimate of the hub's clock was off by, which can be known as all runs on one machine.
"""

import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
from playwright.sync_api import Page, sync_playwright

from protocols import device_package_pb2 as wire
from protocols.ecgfile.wfdb import read_record
from tests.figures.entry import Entry, Figure
from wardlink.demo.one_bed import OneBed, Recording
from wardlink.local.debs import find_or_unpack_chromium
from wardlink.local.places import default_places

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

EXCERPT = Path(__file__).parents[1] / "captures" / "mitdb-100-normal"
SETTLE_S = 22.0  # two windows of the gateway's clock line (10 s), before which its times are good to 50 ms only
EVERY_S = 5.6  # no multiple of the 0.5 s at which the screening decides
SATURATED_S = (0.0, 2.8)  # of each period: one second to be seen, one of delay, and up to half a second to the next hop
FLAT_S = (2.4, 5.0)
SHORT_PERIODS, LONG_PERIODS = (
    28,
    640,
)  # 56 alarms in three minutes; 1,280, of which the thirteenth longest is P99, in an hour
RAIL = 32000  # the highest of the 16-bit file: 155 mV at the excerpt's gain
PASSWORD = "A-long-password-of-1-figure"
HOPS = ("deciding sample", "sent", "stored", "shown")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_READY_S = 30.0
_LAST_PAINT_S = 4.0
# What the page's estimate of the hub's clock is off by, at each confirmation: here both are the clock of this machine.
_WATCH_CLOCK = """
    window.clockErrors = {};
    const plain = window.fetch;
    window.fetch = (url, options) => {
      const told = /^.api.v1.alarms.([^/]+).shown$/.exec(String(url));
      if (told && options) window.clockErrors[told[1]] ??= JSON.parse(options.body).painted_ms - Date.now();
      return plain(url, options);
    };"""
_GROUP = """
    select w.start + w.gateway_offset_ms * interval '1 ms', w.first_sample, s.fs_hz
      from alarm a
      join stream s using (source_id)
      join waveform w using (stream_id)
     where a.alarm_id = %(alarm)s and w.first_sample <= %(sample)s and w.first_sample + w.n > %(sample)s"""
_HOPS = "select alarm_id, kind, min(at) from alarm_event where kind in ('sent', 'stored', 'shown') group by 1, 2"


@dataclass(frozen=True, slots=True)
class Way:
    """One alarm's moments, seconds since 1970, as stored; `page_clock_error_s` is what the page's clock was ahead by."""

    code: str
    arrived_s: float
    sent_s: float
    stored_s: float
    shown_s: float
    detected_s: float
    page_clock_error_s: float = 0.0

    @property
    def moments(self) -> tuple[float, ...]:
        """In the order of `HOPS`, by one clock."""
        return self.arrived_s, self.sent_s, self.stored_s, self.shown_s - self.page_clock_error_s

    @property
    def total_s(self) -> float:
        """The whole way."""
        return self.moments[-1] - self.moments[0]


def percentile(values: Iterable[float], share: float) -> float:
    """The least value that `share` of all do not exceed (nearest rank); with fewer than 1 / (1 - share) values the largest."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def arrival_s(group_s: float, first_sample: int, fs_hz: float, sample: int) -> float:
    """Arrival of a sample whose group's first sample came at `group_s`: the samples of a group come at the device's rate."""
    return group_s + (sample - first_sample) / fs_hz


def failing(raw: "NDArray[np.int32]", fs_hz: float, periods: int) -> "NDArray[np.int32]":
    """The two leads (2, n), repeated as often as needed; in each period lead 0 is at the rail, then lead 1 stands still."""
    n = round((SETTLE_S + periods * EVERY_S) * fs_hz)
    out = np.tile(raw, -(-n // raw.shape[1]))[:, :n].copy()
    for period in range(periods):
        begin_s = SETTLE_S + period * EVERY_S
        for lead, (from_s, to_s) in enumerate((SATURATED_S, FLAT_S)):
            first, last = round((begin_s + from_s) * fs_hz), round((begin_s + to_s) * fs_hz)
            out[lead, first:last] = RAIL if lead == 0 else out[lead, first]
    return out


def measure(_: Path) -> Sequence[Entry]:
    """The short form."""
    return _measure(SHORT_PERIODS)


def measure_long(_: Path) -> Sequence[Entry]:
    """The same for an hour, so that P99 is not the maximum."""
    return _measure(LONG_PERIODS)


def entries(ways: Sequence[Way]) -> list[Entry]:
    """P50 and P99 of the whole way, and where the time went."""
    totals = [way.total_s for way in ways]
    ranges = (min(totals), max(totals))
    note = "one bed, not half of hub-bytes"
    few = "; P99 of so few is the maximum" if len(ways) < 100 else ""
    steps: dict[str, object] = {
        f"{before} to {after}, P50 / max": "{:.3f} / {:.3f} s".format(*_middle_and_most(gone))
        for (before, after), gone in zip(
            pairwise(HOPS), zip(*([b - a for a, b in pairwise(w.moments)] for w in ways), strict=True), strict=True
        )
    }
    steps["detected less arrival, P50"] = f"{median(w.detected_s - w.arrived_s for w in ways):.4f} s"
    steps["page's clock ahead by, P50 / max"] = "{:.3f} / {:.3f} s".format(
        *_middle_and_most([w.page_clock_error_s for w in ways])
    )
    steps["alarms"] = {code: sum(w.code == code for w in ways) for code in sorted({w.code for w in ways})}
    return [
        Entry(
            id=f"alarm-path-{name}", group="hub", value=round(percentile(totals, share), 3), unit="s", gate=gate, goal=goal,
            reference="", higher_is_better=False, n=len(ways), interval=ranges, note=note + more, details=details,
        )
        for name, share, gate, goal, more, details in (
            ("p50", 0.5, 0.5, 0.1, "", steps),
            ("p99", 0.99, 1.0, 0.3, few, {}),
        )
    ]  # fmt: skip


def _middle_and_most(values: Sequence[float]) -> tuple[float, float]:
    return percentile(values, 0.5), max(values)


def _measure(periods: int) -> Sequence[Entry]:
    folder = Path(tempfile.mkdtemp(prefix="wl-"))  # short: sockets have short paths; open: the server is another user
    folder.chmod(0o755)
    try:
        _write(folder / "failing", periods)
        return entries(_play(folder, SETTLE_S + periods * EVERY_S))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(record: Path, periods: int) -> None:
    # here, as its import of pandas warns and unit tests take warnings for errors
    import wfdb

    known = read_record(EXCERPT)
    writer: Any = wfdb.wrsamp
    writer(
        record.name,
        fs=known.fs_hz,
        units=["mV", "mV"],
        sig_name=["II", "V1"],
        d_signal=failing(known.raw, known.fs_hz, periods).T.astype(np.int64),
        fmt=["16", "16"],
        adc_gain=[s.gain for s in known.header.signals],
        baseline=[s.baseline for s in known.header.signals],
        write_dir=str(record.parent),
    )


def _play(folder: Path, length_s: float) -> list[Way]:
    usual = default_places(os.environ, None)
    browser = find_or_unpack_chromium(usual, _quiet)
    places = replace(usual, data=folder / "data", database_url=None)
    recording = Recording(folder / "failing", loop_pause_s=None)
    with (
        OneBed(places, folder / "bed", recording, progress=_quiet) as bed,
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=str(browser.executable), env={**os.environ, **browser.env}, args=list(FLAGS)
        ) as chromium,
    ):
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(_WATCH_CLOCK)
        _sign_in(page, bed)
        bed.switch_on()
        until_s = time.monotonic() + length_s + _LAST_PAINT_S
        while time.monotonic() < until_s:
            bed.processes.check()
            page.wait_for_timeout(500)
        return _ways(bed.database.admin_url, page.evaluate("window.clockErrors"))


def _sign_in(page: Page, bed: OneBed) -> None:
    page.goto(bed.invite_nurse())
    page.fill("#password", PASSWORD)
    page.fill("#password_again", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/ward/**")
    until_s = time.monotonic() + _READY_S
    while not bed.page_is_open():
        bed.processes.check()
        if time.monotonic() > until_s:
            msg = f"the ward page asked for no strips in {_READY_S:.0f} s; look at the log of the role web"
            raise RuntimeError(msg)
        page.wait_for_timeout(50)


def _ways(url: str, clock_errors_ms: Mapping[str, float]) -> list[Way]:
    """The way of every alarm that names its deciding sample; RuntimeError when one was not painted."""
    with closing(psycopg.connect(url)) as connection:
        codes = dict(connection.execute("select alarm_id, code from alarm").fetchall())
        decided = connection.execute(
            "select alarm_id, at, evidence from alarm_event where kind = 'detected' and evidence is not null order by event_id"
        ).fetchall()
        hops: dict[tuple[object, str], datetime] = {(row[0], row[1]): row[2] for row in connection.execute(_HOPS)}
        ways: list[Way] = []
        for alarm, detected, evidence in decided:
            found = wire.Evidence.FromString(evidence)
            if not found.HasField("deciding_sample"):
                continue
            row = connection.execute(_GROUP, {"alarm": alarm, "sample": found.deciding_sample}).fetchone()
            missing = [kind for kind in ("sent", "stored", "shown") if (alarm, kind) not in hops]
            if row is None or missing:
                msg = f"alarm {alarm} ({codes[alarm]}): {'no stored sample' if row is None else f'no hop {missing}'}"
                raise RuntimeError(msg)
            came, first, fs_hz = row
            sent, stored, shown = (hops[alarm, kind].timestamp() for kind in ("sent", "stored", "shown"))
            arrived = arrival_s(came.timestamp(), first, fs_hz, found.deciding_sample)
            error_s = clock_errors_ms[str(alarm)] / 1e3
            ways.append(Way(codes[alarm], arrived, sent, stored, shown, detected.timestamp(), error_s))
    return ways


def _quiet(_line: str) -> None:
    """Drop progress lines: the table of the figures is what is read."""


FIGURES = (
    Figure(
        "alarm-path",
        "hub",
        measure,
        code=("edge", "firmware_adapters", "hub", "models", "protocols", "wardlink", "tests/figures"),
        cached=False,
        yields=("alarm-path-p50", "alarm-path-p99"),
        long=measure_long,
    ),
)
