"""What is missing: gaps that could still be had, less the samples that came later, hot or sealed."""

import random
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from hub.core.db import Database
from hub.store.missing import ToldGap, still_missing
from hub.store.sealing import seal_waveforms
from tests.fixtures.stored_groups import FOREVER, make_groups, make_stream, put
from wardlink.local.database import Database as Local

pytestmark = pytest.mark.integration

BEGIN = datetime(2026, 3, 1, 11, 58, 20, tzinfo=UTC)
FS_HZ = 50
GAPS = [(0, 50), (100, 200), (200, 250), (300, 500), (600, 700)]
CAME = [0, 2, 3, 7, 8, 12]  # seconds, of 50 samples each: two gaps whole, the fourth in its middle, half of the last


def told(first: int, end: int, *, recoverable: bool = True) -> ToldGap:
    begin, stop = (BEGIN + timedelta(seconds=n / FS_HZ) for n in (first, end))
    return ToldGap("d/ecg", 1, 1, begin, stop, "link_loss", recoverable, first, end)


@pytest.mark.parametrize("is_sealed", [False, True])
async def test_what_came_later_is_not_missing_and_the_rest_is_with_its_share_of_the_time(
    hub_database: Local, seed: random.Random, is_sealed: bool
):
    stream = make_stream(hub_database, fs_hz=FS_HZ)
    rows = [(*row[:3], i * FS_HZ, *row[4:]) for i, row in enumerate(make_groups(stream, BEGIN, 20, seed, plain=True))]
    with closing(hub_database.connect_admin()) as admin:
        put(admin, [rows[i] for i in CAME])
    if is_sealed:
        async with Database(hub_database.url_for("wardlink_worker"), "test worker", max_size=2) as worker:
            assert (await seal_waveforms(worker, BEGIN + timedelta(days=1))).rows == len(CAME)
    gaps = [told(*gap) for gap in GAPS]
    timed = ToldGap(
        "d/ecg",
        1,
        1,
        BEGIN,
        BEGIN + timedelta(seconds=9),
        "link_loss",
        recoverable=True,
        from_sample=None,
        to_sample=None,
    )
    async with (
        Database(hub_database.url_for("wardlink_web"), "test web", max_size=1) as pool,
        pool.transaction(1) as connection,
    ):
        left = await still_missing(connection, [*gaps, timed], FOREVER)
        lost = await still_missing(connection, [told(100, 200, recoverable=False)], FOREVER)
        elsewhere = await still_missing(connection, gaps, (BEGIN - timedelta(days=9), BEGIN - timedelta(days=8)))
    assert elsewhere == gaps
    expected = [told(*gap) for gap in ((200, 250), (300, 350), (450, 500), (650, 700))]
    assert left == [*expected, timed]
    assert lost == [told(100, 200, recoverable=False)], "somebody has said that it is gone for good"
