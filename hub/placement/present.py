"""Limits as JSON (docs/reference/http-api.md): codes, bounds, who set them; words belong to the page."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

from hub.alarms.present import account_of
from hub.alarms.store import to_us
from hub.placement.domain import LimitInForce
from hub.placement.limits import ADJUSTABLE
from models.screening.critical_items import Item
from protocols.nomenclature import TERMS

Json: TypeAlias = dict[str, object]


def limits_json(
    limits: Iterable[LimitInForce], since: datetime | None, names: Mapping[int, str], rows_of_table: Mapping[str, Item]
) -> Json:
    """Everything that limits can be set of: what the bed has, what the patient has, between which bounds.

    `rows_of_table`: the critical-value items of the patient's age group, which hold where neither bed nor patient has limits.
    """
    found = {limit.code: limit for limit in limits}
    rows: list[Json] = []
    for code, step in ADJUSTABLE.items():
        term, limit = TERMS[code], found.get(code)
        own = limit if limit is not None and limit.is_own else None
        account = None if own is None or own.set_by is None else account_of(own.set_by)
        bed = (None, None) if limit is None else (limit.bed_low, limit.bed_high) if own else (limit.low, limit.high)
        row = rows_of_table.get(code)
        low, high = (row.yellow_low, row.yellow_high) if bed == (None, None) and row is not None else bed
        rows.append(
            {
                "code": code,
                "unit": term.unit,
                "least": None if term.plausible is None else term.plausible[0],
                "most": None if term.plausible is None else term.plausible[1],
                "step": step,
                "unwatched": None if limit is None else limit.unwatched,
                "bed": {"low": low, "high": high},
                "own": None
                if own is None or own.set_at is None
                else {
                    "low": own.low,
                    "high": own.high,
                    "by": own.set_by if account is None else names.get(account, own.set_by),
                    "at_ms": to_us(own.set_at) // 1000,
                },
            }
        )
    return {"since_ms": None if since is None else to_us(since) // 1000, "limits": rows}


def setters(limits: Iterable[LimitInForce]) -> set[int]:
    """Ids of the accounts that set these limits."""
    found = {account_of(limit.set_by) for limit in limits if limit.set_by is not None}
    return {account for account in found if account is not None}
