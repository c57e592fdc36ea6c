"""The smaller parts of the agent: clock, supervisor, placement on disk."""

import asyncio
from pathlib import Path

from prometheus_client import REGISTRY

from edge.clock import GatewayClock, Step
from edge.local.terms import Terms
from edge.placement import PlacementStore
from edge.supervisor import Supervisor
from models.screening.placement import AgeGroup
from protocols.link import PAGE_ORIGIN
from protocols.nomenclature import HEART_RATE, SPO2
from protocols.record import NS_PER_S
from protocols.uplink_pb2 import Limit, PlacedBed, Placement, Setting, Settings
from tests.fixtures.waiting import until


def test_small_differences_of_the_systems_clock_are_followed_slowly_and_steps_at_once():
    system, monotonic = [1_000 * NS_PER_S], [0]
    clock = GatewayClock(lambda: system[0], lambda: monotonic[0])
    assert clock.now_ns() == 1_000 * NS_PER_S
    system[0] += 1_010_000_000  # the system's clock was slewed by 10 ms in this second
    monotonic[0] += NS_PER_S
    assert clock.look() is None
    assert 0 < clock.now_ns() - 1_001 * NS_PER_S < 10_000_000
    for _ in range(100):
        clock.look()
    assert abs(clock.now_ns() - system[0]) < 100_000
    system[0] -= 3600 * NS_PER_S
    step = clock.look()
    assert isinstance(step, Step)
    assert abs(step.by_ns + 3600 * NS_PER_S) < 1_000_000
    assert clock.now_ns() == system[0]


def test_a_step_of_the_system_does_not_move_the_clock_before_it_was_looked_at():
    system, monotonic = [1_000 * NS_PER_S], [0]
    clock = GatewayClock(lambda: system[0], lambda: monotonic[0])
    system[0] = 0
    monotonic[0] += NS_PER_S
    assert clock.now_ns() == 1_001 * NS_PER_S


async def test_a_task_that_fails_is_started_again_and_the_others_do_not_notice():
    starts, beats = [0], [0]

    async def failing() -> None:
        starts[0] += 1
        await asyncio.sleep(0)
        raise RuntimeError("a bug")

    async def steady() -> None:
        while True:
            beats[0] += 1
            await asyncio.sleep(0.01)

    async with Supervisor() as supervisor:
        supervisor.start("failing", failing)
        supervisor.start("steady", steady)
        await until(lambda: starts[0] >= 3)
    assert beats[0] > 10
    stopped = beats[0]
    await asyncio.sleep(0.05)
    assert beats[0] == stopped


async def test_an_error_that_no_restart_mends_is_given_out():
    async def fatal() -> None:
        await asyncio.sleep(0)
        raise LookupError("a copied disk")

    async with Supervisor(fatal=(LookupError,)) as supervisor:
        supervisor.start("fatal", fatal)
        assert str(await asyncio.wait_for(supervisor.failed, 1)) == "a copied disk"


async def test_the_placement_is_there_again_behind_a_restart_and_an_older_one_of_its_connection_does_not_replace_it(
    tmp_path: Path,
):
    path = tmp_path / "placement.pb"
    limits = [Limit(code="MDC_ECG_HEART_RATE", unit="/min", high=180)]
    newer = Placement(version=5, beds=[PlacedBed(devices=["amp"], age_group="neonate", paced=True, limits=limits)])
    assert await PlacementStore(path).save(newer, first=True)
    store = PlacementStore(path)
    assert not await store.save(Placement(version=4), first=False)
    assert not await store.save(Placement(version=5), first=False)
    placed = store.of("amp")
    assert (placed.age_group, placed.paced, placed.version) == (AgeGroup.NEONATE, True, 5)
    assert (placed.limits[0].low, placed.limits[0].high) == (None, 180)
    assert store.of("another").age_group is AgeGroup.ADULT


async def test_a_restored_hubs_first_placement_is_taken_though_its_version_is_lower(tmp_path: Path):
    # A restored hub counts from its backup: its word on connecting is the truth, or the bed keeps limits nobody set.
    path = tmp_path / "placement.pb"
    store = PlacementStore(path)
    assert await store.save(Placement(version=9, beds=[PlacedBed(devices=["amp"], paced=True)]), first=True)
    assert await store.save(Placement(version=3, beds=[PlacedBed(devices=["amp"])]), first=True)
    assert not store.of("amp").paced
    assert PlacementStore(path).current.version == 3
    assert await store.save(Placement(version=4), first=False)


async def test_a_disk_that_takes_nothing_keeps_nobody_from_going_by_what_the_hub_says(tmp_path: Path):
    path = tmp_path / "placement.pb"
    store, placed = PlacementStore(path), Placement(version=5, beds=[PlacedBed(devices=["amp"], paced=True)])
    await store.save(Placement(version=4), first=True)
    assert store.is_durable
    (tmp_path / "placement.pb.new").mkdir()  # nothing can be written: any OSError will do
    assert await store.save(placed, first=True)
    assert (store.of("amp").paced, store.is_durable) == (True, False)
    assert PlacementStore(path).current.version == 4
    (tmp_path / "placement.pb.new").rmdir()
    assert await store.save(placed, first=True)
    assert (store.is_durable, PlacementStore(path).current) == (True, placed)
    terms, settings = (
        Terms(tmp_path / "settings.pb", "t", "g"),
        Settings(settings=[Setting(key=PAGE_ORIGIN, value="x")]),
    )
    (tmp_path / "settings.pb.new").mkdir()
    await terms.save(settings)
    assert terms.origin == "x"


async def test_what_is_on_the_disk_already_is_not_written_again(tmp_path: Path):
    placed = Placement(version=5, beds=[PlacedBed(devices=["amp"])])
    settings = Settings(settings=[Setting(key=PAGE_ORIGIN, value="x")])
    for _ in range(2):  # the second finds it there
        store, terms = PlacementStore(tmp_path / "placement.pb"), Terms(tmp_path / "settings.pb", "t", "g")
        assert await store.save(placed, first=True)
        await terms.save(settings)
        assert store.is_durable
        for name in ("placement.pb.new", "settings.pb.new"):  # from now on nothing can be written
            (tmp_path / name).mkdir(exist_ok=True)
    assert Terms(tmp_path / "settings.pb", "t", "g").origin == "x"


async def test_a_limit_in_another_unit_or_without_a_finite_bound_is_refused_and_counted_and_the_others_are_used(
    tmp_path: Path,
):
    def refused() -> float:
        return REGISTRY.get_sample_value("edge_placement_limits_refused_total", {"device": "limits"}) or 0.0

    limits = [
        Limit(code=HEART_RATE, unit="/min", low=45, high=140),
        Limit(code=HEART_RATE, unit="/s", high=3),
        Limit(code=SPO2, unit="%", low=float("nan")),
        Limit(code=SPO2, unit="%", high=float("inf")),
        Limit(code="NOT_A_CODE", unit="1", low=1),
        Limit(code=SPO2, unit="%", low=88),
    ]
    store = PlacementStore(tmp_path / "placement.pb")
    beds = [
        PlacedBed(point_of_care="icu/1", devices=["limits"], limits=limits),
        PlacedBed(point_of_care="icu/2", devices=["none-left"], limits=limits[1:5]),
    ]
    await store.save(Placement(version=1, beds=beds), first=True)
    before = refused()
    used = store.of("limits").limits
    assert [(x.code, x.low, x.high) for x in used] == [(HEART_RATE, 45, 140), (SPO2, 88, None)]
    assert refused() - before == 4
    # The hub is told of each bed's, with a word that a page has a sentence for.
    words = [(HEART_RATE, "unit"), (SPO2, "not-finite"), (SPO2, "not-finite"), ("NOT_A_CODE", "unknown-code")]
    applied = store.applied()
    assert (applied.version, [(one.code, one.reason) for one in applied.refused]) == (1, words * 2)
    assert [one.point_of_care for one in applied.refused] == ["icu/1"] * 4 + ["icu/2"] * 4
    # With none left the bed is watched by the defaults, never by nothing.
    watched = store.of("none-left").watched
    assert (watched[HEART_RATE].yellow_low, watched[HEART_RATE].yellow_high) == (50, 130)
    assert (watched[SPO2].red_low, watched[SPO2].yellow_low) == (85, 90)


def test_a_damaged_placement_is_begun_without(tmp_path: Path):
    path = tmp_path / "placement.pb"
    path.write_bytes(b"\xff\xff\xff")
    assert PlacementStore(path).current.version == 0
