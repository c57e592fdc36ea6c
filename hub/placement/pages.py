"""The page of who and what is at a bed: admission, discharge, devices. What has to be asked comes back as questions on it."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Request
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from hub.accounts.domain import Person
from hub.core.errors import ConflictError, DomainError, InvalidError
from hub.core.policy import declares
from hub.placement.domain import Patient
from hub.web.kit import to_sign_in

if TYPE_CHECKING:
    from hub.beds.service import Beds
    from hub.placement.admission import Admissions, Question
    from hub.web.kit import WebKit

Text = Annotated[str, Form(max_length=400)]
Texts = Annotated[list[Annotated[str, Field(max_length=400)]], Form(default_factory=list, max_length=100)]
Sex = Annotated[Literal["female", "male", "other", "unknown"], Form()]
Paced = Annotated[Literal["yes", "no", "unknown"], Form()]
_PACED = {"yes": True, "no": False, "unknown": None}


@dataclass(frozen=True, slots=True)
class Typed:
    """The form as it was filled in, so that nothing has to be typed twice."""

    number: str = ""
    name: str = ""
    sex: str = "unknown"
    birth: str = ""
    paced: str = "unknown"
    scan: str = ""
    devices: tuple[str, ...] | None = None  # None: as they are


def add_routes(router: APIRouter, web: "WebKit", admissions: "Admissions", beds: "Beds") -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    async def show(
        request: Request,
        person: Person,
        ward: str,
        bed: str,
        typed: Typed,
        questions: "list[Question]",
        error: DomainError | None,
    ) -> Response:
        found, key = await beds.find(person.principal, ward, bed)
        form = await admissions.form(person.principal, key)
        code = 200 if error is None and not questions else 409 if error is None else error.status
        return web.page(
            request,
            "admission",
            person,
            code=code,
            room="ward",
            ward={"id": found.slug, "name": found.name},
            bed={"id": bed, "label": bed},
            key=key,
            form=form,
            typed=typed,
            questions=questions,
            error=None if error is None else error.reason,
        )

    @router.get("/ward/{ward}/bed/{bed}/admit")
    @declares("patient.admit")
    async def page(request: Request, ward: str, bed: str) -> Response:
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        return await show(request, person, ward, bed, Typed(), [], None)

    @router.post("/ward/{ward}/bed/{bed}/admit")
    @declares("patient.admit")
    async def admit(
        request: Request,
        ward: str,
        bed: str,
        person: Annotated[Person, signed_in],
        number: Text = "",
        name: Text = "",
        sex: Sex = "unknown",
        paced: Paced = "unknown",
        birth: Text = "",
        scan: Text = "",
        *,
        devices: Texts,
        agreed: Texts,
    ) -> Response:
        typed = Typed(number.strip(), name.strip(), sex, birth.strip(), paced, scan.strip(), tuple(devices))
        _, key = await beds.find(person.principal, ward, bed)
        wanted = [*devices, typed.scan] if typed.scan else devices
        try:
            patient = Patient(typed.number, typed.name, sex, _birth(typed.birth), _PACED[paced])
            questions = await admissions.admit(person.principal, key, patient, wanted, agreed)
        except (InvalidError, ConflictError) as error:
            return await show(request, person, ward, bed, typed, [], error)
        if questions:
            return await show(request, person, ward, bed, typed, questions, None)
        return _to_bed(ward, bed)

    @router.post("/ward/{ward}/bed/{bed}/devices")
    @declares("patient.admit")
    async def devices_of(
        request: Request,
        ward: str,
        bed: str,
        person: Annotated[Person, signed_in],
        scan: Text = "",
        *,
        devices: Texts,
        agreed: Texts,
    ) -> Response:
        typed = Typed(scan=scan.strip(), devices=tuple(devices))
        _, key = await beds.find(person.principal, ward, bed)
        wanted = [*devices, typed.scan] if typed.scan else devices
        try:
            questions = await admissions.admit(person.principal, key, None, wanted, agreed)
        except (InvalidError, ConflictError) as error:
            return await show(request, person, ward, bed, typed, [], error)
        return await show(request, person, ward, bed, typed, questions, None) if questions else _to_bed(ward, bed)

    @router.post("/ward/{ward}/bed/{bed}/discharge")
    @declares("patient.admit")
    async def discharge(
        request: Request,
        ward: str,
        bed: str,
        person: Annotated[Person, signed_in],
        patient: Annotated[int, Form(ge=0, le=2**31 - 1)],
        free: Texts,
    ) -> Response:
        _, key = await beds.find(person.principal, ward, bed)
        try:
            await admissions.discharge(person.principal, key, patient, free)
        except ConflictError as error:
            return await show(request, person, ward, bed, Typed(), [], error)
        return _to_bed(ward, bed)


def _to_bed(ward: str, bed: str) -> RedirectResponse:
    return RedirectResponse(f"/ward/{quote(ward)}/bed/{quote(bed)}", 303)


def _birth(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidError(f"Birth date {text!r}: expected year-month-day.", "Type it anew.", reason="birth") from error
