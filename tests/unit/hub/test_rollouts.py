"""A rollout opens its stages one after the other, waits for nobody who is away, and stops by itself when one gateway fails."""

from datetime import UTC, datetime, timedelta

import pytest

from hub.core.errors import DomainError
from hub.updates.domain import Finish, GatewayPart, GatewayRow, Halt, Open, next_step, stages_of

BEGAN = datetime(2026, 3, 9, 12, tzinfo=UTC)
SOAK = timedelta(hours=1)
WAITING, OFFERED, SENT = GatewayPart.WAITING, GatewayPart.OFFERED, GatewayPart.SENT
APPLIED, REFUSED, BACK = GatewayPart.APPLIED, GatewayPart.REFUSED, GatewayPart.ROLLED_BACK


def gateway(
    stage: int,
    state: GatewayPart,
    minutes: float = 1,
    *,
    well: bool = True,
    well_minutes: float | None = None,
    revoked: bool = False,
) -> GatewayRow:
    """One that came to its state so many minutes after the beginning, and is well or not since then or `well_minutes`."""
    at = BEGAN + timedelta(minutes=minutes)
    well_at = at if well_minutes is None else BEGAN + timedelta(minutes=well_minutes)
    return GatewayRow(stage, f"g{stage}", stage, state, "why", at, well, well_at, revoked=revoked)


def step(minutes: float, *gateways: GatewayRow, since: float = 0) -> object:
    return next_step(gateways, BEGAN + timedelta(minutes=since), SOAK, BEGAN + timedelta(minutes=minutes))


def test_the_first_stage_opens_at_once_and_the_next_when_the_first_was_well_for_the_soak_time():
    assert step(0, gateway(0, WAITING), gateway(1, WAITING)) == Open(0)
    later = gateway(1, WAITING)
    for state in (OFFERED, SENT):
        assert step(999, gateway(0, state), later) is None
    assert step(60.9, gateway(0, APPLIED), later) is None
    assert step(61, gateway(0, APPLIED), later) == Open(1)


def test_the_soak_time_begins_anew_when_one_was_not_well():
    later = gateway(1, WAITING)
    assert step(999, gateway(0, APPLIED, well=False), later) is None
    assert step(99, gateway(0, APPLIED, well_minutes=40), later) is None
    assert step(100, gateway(0, APPLIED, well_minutes=40), later) == Open(1)


def test_gateways_that_are_away_hold_nothing_up_but_somebody_of_each_stage_has_to_have_it():
    later = gateway(1, WAITING)
    assert step(999, gateway(0, OFFERED), gateway(0, APPLIED), later) == Open(1)
    assert step(999, gateway(0, APPLIED), gateway(1, OFFERED), gateway(2, WAITING)) is None
    assert step(999, gateway(0, APPLIED), gateway(1, OFFERED)) is None, "it is not at its end either"
    assert step(999, gateway(0, SENT), gateway(0, APPLIED), later) is None, "one in between is waited for"
    assert (
        step(999, gateway(0, OFFERED, revoked=True), gateway(0, APPLIED), gateway(1, WAITING, revoked=True)) == Finish()
    )


@pytest.mark.parametrize("failed", [REFUSED, BACK])
def test_one_that_fails_halts_it_and_when_somebody_lets_it_go_on_that_one_is_left_behind(failed: GatewayPart):
    halt = step(2, gateway(0, failed), gateway(0, APPLIED), gateway(1, WAITING))
    assert isinstance(halt, Halt)
    assert "g0" in halt.reason
    assert "why" in halt.reason
    assert step(999, gateway(0, failed), gateway(0, APPLIED), gateway(1, WAITING), since=5) == Open(1)
    assert step(999, gateway(0, failed), gateway(1, WAITING), since=5) == Open(1)
    assert step(999, gateway(0, failed), gateway(1, APPLIED), since=5) == Finish()
    again = step(999, gateway(0, failed), gateway(1, failed, minutes=6), since=5)
    assert again == Halt(f"g1 {failed.replace('_', ' ')}: why")


def test_stages_count_gateways_each_with_those_before_it():
    names = [f"g{i}" for i in range(10)]
    assert stages_of("1,25%,100%", names) == [0, 1, 1, *[2] * 7]
    assert stages_of("100%", names) == [0] * 10
    assert stages_of("2, 2, 40", names) == [0, 0, *[2] * 8]
    assert stages_of("1,25%,100%", names[:1]) == [0]
    for wrong in ("", "0", "-1", "50%", "5,2,100%", "101%", "1,x", "1;2", ",".join(["100%"] * 21)):
        with pytest.raises(DomainError):
            stages_of(wrong, names)
