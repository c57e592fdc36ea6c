"""Episodes of rhythm from the events that gateways tell of them: one at the beginning, one behind the end with the sum."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from hub.beds.domain import Episode

# An event: its time (ms), the source's path, its code, its parameters.
Told: TypeAlias = tuple[int, str, str, Mapping[str, object]]
_NS_PER_MS = 1_000_000


def episodes_of(events: Iterable[Told]) -> list[Episode]:
    """An episode each, the newest first. One whose end was not told goes on, unless another of its kind began behind it."""
    found: dict[tuple[str, str, int], Episode] = {}
    for at_ms, path, code, params in events:
        since_ns = params.get("since_ns")
        since_ms = since_ns // _NS_PER_MS if isinstance(since_ns, int) else at_ms
        key = (path, code, since_ms)
        if params.get("episode") == "ended":
            found[key] = _ended(Episode(since_ms, path, code, at_ms, goes_on=False), params)
        else:
            found.setdefault(key, _measured(Episode(since_ms, path, code, None, goes_on=True), params))
    newest: dict[tuple[str, str], int] = {}
    for path, code, since_ms in found:
        newest[path, code] = max(since_ms, newest.get((path, code), since_ms))
    told = [replace(one, goes_on=one.goes_on and one.at_ms == newest[one.source, one.code]) for one in found.values()]
    return sorted(told, key=lambda one: one.at_ms, reverse=True)


def _ended(episode: Episode, params: Mapping[str, object]) -> Episode:
    times = params.get("times")
    return replace(_measured(episode, params), times=times if isinstance(times, int) else None)


def _measured(episode: Episode, params: Mapping[str, object]) -> Episode:
    beats, per_min, pause_s = (params.get(name) for name in ("beats", "beats_per_min", "pause_s"))
    return replace(
        episode,
        experimental=params.get("experimental") is True,
        beats=beats if isinstance(beats, int) else None,
        beats_per_min=per_min if isinstance(per_min, int) else None,
        pause_s=float(pause_s) if isinstance(pause_s, int | float) else None,
    )
