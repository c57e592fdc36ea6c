"""The routes of queries: latest, range, search, and many of them in one request, whose answers come as they are ready."""

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from hub.accounts.domain import Person
from hub.alarms.store import from_ms
from hub.beds.store import to_ms
from hub.core.policy import declares
from hub.queries.domain import (
    MOST_CODES,
    MOST_FOUND,
    MOST_PIXELS,
    MOST_QUERIES,
    MOST_TARGETS,
    SearchKind,
    Targets,
    stretch,
)
from hub.queries.present import found_json, latest_json, range_json
from hub.web.problems import domain_error

if TYPE_CHECKING:
    from hub.queries.present import Json
    from hub.queries.service import Asking
    from hub.web.kit import WebKit

_LATEST_MS = 253_402_300_799_000  # the end of the year 9999
_AT_ONCE = 3
_DAY_S = 86_400.0
_NO_NUL = r"^[^\x00]*$"  # which the database has in no text

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=64, pattern=_NO_NUL)]
Code: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
Key: TypeAlias = Annotated[int, Field(ge=0, le=2**31 - 1)]
Ms: TypeAlias = Annotated[int, Field(ge=0, le=_LATEST_MS)]
Pixels: TypeAlias = Annotated[int, Field(ge=10, le=MOST_PIXELS)]
Within: TypeAlias = Annotated[float, Field(gt=0, le=400 * _DAY_S)]
Typed: TypeAlias = Annotated[str, Field(min_length=1, max_length=100, pattern=_NO_NUL)]
Limit: TypeAlias = Annotated[int, Field(ge=1, le=MOST_FOUND)]
Devices: TypeAlias = Annotated[list[Name], Field(max_length=MOST_TARGETS)]
Beds: TypeAlias = Annotated[list[Key], Field(max_length=MOST_TARGETS)]
Codes: TypeAlias = Annotated[list[Code], Field(max_length=MOST_CODES)]
Kinds: TypeAlias = Annotated[list[SearchKind], Field(max_length=len(SearchKind))]


class _Asked(BaseModel):
    """What each question of a batch has: `id` comes back with its answer."""

    model_config = ConfigDict(extra="forbid")
    id: Annotated[str, Field(max_length=64)]


class _OfTargets(_Asked):
    devices: Devices = []
    beds: Beds = []
    codes: Codes = []

    def targets(self) -> Targets:
        return Targets(tuple(dict.fromkeys(self.devices)), tuple(dict.fromkeys(self.beds)), tuple(self.codes))


class LatestAsked(_OfTargets):
    """As GET /api/v1/latest."""

    kind: Literal["latest"]
    within_s: Within = _DAY_S


class RangeAsked(_OfTargets):
    """As GET /api/v1/range."""

    kind: Literal["range"]
    from_ms: Ms
    to_ms: Ms
    pixels: Pixels = 600


class SearchAsked(_Asked):
    """As GET /api/v1/search."""

    kind: Literal["search"]
    q: Typed
    kinds: Kinds = []
    limit: Limit = 20


Question: TypeAlias = Annotated[LatestAsked | RangeAsked | SearchAsked, Field(discriminator="kind")]


class BatchAsked(BaseModel):
    """Body of a batch."""

    model_config = ConfigDict(extra="forbid")
    queries: Annotated[list[Question], Field(min_length=1, max_length=MOST_QUERIES)]


def add_routes(router: APIRouter, web: "WebKit", asking: "Asking") -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    @router.get("/api/v1/latest", response_model=None)
    @declares("reading.read")
    async def latest(
        person: Annotated[Person, signed_in],
        device: Annotated[list[Name], Query(default_factory=list, max_length=MOST_TARGETS)],
        bed: Annotated[list[Key], Query(default_factory=list, max_length=MOST_TARGETS)],
        code: Annotated[list[Code], Query(default_factory=list, max_length=MOST_CODES)],
        within_s: Annotated[Within, Query()] = _DAY_S,
    ) -> "Json":
        asked = LatestAsked(id="", kind="latest", devices=device, beds=bed, codes=code, within_s=within_s)
        return await _answer(asking, person, asked)

    @router.get("/api/v1/range", response_model=None)
    @declares("reading.read")
    async def ranged(
        person: Annotated[Person, signed_in],
        from_ms: Annotated[Ms, Query()],
        to_ms: Annotated[Ms, Query()],
        device: Annotated[list[Name], Query(default_factory=list, max_length=MOST_TARGETS)],
        bed: Annotated[list[Key], Query(default_factory=list, max_length=MOST_TARGETS)],
        code: Annotated[list[Code], Query(default_factory=list, max_length=MOST_CODES)],
        pixels: Annotated[Pixels, Query()] = 600,
    ) -> "Json":
        asked = RangeAsked(
            id="", kind="range", devices=device, beds=bed, codes=code, from_ms=from_ms, to_ms=to_ms, pixels=pixels
        )
        return await _answer(asking, person, asked)

    @router.get("/api/v1/search", response_model=None)
    @declares("search")
    async def search(
        person: Annotated[Person, signed_in],
        q: Annotated[Typed, Query()],
        kind: Annotated[list[SearchKind], Query(default_factory=list, max_length=len(SearchKind))],
        limit: Annotated[Limit, Query()] = 20,
    ) -> "Json":
        return await _answer(asking, person, SearchAsked(id="", kind="search", q=q, kinds=kind, limit=limit))

    @router.post("/api/v1/batch", response_model=None)
    @declares("reading.read")
    async def batch(asked: BatchAsked, person: Annotated[Person, signed_in]) -> StreamingResponse:
        return StreamingResponse(_answers(asking, person, asked.queries), media_type="application/x-ndjson")


async def _answers(asking: "Asking", person: Person, queries: list[Question]) -> AsyncGenerator[bytes]:
    """A line a question, _AT_ONCE at a time in their order; what cannot be answered is a line with its problem, and the others go on."""
    for at in range(0, len(queries), _AT_ONCE):
        some = queries[at : at + _AT_ONCE]
        found = await asyncio.gather(*(_answer(asking, person, one) for one in some), return_exceptions=True)
        for asked, one in zip(some, found, strict=True):
            yield (json.dumps(_line(asked.id, one), ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def _line(asked: str, found: "Json | BaseException") -> "Json":
    if isinstance(found, Exception):
        return {"id": asked, "problem": domain_error(found).problem()}
    if isinstance(found, BaseException):
        raise found
    return {"id": asked, "result": found}


async def _answer(asking: "Asking", person: Person, asked: Question) -> "Json":
    if isinstance(asked, SearchAsked):
        return found_json(await asking.search(person.principal, asked.q, asked.kinds, asked.limit))
    if isinstance(asked, LatestAsked):
        found = await asking.latest(person.principal, asked.targets(), timedelta(seconds=asked.within_s))
        return latest_json(found, to_ms(datetime.now(UTC)))
    wanted = stretch(from_ms(asked.from_ms), from_ms(asked.to_ms), asked.pixels)
    return range_json(await asking.ranged(person.principal, asked.targets(), wanted), wanted)
