"""The routes of a device's clocks: segments and moves, what a correction would do, apply it, take it back."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from hub.accounts.domain import Person
from hub.clocks.domain import MOST_DRIFT_PPM, MOST_SHIFT_S, Correction, Retiming, Segment
from hub.core.policy import declares

if TYPE_CHECKING:
    from datetime import datetime

    from hub.clocks.service import Clocks
    from hub.web.kit import WebKit

Json: TypeAlias = dict[str, object]
_MOST_INT = 2**31 - 1


class Wanted(BaseModel):
    """Body of `preview`: without `shift_s`, the correction that the segment's readings tell."""

    model_config = ConfigDict(extra="forbid")
    segment: int = Field(ge=1, le=_MOST_INT)
    shift_s: float | None = Field(default=None, ge=-MOST_SHIFT_S, le=MOST_SHIFT_S)
    drift_ppm: float = Field(default=0.0, ge=-MOST_DRIFT_PPM, le=MOST_DRIFT_PPM)


class Move(Wanted):
    """Body of `retime`."""

    reason: str = Field(min_length=1, max_length=400)


class Back(BaseModel):
    """Body of `undo`."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(min_length=1, max_length=400)


def add_routes(router: APIRouter, web: "WebKit", clocks: "Clocks") -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    @router.get("/api/v1/devices/{device_id}/clock", response_model=None)
    @declares("clock.read")
    async def told(device_id: int, person: Annotated[Person, signed_in]) -> Json:
        segments, moves = await clocks.of(person.principal, device_id)
        return {"segments": [_segment(s) for s in segments], "retimings": [_retiming(m) for m in moves]}

    @router.post("/api/v1/devices/{device_id}/clock/preview", response_model=None)
    @declares("clock.retime")
    async def preview(device_id: int, body: Wanted, person: Annotated[Person, signed_in]) -> Json:
        seen = await clocks.preview(person.principal, device_id, body.segment, body.shift_s, body.drift_ppm)
        return {
            "segment": _segment(seen.segment),
            "correction": _correction(seen.correction),
            "alarms": seen.alarms,
            "new_from_ms": _ms(seen.new_from),
            "new_to_ms": _ms(seen.new_to),
        }

    @router.post("/api/v1/devices/{device_id}/clock/retime", response_model=None)
    @declares("clock.retime")
    async def retime(device_id: int, body: Move, person: Annotated[Person, signed_in]) -> Json:
        done = await clocks.retime(
            person.principal, device_id, body.segment, body.shift_s, body.drift_ppm, reason=body.reason
        )
        return _retiming(done)

    @router.post("/api/v1/retimings/{retiming_id}/undo", response_model=None)
    @declares("clock.retime")
    async def undo(retiming_id: int, body: Back, person: Annotated[Person, signed_in]) -> Json:
        return _retiming(await clocks.undo(person.principal, retiming_id, reason=body.reason))


def _ms(moment: "datetime | None") -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _segment(segment: Segment) -> Json:
    return {
        "id": segment.segment_id,
        "gateway": segment.gateway,
        "number": segment.number,
        "moved_from": segment.moved_from,
        "first_seen_ms": _ms(segment.first_seen),
        "observations": segment.observations,
        "waveforms": segment.waveforms,
        "from_ms": _ms(segment.from_time),
        "to_ms": _ms(segment.to_time),
    }


def _correction(correction: Correction) -> Json:
    return {
        "base_ms": _ms(correction.base),
        "shift_s": correction.shift_us / 1e6,
        "drift_ppm": correction.drift_ppm,
        "model": correction.model.value,
    }


def _retiming(done: Retiming) -> Json:
    return {
        "id": done.retiming_id,
        "segment": done.segment_id,
        "correction": _correction(done.correction),
        "reason": done.reason,
        "who": done.who,
        "at_ms": _ms(done.at),
        "observations": done.observations,
        "waveforms": done.waveforms,
        "undone": None
        if done.undone_at is None
        else {"at_ms": _ms(done.undone_at), "who": done.undone_by, "reason": done.undone_reason},
    }
