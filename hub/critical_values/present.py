"""Critical-value items as JSON (docs/reference/http-api.md): codes, bounds, who made them; words belong to the page."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from hub.alarms.present import account_of
from hub.alarms.store import to_us
from hub.critical_values.domain import Activation, AtGateway, Change, InForce, Version
from models.screening.critical_check import values_of
from models.screening.critical_items import Table

Json: TypeAlias = dict[str, object]


def in_force_json(found: InForce, names: Mapping[int, str]) -> Json:
    """The table that is gone by."""
    activation = None if found.activation is None else activation_json(found.activation, names)
    return {**table_json(found.table), "activation": activation}


def table_json(table: Table) -> Json:
    """A version with its rows; what is not set is left out."""
    return {"version": table.version, "items": [values_of(item) for item in table.items]}


def changes_json(changes: Iterable[Change]) -> list[Json]:
    """What one version has otherwise than another."""
    return [
        {"item": one.item, "columns": {name: {"before": was, "after": now} for name, (was, now) in one.columns.items()}}
        for one in changes
    ]


def version_json(one: Version, names: Mapping[int, str]) -> Json:
    """A line of the list of versions."""
    return {
        "version": one.version,
        "based_on": one.based_on,
        "reason": one.reason,
        "by": name_of(one.made_by, names),
        "at_ms": to_us(one.made_at) // 1000,
    }


def activation_json(one: Activation, names: Mapping[int, str]) -> Json:
    """When a version was put in force."""
    by, at_ms = name_of(one.set_by, names), to_us(one.set_at) // 1000
    return {"version": one.version, "reason": one.reason, "by": by, "at_ms": at_ms}


def gateway_json(one: AtGateway) -> Json:
    """By which version a gateway goes."""
    at_ms = None if one.applied_at is None else to_us(one.applied_at) // 1000
    refused = {"why": one.refused, "item": one.refused_item} if one.refused else None
    return {"name": one.name, "version": one.version, "refused": refused, "at_ms": at_ms}


def name_of(who: str, names: Mapping[int, str]) -> str:
    """The name of whoever stands in a row as `user:12`."""
    account = account_of(who)
    return who if account is None else names.get(account, who)


def makers(lines: Iterable[Version | Activation | None]) -> set[int]:
    """Ids of the accounts that made or set these."""
    who = {one.made_by if isinstance(one, Version) else one.set_by for one in lines if one is not None}
    return {account for account in map(account_of, who) if account is not None}
