"""Reads a TOML file that says which wards, beds, devices, patients and limits there are, and makes them so; can be run again.

[[ward]]
slug = "7b"
name = "Cardiology 7B"

[[bed]]
ward = "7b"
bed = "1"
devices = ["cyton-1"]
patient = { hospital_number = "A-1", name = "...", sex = "male", birth_date = 1959-03-01, paced = false }
limits = [{ code = "MDC_ECG_HEART_RATE", unit = "/min", low = 50, high = 120 }]
"""

import tomllib
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.core.errors import InvalidError
from hub.placement.domain import LimitSet, Patient

if TYPE_CHECKING:
    from hub.core.principal import Principal
    from hub.placement.service import Placement

Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SeedWard(_Model):
    """A ward."""

    slug: Text
    name: str = ""


class SeedPatient(_Model):
    """Who is at a bed."""

    hospital_number: Text
    name: Text
    sex: Literal["female", "male", "other", "unknown"] = "unknown"
    birth_date: date | None = None
    paced: bool | None = None


class SeedLimit(_Model):
    """Limits of one measurement."""

    code: Text
    unit: Text
    low: float | None = None
    high: float | None = None


class SeedBed(_Model):
    """A bed and what is at it."""

    ward: Text
    bed: Text
    devices: list[Text] = Field(default_factory=list[str])
    patient: SeedPatient | None = None
    limits: list[SeedLimit] = Field(default_factory=list[SeedLimit])


class Seed(_Model):
    """The whole file."""

    ward: list[SeedWard] = Field(default_factory=list[SeedWard])
    bed: list[SeedBed] = Field(default_factory=list[SeedBed])


def read_seed(path: Path) -> Seed:
    """Read and check a file; InvalidError says which line or field is wrong."""
    try:
        return Seed.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InvalidError(f"{path}: {error}", "See docs/reference/seed.md for the form of this file.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidError(f"{path}: {where}: {first['msg']}", "Mend this field and run it again.") from error


async def plant(placement: "Placement", principal: "Principal", seed: Seed) -> None:
    """Make everything in the file; what is there already stays."""
    for ward in seed.ward:
        await placement.add_ward(principal, ward.slug, ward.name)
    for bed in seed.bed:
        await placement.add_bed(principal, bed.ward, bed.bed)
        for device in bed.devices:
            await placement.place_device(principal, device, bed.ward, bed.bed)
        if bed.patient is not None:
            patient = Patient(
                bed.patient.hospital_number,
                bed.patient.name,
                bed.patient.sex,
                bed.patient.birth_date,
                bed.patient.paced,
            )
            await placement.place_patient(principal, patient, bed.ward, bed.bed)
        for limit in bed.limits:
            values = LimitSet(limit.code, limit.unit, limit.low, limit.high)
            await placement.set_limit(principal, bed.ward, bed.bed, values)
