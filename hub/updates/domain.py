"""When a rollout goes on, and when it stops by itself. Pure: rows in, one step out.

A stage opens when every gateway that has the release so far has been well with it for the soak time. Gateways that are away hold nothing up: they
get it when they come. One that refuses the release or goes back from it stops the rollout for everybody who has not got it.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from hub.core.errors import InvalidError

# A gateway that has nothing to send tells its state every 2 s, and one that changes its connection is away for a moment.
HEARD_WITHIN = timedelta(seconds=20)
_STAGE = re.compile(r"([1-9]\d{0,5})(%?)", re.ASCII)
MAX_STAGES = 20


class RolloutState(StrEnum):
    """What a rollout is in; the last two are the end of it."""

    RUNNING = "running"
    PAUSED = "paused"  # by a person
    HALTED = "halted"  # by itself
    CANCELLED = "cancelled"
    FINISHED = "finished"


OPEN_STATES = (RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.HALTED)
# What a person may do, and from where.
ACTS = {
    "pause": (RolloutState.PAUSED, (RolloutState.RUNNING,)),
    "resume": (RolloutState.RUNNING, (RolloutState.PAUSED, RolloutState.HALTED)),
    "cancel": (RolloutState.CANCELLED, OPEN_STATES),
}


class GatewayPart(StrEnum):
    """How far a gateway has come in a rollout."""

    WAITING = "waiting"  # its stage is not open
    OFFERED = "offered"  # it is, and the gateway has not been told yet
    SENT = "sent"
    APPLIED = "applied"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"


FAILED = (GatewayPart.REFUSED, GatewayPart.ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """A gateway in a rollout. `well`: since `well_at`, if it has applied the release; `revoked` ones count no more."""

    gateway_id: int
    name: str
    stage: int
    state: GatewayPart
    reason: str
    state_at: datetime | None
    well: bool = True
    well_at: datetime | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """Open this stage."""

    stage: int


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop; the reason is for a person."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Everybody who can have it has it."""


Step: TypeAlias = Open | Halt | Finish | None


def next_step(gateways: Sequence[GatewayRow], running_since: datetime, soak: timedelta, now: datetime) -> Step:
    """What a running rollout does now. What failed before somebody let it go on (`running_since`) is left behind."""
    there = [one for one in gateways if not one.revoked]
    failed = [one for one in there if one.state in FAILED]
    fresh = [one for one in failed if one.state_at is not None and one.state_at > running_since]
    if fresh:
        return Halt("; ".join(f"{one.name} {one.state.replace('_', ' ')}: {one.reason}" for one in fresh))
    left = [one for one in there if one.state not in FAILED]
    if all(one.state is GatewayPart.APPLIED for one in left):
        return Finish()
    opened = max((one.stage for one in there if one.state is not GatewayPart.WAITING), default=-1)
    inside = [one for one in left if one.stage <= opened]
    following = min((one.stage for one in left if one.stage > opened), default=None)
    if following is None or not _has_soaked(inside, opened, soak, now):
        return None
    return Open(following)


def _has_soaked(inside: Sequence[GatewayRow], opened: int, soak: timedelta, now: datetime) -> bool:
    """Whether those of the open stages allow the next one: none of them yet, none in between, somebody of the newest, all well long enough."""
    if any(one.state is GatewayPart.SENT for one in inside):
        return False
    applied = [one for one in inside if one.state is GatewayPart.APPLIED]
    newest = [one for one in inside if one.stage == opened]
    if newest and not any(one.stage == opened for one in applied):
        return False
    return all(one.well and one.well_at is not None and one.well_at + soak <= now for one in applied)


def stages_of(text: str, names: Sequence[str]) -> list[int]:
    """The stage of each gateway, in their order: `1,25%,100%` counts gateways, each number with those before it. InvalidError."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MAX_STAGES:
        raise InvalidError(f"{len(parts)} stages are too many.", f"Give at most {MAX_STAGES}.")
    most: list[int] = []
    for part in parts:
        found = _STAGE.fullmatch(part)
        number = 0 if found is None else int(found[1])
        if found is None or (found[2] and number > 100):
            raise InvalidError(f"{part!r} is no stage.", "Give numbers of gateways or percents, as 1,25%,100%.")
        most.append(math.ceil(len(names) * number / 100) if found[2] else number)
    if most != sorted(most):
        raise InvalidError(f"The stages {text} do not rise.", "Each number counts those before it, too: 1,25%,100%.")
    if most[-1] < len(names):
        raise InvalidError(f"The stages {text} end with {most[-1]} of {len(names)} gateways.", "End with 100%.")
    return [next(i for i, number in enumerate(most) if place < number) for place in range(len(names))]
