"""What is held back since when, and how it is told: a held condition and one that is raised although a pulse speaks against it.

Whether a pulse does is judged by `fusion`. Both are events of the device (protocols.nomenclature), stored with its others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from models.screening import fusion, recent
from models.screening.recent import Pulsing, RecentState
from protocols.nomenclature import EVT_ALARM_DOUBTED, EVT_ALARM_HELD
from protocols.record import NS_PER_S, DeviceEvent, SourcePath

if TYPE_CHECKING:
    from models.screening.alarms import Condition
    from models.screening.fusion import Against
    from models.screening.placement import Extremes
    from protocols.record import Params, Times, WaveformGroup

# What is held again within that is held since the first time: the longest delay before an alarm ends.
SAME_NS = 8 * NS_PER_S
Key = tuple[SourcePath, str, str]


@dataclass(frozen=True, slots=True)
class Held:
    """A condition that is held: its onset, and when it was held first and last."""

    onset_ns: int
    since_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class HeldState:
    """The pulse beside the ECG, and what is held by it, by the condition's key. `elsewhere`: what other devices of the place see of it."""

    pulses: RecentState = field(default_factory=RecentState)
    held: Mapping[Key, Held] = field(default_factory=lambda: MappingProxyType(dict[Key, Held]()))
    elsewhere: tuple[Pulsing, ...] = ()


@dataclass(frozen=True, slots=True)
class Weighed:
    """A condition as it goes on: with what the pulse says of it, and with its first onset where it was held before."""

    condition: "Condition"
    is_held: bool = False
    against: "Against | None" = None


def follow(state: HeldState, group: "WaveformGroup") -> HeldState:
    """Take an aligned group that is no ECG."""
    pulses = recent.step(state.pulses, group)
    return state if pulses is state.pulses else HeldState(pulses, state.held, state.elsewhere)


def beside(state: HeldState, elsewhere: tuple[Pulsing, ...]) -> HeldState:
    """Take what other devices of the same point of care see of the pulse, each with its device's name."""
    return state if elsewhere == state.elsewhere else HeldState(state.pulses, state.held, elsewhere)


def weigh(state: HeldState, condition: "Condition", extremes: "Extremes") -> Weighed:
    """Say whether a condition, which is present and not raised yet, is to be held."""
    if condition.code not in fusion.MOST_HELD_S or not (state.pulses.waves or state.elsewhere):
        return Weighed(condition)
    waves = (*recent.pulsing(state.pulses), *state.elsewhere)
    against = fusion.weigh(condition, recent.usable(waves, condition.at_ns), extremes)
    known = _known(state, condition)
    if known is not None:
        condition = replace(condition, onset_ns=min(known.onset_ns, condition.onset_ns))
    held_ns = 0 if known is None else condition.at_ns - known.since_ns
    if against is not None and held_ns < fusion.MOST_HELD_S[condition.code] * NS_PER_S:
        return Weighed(condition, True, against)
    told: Params = () if known is None else (("held_s", round(held_ns / NS_PER_S, 1)),)
    if against is not None:
        told = (*told, *_said(against))
    return Weighed(replace(condition, params=(*condition.params, *told)), against=against)


def hold(state: HeldState, weighed: Weighed, times: "Times") -> tuple[HeldState, tuple[DeviceEvent, ...]]:
    """Hold a condition back; the event that tells it, once for a stretch in which it is held."""
    condition = weighed.condition
    known = _known(state, condition)
    since_ns = condition.at_ns if known is None else known.since_ns
    kept = Held(condition.onset_ns, since_ns, condition.at_ns)
    state = replace(state, held=MappingProxyType({**state.held, condition.key: kept}))
    return state, () if known is not None else _event(EVT_ALARM_HELD, weighed, times)


def raised(state: HeldState, weighed: Weighed, times: "Times") -> tuple[HeldState, tuple[DeviceEvent, ...]]:
    """An alarm was raised: nothing is held of it any more; the event that tells of a pulse that speaks against it."""
    key = weighed.condition.key
    if key in state.held:
        state = replace(state, held=MappingProxyType({k: v for k, v in state.held.items() if k != key}))
    return state, _event(EVT_ALARM_DOUBTED, weighed, times)


def stepped(state: HeldState, by_ns: int) -> HeldState:
    """The gateway's clock was set forward by `by_ns`."""
    held = {
        key: Held(one.onset_ns + by_ns, one.since_ns + by_ns, one.last_ns + by_ns) for key, one in state.held.items()
    }
    return HeldState(recent.stepped(state.pulses, by_ns), MappingProxyType(held))


def _known(state: HeldState, condition: "Condition") -> Held | None:
    known = state.held.get(condition.key)
    return known if known is not None and condition.at_ns - known.last_ns <= SAME_NS else None


def _said(against: "Against") -> "Params":
    device: Params = (("pulse_device", against.device),) if against.device else ()
    return (
        ("pulse", str(against.why)),
        ("pulse_rate", round(against.rate_per_min)),
        ("pulses", against.pulses),
        ("pulse_alike", round(against.alike, 2)),
        ("pulse_of", against.code),
        *device,
    )


def _event(code: str, weighed: Weighed, times: "Times") -> tuple[DeviceEvent, ...]:
    if weighed.against is None:
        return ()
    condition = weighed.condition
    what: Params = (("alarm", condition.code), ("onset_ns", condition.onset_ns))
    at = replace(times, corrected_ns=condition.at_ns)
    return (DeviceEvent(condition.source, code, at, (*what, *_said(weighed.against))),)
