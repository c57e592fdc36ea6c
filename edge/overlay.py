"""Lays settings that came from the hub above those of the file, as TOML has read both. Pure.

A table goes into the table; an entry of `devices`, `doors` and `doors.devices` into the one of the same id or name, or behind them,
and `remove = true` takes one away. What could lock the agent out stays the file's.
"""

from collections.abc import Mapping
from typing import cast

Place = tuple[str, ...]

_NAMED_BY: Mapping[Place, str] = {("devices",): "id", ("doors",): "name", ("doors", "devices"): "id"}
# Without these the agent would not find its identity, its hub, its spool or the way back.
LOCKED: frozenset[Place] = frozenset(
    {
        ("state_dir",),
        ("hub",),
        ("configuration",),
        ("update",),
        ("spool", "cipher"),
        ("spool", "key_credential"),
        ("spool", "key_file"),
    }
)


class OverlayError(ValueError):
    """The overlay cannot be laid above the file: which setting, what would be right."""


def laid_over(values: Mapping[str, object], overlay: Mapping[str, object], place: Place = ()) -> dict[str, object]:
    """Return `values` with `overlay` above them, both unchanged; OverlayError. `place`: the tables that they are in."""
    result = dict(values)
    for name, new in overlay.items():
        here = (*place, name)
        if here in LOCKED:
            msg = f"{'.'.join(here)}: only the gateway's own file may set it"
            raise OverlayError(msg)
        old = result.get(name)
        if here in _NAMED_BY and isinstance(new, list):
            entries = cast("list[object]", old) if isinstance(old, list) else []
            result[name] = _entries(entries, cast("list[object]", new), here)
        elif isinstance(new, dict):
            table = cast("dict[str, object]", old) if isinstance(old, dict) else {}
            result[name] = laid_over(table, cast("dict[str, object]", new), here)
        else:
            result[name] = new
    return result


def _entries(old: list[object], new: list[object], place: Place) -> list[object]:
    key, where = _NAMED_BY[place], ".".join(place)
    found = {str(entry[key]): entry for entry in (cast("dict[str, object]", one) for one in old)}
    seen: set[str] = set()
    for one in new:
        entry = dict(cast("dict[str, object]", one)) if isinstance(one, dict) else {}
        name = entry.get(key)
        if not isinstance(name, str):
            msg = f"{where}: each entry needs its {key}"
            raise OverlayError(msg)
        if name in seen:
            msg = f"{where}: {key} {name!r} is there twice"
            raise OverlayError(msg)
        seen.add(name)
        if entry.pop("remove", False) is not True:
            found[name] = laid_over(found.get(name, {}), entry, place)
            continue
        if name not in found:
            msg = f"{where}: there is no {name!r} to remove"
            raise OverlayError(msg)
        del found[name]
    return list(found.values())
