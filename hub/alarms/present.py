"""Alarms as JSON (docs/reference/http-api.md): codes and times, no text, which belongs to the page."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from hub.alarms.domain import Alarm
from hub.alarms.service import Detail
from protocols.evidence_json import evidence_json

Json: TypeAlias = dict[str, object]


def account_of(who: str) -> int | None:
    """Account id of `user:12` or `user:12/session`; None for anything else."""
    kind, _, rest = who.partition(":")
    number = rest.partition("/")[0]
    return int(number) if kind == "user" and number.isdecimal() else None


def people(alarms: Iterable[Alarm]) -> set[int]:
    """Ids of the accounts that acknowledged these alarms."""
    found = {account_of(a.state.acknowledged.who) for a in alarms if a.state.acknowledged}
    return {account for account in found if account is not None}


def people_of(detail: Detail) -> set[int]:
    """Ids of all accounts in an alarm's history."""
    found = {account_of(event.who) for event in detail.events}
    return {account for account in found if account is not None} | people([detail.alarm])


def alarm_json(alarm: Alarm, bed: str, names: Mapping[int, str]) -> Json:
    """An alarm; `bed` is its id in the ward, `names` the display names of accounts."""
    state = alarm.state
    seen = state.acknowledged
    return {
        "id": str(alarm.alarm_id),
        "bed": bed,
        "code": alarm.code,
        "priority": state.priority,
        "kind": alarm.kind,
        "presence": state.shown_as.value,
        "onset_ms": alarm.onset_ms,
        "detected_ms": state.detected_ms,
        "stored_ms": alarm.stored_ms,
        "params": dict(state.params),
        "acknowledged": None if seen is None else {"by": _name(seen.who, names), "at_ms": seen.at_ms},
        "source": alarm.source,
    }


def detail_json(detail: Detail, bed: str, names: Mapping[int, str]) -> Json:
    """An alarm with its evidence and history."""
    events = [
        {"kind": event.kind, "at_ms": event.at_us // 1000, **({"who": _name(event.who, names)} if event.who else {})}
        for event in detail.events
    ]
    evidence = detail.evidence
    return {**alarm_json(detail.alarm, bed, names), "evidence": evidence and evidence_json(evidence), "events": events}


def _name(who: str, names: Mapping[int, str]) -> str:
    account = account_of(who)
    return who if account is None else names.get(account, who)
