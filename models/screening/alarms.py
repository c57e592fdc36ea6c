"""The life of an alarm condition: delay before it is raised, delay before it ends, latching, one id from onset to end.

Terms are those of IEC 60601-1-8 (clauses 3 and 6.8: alarm condition delay, latching). What is wrong is decided elsewhere and
arrives as a `Condition`; acknowledging and escalating belong to the hub.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from uuid import UUID

from protocols.nomenclature import (
    ASYSTOLE,
    BRADY_EXTREME,
    ECG_NOISE,
    FLOOD,
    HEART_RATE,
    HI_GT_LIM,
    LEADS_OFF,
    LINK_LOST,
    LO_LT_LIM,
    SATURATED,
    SIGNAL_LOW,
    TACHY_EXTREME,
    V_FIB,
    V_TACHY,
)
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    AlarmKind,
    Evidence,
    Model,
    Params,
    Presence,
    Priority,
    Reason,
    SourcePath,
    Span,
    Times,
    alarm_id,
)

# Of all the screening's rules and their constants, told with each alarm: raised by whatever lets an alarm come, end or be named
# otherwise. 2: a lethal rhythm that fades for less than eight seconds is the same alarm (docs/decisions/0115). 3: tachycardia is
# named fibrillation when its beats are no longer found, and its alarm then ends (docs/decisions/0117). 4: limits have two levels, and
# what is not set for a patient is of the table of critical-value items (docs/decisions/0184). 5: the pulse beside an ECG
# holds back what it speaks against (docs/decisions/0174). 6: paced beats make no run of ventricular ones (docs/decisions/0199).
VERSION = "7"


@dataclass(frozen=True, slots=True)
class Life:
    """Seconds a condition must hold before it is raised, and be gone before it ends; whether the signal stays."""

    on_s: float
    off_s: float
    latching: bool


# Lethal rhythms latch: one that ends by itself must still be seen (IEC 60601-1-8, 6.8.3.2 leaves it to the maker). How long a rhythm must
# hold says its critical-value item.
LIVES: Mapping[str, Life] = MappingProxyType(
    {
        V_FIB: Life(0, 8, True),
        V_TACHY: Life(0, 8, True),
        ASYSTOLE: Life(0, 3, True),
        BRADY_EXTREME: Life(0, 5, True),
        TACHY_EXTREME: Life(0, 5, True),
        LEADS_OFF: Life(1, 2, False),
        SATURATED: Life(1, 2, False),
        SIGNAL_LOW: Life(0, 2, False),
        ECG_NOISE: Life(5, 5, False),
        LINK_LOST: Life(0, 2, False),  # the silence before it is the delay
        FLOOD: Life(0, 0, False),  # the burst before it and the quiet behind it are the delays
    }
)
# One event, one alarm: what turns into the worse condition of the same source goes on as that (docs/decisions/0117, 0184). By code and
# subject; a limit of a measurement turns red under the same code, with the subject `measure:red`.
RED = ":red"
TURNS_FROM: Mapping[tuple[str, str], tuple[str, str]] = MappingProxyType(
    {
        (V_FIB, ""): (V_TACHY, ""),
        (BRADY_EXTREME, ""): (LO_LT_LIM, HEART_RATE),
        (TACHY_EXTREME, ""): (HI_GT_LIM, HEART_RATE),
    }
)
_TURNS_INTO = {milder: worse for worse, milder in TURNS_FROM.items()}
TURNED_INTO = "turned_into"  # the parameter of the alarm that ended so: the code of the other


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a judgement rests on, as the alarm's evidence tells it."""

    spans: tuple[Span, ...] = ()
    reasons: tuple[Reason, ...] = ()
    models: tuple[Model, ...] = ()


NO_GROUNDS = Grounds()


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether something is wrong at this moment. `subject` tells conditions of one code apart (which measure, say)."""

    source: SourcePath
    code: str
    present: bool
    priority: Priority
    kind: AlarmKind
    onset_ns: int
    at_ns: int
    rule: str
    subject: str = ""
    deciding_sample: int | None = None
    params: Params = ()
    confidence: float | None = None
    life: Life | None = None
    grounds: Grounds = NO_GROUNDS

    @property
    def key(self) -> tuple[SourcePath, str, str]:
        """What makes it the same condition."""
        return self.source, self.code, self.subject


@dataclass(frozen=True, slots=True)
class Standing:
    """A condition that holds, or did a short while ago. `raised` is None while the delay before it runs."""

    first: Condition
    raised: AlarmCondition | None = None
    gone_ns: int | None = None


Key = tuple[SourcePath, str, str]


@dataclass(frozen=True, slots=True)
class AlarmsState:
    """All conditions that stand, by key, and signals latched after their condition has gone, by alarm id."""

    standing: Mapping[Key, Standing] = field(default_factory=lambda: MappingProxyType(dict[Key, Standing]()))
    latched: Mapping[UUID, AlarmCondition] = field(
        default_factory=lambda: MappingProxyType(dict[UUID, AlarmCondition]())
    )
    seen: frozenset[UUID] = frozenset()  # acknowledged while present: these end without latching

    def holds(self, source: SourcePath, code: str, subject: str = "") -> bool:
        """Whether the condition has been raised and is present."""
        standing = self.standing.get((source, code, subject))
        return standing is not None and standing.raised is not None

    def stands(self, source: SourcePath, code: str, subject: str = "") -> bool:
        """Whether anything is known of the condition: one that is not there says nothing otherwise."""
        return (source, code, subject) in self.standing


def restore(active: tuple[AlarmCondition, ...]) -> AlarmsState:
    """State of an agent that starts again: what was present goes on under its id until it is seen to be gone.

    One that somebody had acknowledged at the gateway does not latch then; what was acknowledged at the hub is told by it again.
    """
    standing: dict[Key, Standing] = {}
    latched: dict[UUID, AlarmCondition] = {}
    for alarm in active:
        if alarm.presence is Presence.LATCHED:
            latched[alarm.id] = alarm
        elif alarm.presence is Presence.PRESENT:
            params = dict(alarm.params)
            subject = f"{params.get('measure', '')}{RED if params.get('level') == 'red' else ''}"
            first = Condition(
                alarm.source, alarm.code, True, alarm.priority, alarm.kind, alarm.onset_ns, alarm.detected_ns, "restored",
                subject=subject, params=alarm.params,
            )  # fmt: skip
            standing[first.key] = Standing(first, alarm)
    seen = frozenset(a.id for a in active if a.presence is Presence.PRESENT and a.acknowledged is not None)
    return AlarmsState(MappingProxyType(standing), MappingProxyType(latched), seen)


def step(
    state: AlarmsState, condition: Condition, times: Times
) -> tuple[AlarmsState, AlarmCondition | None, Condition | None]:
    """Take a condition as it stands; the change to tell if there is one, and the condition that was raised by it.

    A condition that says nothing (`present` false and not standing) changes nothing.
    """
    standing = state.standing.get(condition.key)
    life = condition.life or LIVES[condition.code]
    if standing is None:
        if not condition.present or _worse_holds(state, condition):
            return state, None, None
        standing = Standing(condition)
        if life.on_s > 0:
            return _put(state, condition.key, standing), None, None
    if condition.present:
        if standing.raised is not None:
            if standing.gone_ns is not None:
                state = _put(state, condition.key, replace(standing, gone_ns=None))
            return state, None, None
        if condition.at_ns - standing.first.at_ns < life.on_s * NS_PER_S:
            return state, None, None
        alarm = _raised(standing.first, condition, times)
        return _put(state, condition.key, Standing(standing.first, alarm)), alarm, condition
    if standing.raised is None:
        return _drop(state, condition.key), None, None
    gone = condition.at_ns if standing.gone_ns is None else standing.gone_ns
    if condition.at_ns - gone < life.off_s * NS_PER_S:
        return _put(state, condition.key, replace(standing, gone_ns=gone)), None, None
    latches = life.latching and standing.raised.id not in state.seen
    presence = Presence.LATCHED if latches else Presence.ENDED
    change = replace(
        standing.raised,
        presence=presence,
        detected_ns=condition.at_ns,
        times=times,
        params=standing.raised.params,
        evidence=None,
        acknowledged=None,
    )
    state = replace(_drop(state, condition.key), seen=state.seen - {change.id})
    if latches:
        state = replace(state, latched=MappingProxyType({**state.latched, change.id: change}))
    return state, change, None


def acknowledge(state: AlarmsState, alarm: UUID, times: Times) -> tuple[AlarmsState, AlarmCondition | None]:
    """Somebody has seen it: a latched alarm ends; one whose condition holds stays until that has gone, and does not latch."""
    latched = state.latched.get(alarm)
    if latched is None:
        present = any(s.raised is not None and s.raised.id == alarm for s in state.standing.values())
        return (replace(state, seen=state.seen | {alarm}) if present else state), None
    rest = {k: v for k, v in state.latched.items() if k != alarm}
    ended = replace(latched, presence=Presence.ENDED, detected_ns=times.best_ns, times=times, acknowledged=None)
    return replace(state, latched=MappingProxyType(rest)), ended


def turned(state: AlarmsState, into: Condition, times: Times) -> tuple[AlarmsState, AlarmCondition | None]:
    """End the alarm that has turned into the one just raised, and tell it; it does not latch, as that one calls in its place.

    Of one that has latched the rhythm was over before: it stays until somebody has seen it.
    """
    red = into.subject.endswith(RED)
    milder = (into.code, into.subject.removesuffix(RED)) if red else TURNS_FROM.get((into.code, into.subject))
    key = None if milder is None else (into.source, *milder)
    standing = None if key is None else state.standing.get(key)
    if key is None or standing is None:
        return state, None
    state = _drop(state, key)
    if standing.raised is None:
        return state, None
    ended = replace(
        standing.raised,
        presence=Presence.ENDED,
        detected_ns=into.at_ns,
        times=times,
        params=(*standing.raised.params, (TURNED_INTO, into.code)),
        evidence=None,
        acknowledged=None,
    )
    return replace(state, seen=state.seen - {ended.id}), ended


def stepped(state: AlarmsState, by_ns: int) -> AlarmsState:
    """The gateway's clock was set forward by `by_ns`: what is counted in seconds goes on as if it had not been."""
    standing = {
        key: Standing(
            replace(one.first, onset_ns=one.first.onset_ns + by_ns, at_ns=one.first.at_ns + by_ns),
            one.raised,
            None if one.gone_ns is None else one.gone_ns + by_ns,
        )
        for key, one in state.standing.items()
    }
    return replace(state, standing=MappingProxyType(standing))


def _worse_holds(state: AlarmsState, condition: Condition) -> bool:
    """Whether this is called for already, as something worse."""
    source, code, subject = condition.key
    worse = _TURNS_INTO.get((code, subject))
    return (subject != "" and state.holds(source, code, f"{subject}{RED}")) or (
        worse is not None and state.holds(source, *worse)
    )


def _raised(first: Condition, now: Condition, times: Times) -> AlarmCondition:
    name = f"{first.code}:{first.subject}" if first.subject else first.code
    return AlarmCondition(
        id=alarm_id(first.source, name, first.onset_ns),
        source=first.source,
        code=first.code,
        priority=now.priority,
        kind=first.kind,
        presence=Presence.PRESENT,
        onset_ns=first.onset_ns,
        detected_ns=now.at_ns,
        times=times,
        params=now.params,
        evidence=Evidence(
            now.rule,
            VERSION,
            deciding_sample=now.deciding_sample,
            confidence=now.confidence,
            spans=now.grounds.spans,
            reasons=now.grounds.reasons,
            models=now.grounds.models,
        ),
    )


def _put(state: AlarmsState, key: Key, standing: Standing) -> AlarmsState:
    return replace(state, standing=MappingProxyType({**state.standing, key: standing}))


def _drop(state: AlarmsState, key: Key) -> AlarmsState:
    return replace(state, standing=MappingProxyType({k: v for k, v in state.standing.items() if k != key}))
