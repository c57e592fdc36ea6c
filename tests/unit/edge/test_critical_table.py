"""The gateway's own look at a table of critical-value items: gone by as a whole, or the one before, also behind a restart."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.placement import PlacementStore
from models.screening.critical_check import values_of
from models.screening.critical_items import AgeGroup, Examination, Item
from models.screening.critical_table import SHIPPED
from protocols.nomenclature import HEART_RATE, SPO2
from protocols.uplink_pb2 import CriticalItem, CriticalTable, Limit, PlacedBed, Placement

BEDS = [
    PlacedBed(devices=["monitor"], limits=[Limit(code=SPO2, unit="%", low=91)]),
    PlacedBed(devices=["crib"], age_group="neonate"),
]
RATE = SHIPPED.of(Examination.MONITORING, AgeGroup.ADULT)[HEART_RATE]


def message(version: int, rate: Item) -> Placement:
    items: list[CriticalItem] = []
    for one in SHIPPED.items:
        items.append(CriticalItem())
        for name, value in values_of(rate if one is RATE else one).items():
            setattr(items[-1], name, value)
    return Placement(version=version, beds=BEDS, table=CriticalTable(version=version + 100, items=items))


async def test_a_table_comes_over_the_wire_as_it_was_and_is_there_behind_a_restart(tmp_path: Path):
    path = tmp_path / "placement.pb"
    assert await PlacementStore(path).save(message(1, replace(RATE, red_low=None, yellow_low=0.0)), first=True)
    store = PlacementStore(path)
    assert store.table.version == 101
    expected = [replace(one, red_low=None, yellow_low=0.0) if one is RATE else one for one in SHIPPED.items]
    assert list(store.table.items) == expected  # a bound of 0 is a bound, none is none
    assert store.of("monitor").watched[HEART_RATE].yellow_low == 0
    assert store.of("monitor").watched[SPO2].yellow_low == 91  # the bed's own goes before the table's
    assert store.of("crib").watched[HEART_RATE].red_high == 220
    assert store.of("nowhere").table.version == 101
    assert (store.applied().table_version, store.applied().table_refused) == (101, "")


@pytest.mark.parametrize(
    ("rate", "why", "where"),
    [
        (replace(RATE, yellow_low=35.0), "red-inside-yellow", "yellow_low"),
        (replace(RATE, unit="/s"), "unit", "unit"),
        (replace(RATE, red_high=float("nan")), "not-finite", "red_high"),
        (replace(RATE, red_low=None, yellow_low=None, yellow_high=None, red_high=None), "empty", ""),
    ],
)
async def test_one_wrong_row_and_the_table_before_holds_while_the_beds_are_those_that_were_sent(
    tmp_path: Path, rate: Item, why: str, where: str
):
    path = tmp_path / "placement.pb"
    store = PlacementStore(path)
    assert await store.save(message(1, replace(RATE, red_high=160.0)), first=True)
    worse = message(2, rate)
    worse.beds.add(devices=["new"])
    assert await store.save(worse, first=False)
    applied = store.applied()
    assert (applied.version, applied.table_version) == (2, 101)
    assert (applied.table_refused, applied.table_refused_item) == (why, f"{RATE.name} {where}".strip())
    for one in (store, PlacementStore(path)):
        assert one.of("new").watched[HEART_RATE].red_high == 160
        assert one.of("new").version == 2
    # What is mended is gone by; a hub that sends none has put back what ships.
    assert await store.save(message(3, RATE), first=False)
    assert (store.applied().table_version, store.applied().table_refused) == (103, "")
    assert await store.save(Placement(version=4, beds=BEDS), first=False)
    assert store.of("monitor").watched[HEART_RATE].red_high == 150
    assert store.applied().table_version == 0
    assert store.applied().HasField("table_version")


async def test_a_first_table_that_is_wrong_leaves_what_ships(tmp_path: Path):
    store = PlacementStore(tmp_path / "placement.pb")
    assert await store.save(message(1, replace(RATE, code="MDC_NO_SUCH")), first=True)
    assert (store.table, store.applied().table_refused) == (SHIPPED, "unknown-code")
