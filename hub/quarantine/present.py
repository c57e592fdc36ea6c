"""Held records and groups as JSON."""

from typing import TYPE_CHECKING, TypeAlias

from hub.devices.present import to_ms

if TYPE_CHECKING:
    from hub.quarantine.domain import Held, HeldGroup

Json: TypeAlias = dict[str, object]


def held_json(held: "Held") -> Json:
    """One record without its bytes."""
    return {
        "id": held.quarantine_id,
        "state": str(held.state),
        "reason": held.reason,
        "detail": held.detail,
        "said": held.why.as_json() or None,
        "field": held.field,
        "device": held.device,
        "source": held.source,
        "kind": held.kind,
        "gateway": held.gateway,
        "size": held.size,
        "received_ms": to_ms(held.received_at),
        "note": held.note,
        "decided": None if held.decided_at is None else {"at_ms": to_ms(held.decided_at), "by": held.decided_by},
    }


def group_json(group: "HeldGroup") -> Json:
    """Records of one device for one reason."""
    return {
        "device": group.device,
        "reason": group.reason,
        "gateway": group.gateway,
        "count": group.count,
        "first_ms": to_ms(group.first_at),
        "last_ms": to_ms(group.last_at),
        "waits_for_admission": group.waits_for_admission,
    }
