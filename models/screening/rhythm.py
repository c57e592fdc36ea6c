"""Turn one source's assessed ECG into heart rate, the conditions asystole, VF, VT, extreme brady- and tachycardia, and episodes of rhythm.

What a signal shows is found by `models.signal.monitor`; here stand the thresholds at which a finding is a condition. Leads
that cannot be judged are handed on as missing, so lead-off is never asystole; a hole in the sample numbers likewise. Of a source with many
leads the first two are watched, and the next that can be judged once neither of these could for `BLIND_S`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from models.screening import episodes, grounds, runs
from models.screening.alarms import LIVES, NO_GROUNDS, Condition
from models.screening.assess import MAX_HOLE_S, UNJUDGEABLE
from models.screening.episodes import NO_EPISODES, Episodes
from models.signal import monitor
from models.signal.frames import HOP_S
from protocols.nomenclature import ASYSTOLE, BRADY_EXTREME, HEART_RATE, TACHY_EXTREME, V_FIB, V_TACHY
from protocols.record import NS_PER_S, AlarmKind, DeviceEvent, Observation, Quality, SourcePath, WaveformGroup

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.screening.placement import Placement
    from models.signal.lethal import LethalScore
    from models.signal.weights import Models

LETHAL_ON = 0.85  # smoothed score; chosen on held-out records of vfdb and DS1, docs/decisions/0020
LETHAL_OFF = 0.4
LETHAL_ONSET_S = 3.0  # half the window and half the smoothing: how far a score lies behind its cause
FIBRILLATION = 0.5
# Each wave of a tachycardia is a beat. Where fewer than half of them are found as one, there are none to count (docs/decisions/0117).
BEATING = 0.5
# As long as its alarm has not ended, what would keep a rhythm brings it back.
RESUMES_HOPS = round(LIVES[V_FIB].off_s / HOP_S)
RATE_EVERY_HOPS = 2
BLIND_S = 2.0  # so long no lead that is watched can be judged before others are watched in its place
RATE_AVERAGE_NS = 6 * NS_PER_S
BEATS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Faded:
    """A lethal rhythm whose score fell away: which, and at what hop."""

    code: str
    hop: int


@dataclass(frozen=True, slots=True)
class Hop:
    """What the monitor found in a hop, and what held at its end."""

    finding: monitor.Finding
    holding: frozenset[str]
    shown: frozenset[str]


@dataclass(frozen=True, slots=True)
class Watch:
    """One source's stretch: sample number of its first sample, the monitor's state, the beats with the class of each, and what holds.

    `shown`: what holds, or the run of beats that goes before it. `episodes`: those that go on; `newest`: the hops that the newest group completed.
    `rows`: which of the source's leads are watched; `blind`: for how many samples none of them could be judged.
    """

    leads: tuple[str, ...]
    fs_hz: float
    base: int
    next_sample: int
    monitor: monitor.MonitorState
    beats: tuple[int, ...] = ()
    classes: Mapping[int, str] = field(default_factory=lambda: MappingProxyType(dict[int, str]()))
    holding: frozenset[str] = frozenset()
    hops: int = 0
    faded: Faded | None = None
    shown: frozenset[str] = frozenset()
    episodes: Episodes = field(default_factory=lambda: NO_EPISODES)
    newest: tuple[Hop, ...] = ()
    rows: tuple[int, ...] = ()
    blind: int = 0

    @property
    def watched(self) -> tuple[str, ...]:
        """The leads that are watched."""
        return tuple(self.leads[row] for row in self.rows)


@dataclass(frozen=True, slots=True)
class RhythmState:
    """A watch for each source of ECG."""

    watches: Mapping[SourcePath, Watch] = field(default_factory=lambda: MappingProxyType(dict[SourcePath, Watch]()))


def step(
    state: RhythmState, group: WaveformGroup, samples: "NDArray[np.float64]", placement: "Placement", models: "Models"
) -> tuple[RhythmState, tuple[Observation | Condition | DeviceEvent, ...]]:
    """Take an assessed and aligned group; heart rates about once a second, each condition as it stands, every hop, and episodes.

    `samples`: those of the group in millivolt, shape (leads, n), NaN where there is none.
    """
    watch = state.watches.get(group.source)
    hole = 0 if watch is None else group.first_sample - watch.next_sample
    if (
        watch is None
        or watch.leads != group.leads
        or watch.fs_hz != group.fs_hz
        or not 0 <= hole <= MAX_HOLE_S * group.fs_hz
    ):
        watch, hole = _anew(group, tuple(range(len(group.leads))), models, watch), 0
    judgeable = [mark not in UNJUDGEABLE for mark in group.quality] or [True] * len(group.leads)
    others = tuple(row for row, able in enumerate(judgeable) if able)
    if others and watch.blind >= BLIND_S * group.fs_hz and not set(others) & set(watch.rows):
        held = watch.holding & {V_FIB, V_TACHY}
        watch, hole = _anew(group, others, models, watch), 0
        if held:  # another lead, the same heart: its alarm goes on if the next scores do not speak against it
            watch = replace(watch, faded=Faded(next(iter(held)), 0))
    samples, able = samples[list(watch.rows)], [judgeable[row] for row in watch.rows]
    blind = 0 if any(able) else watch.blind + hole + samples.shape[1]
    if not all(able):
        samples = np.where(np.array(able)[:, None], samples, np.nan)
    if hole:
        samples = np.concatenate([np.full((len(samples), hole), np.nan), samples], axis=1)
    watched, findings = monitor.feed(watch.monitor, samples, group.fs_hz, models)
    watch = Watch(
        watch.leads, watch.fs_hz, watch.base, group.end_sample, watched,
        watch.beats, watch.classes, watch.holding, watch.hops, watch.faded, watch.shown, watch.episodes, (), watch.rows, blind,
    )  # fmt: skip
    out: list[Observation | Condition | DeviceEvent] = []
    newest: list[Hop] = []
    for finding in findings:
        watch, told = _hop(watch, group, finding, placement, models)
        going, events = episodes.step(watch.episodes, group, watch.base, finding.seen, finding.atria)
        if going is not watch.episodes:
            watch = replace(watch, episodes=going)
        newest.append(Hop(finding, watch.holding, watch.shown))
        out += [*told, *events]
    watch = replace(watch, newest=tuple(newest))
    return RhythmState(MappingProxyType({**state.watches, group.source: watch})), tuple(out)


def _anew(group: WaveformGroup, rows: tuple[int, ...], models: "Models", before: Watch | None) -> Watch:
    """A watch of the first of these leads that begins with a group; episodes go on."""
    rows = rows[: monitor.MAX_LEADS]
    return Watch(
        group.leads,
        group.fs_hz,
        group.first_sample,
        group.first_sample,
        monitor.begin(len(rows), group.fs_hz, models),
        episodes=NO_EPISODES if before is None else before.episodes,
        rows=rows,
    )


def stepped(state: RhythmState, by_ns: int) -> RhythmState:
    """The gateway's clock was set forward by `by_ns`."""
    moved = {
        source: replace(watch, episodes=episodes.stepped(watch.episodes, by_ns)) if watch.episodes else watch
        for source, watch in state.watches.items()
    }
    return RhythmState(MappingProxyType(moved))


def _hop(
    watch: Watch, group: WaveformGroup, finding: monitor.Finding, placement: "Placement", models: "Models"
) -> tuple[Watch, list[Observation | Condition]]:
    beats = (*watch.beats, *(watch.base + b for b in finding.beats))[-BEATS_KEPT:]
    named = {**watch.classes, **{watch.base + at: str(found.kind) for at, found in finding.classified}}
    classes = MappingProxyType({at: named[at] for at in beats if at in named})
    deciding = watch.base + finding.end - 1
    out: list[Observation | Condition] = []
    holding = shown = watch.holding
    faded = watch.faded if watch.faded and watch.hops - watch.faded.hop <= RESUMES_HOPS else None
    if finding.usable:
        holding = _holding(watch.holding, finding, placement, faded.code if faded else None)
        if gone := (watch.holding & {V_FIB, V_TACHY}) - holding:
            faded = Faded(next(iter(gone)), watch.hops)
        if holding & {V_FIB, V_TACHY}:
            faded = None
        since = {
            V_FIB: finding.end - round(LETHAL_ONSET_S * watch.fs_hz),
            V_TACHY: finding.end - round(LETHAL_ONSET_S * watch.fs_hz),
            ASYSTOLE: finding.judged - round(finding.quiet_s * watch.fs_hz),
        }
        score, judged = finding.lethal, watch.base + finding.judged
        run = None if holding & {V_FIB, V_TACHY, ASYSTOLE} else runs.newest(beats, classes, deciding, watch.fs_hz)
        shown = holding if run is None else frozenset({V_TACHY})
        for code in (V_FIB, V_TACHY, ASYSTOLE, BRADY_EXTREME, TACHY_EXTREME):
            present, watched = code in shown, placement.rhythms[code]
            lethal = code in (V_FIB, V_TACHY) and not (run and code == V_TACHY)
            onset = run.first if run and code == V_TACHY else watch.base + max(0, since.get(code, finding.end))
            basis = NO_GROUNDS
            if present and lethal and score and code not in watch.holding:  # as costly as it is rare
                basis = grounds.of_waves(score, models.lethal, deciding + 1, watch.fs_hz, watch.watched)
            elif present and run and code == V_TACHY:
                basis = grounds.of_run(run, models.qrs, models.beats)
            elif present and not lethal:
                basis = (
                    grounds.of_pause(onset, judged, models.qrs)
                    if code == ASYSTOLE
                    else grounds.of_rate(beats, judged, watch.fs_hz, models.qrs)
                )
            out.append(
                Condition(
                    source=group.source,
                    code=code,
                    present=present,
                    priority=watched.priority,
                    kind=AlarmKind.PHYSIOLOGICAL,
                    onset_ns=group.time_of(onset),
                    at_ns=group.time_of(deciding),
                    rule="lethal" if lethal else "beats",
                    deciding_sample=deciding,
                    params=(*_params(code, finding, placement), *_counted(run), *watched.told) if present else (),
                    confidence=models.lethal.meaning.chance(score.lethal)
                    if lethal and score and models.lethal.meaning
                    else None,
                    grounds=basis,
                    life=watched.life,
                )
            )
    hops = watch.hops + 1
    if hops % RATE_EVERY_HOPS == 0 and finding.rate_per_min is not None:
        if V_FIB in holding or (V_TACHY in holding and not _beats(finding.beating)):
            sure = Quality.UNUSABLE  # fibrillation has waves, no beats to count
        elif any(group.quality[row] is Quality.GOOD for row in watch.rows):
            sure = Quality.GOOD
        else:
            sure = Quality.QUESTIONABLE
        at = group.time_of(deciding)
        out.append(
            Observation(
                group.source,
                HEART_RATE,
                round(finding.rate_per_min, 1),
                "/min",
                replace(group.times, device_ns=None, corrected_ns=at),
                averaging_ns=RATE_AVERAGE_NS,
                quality=sure,
            )
        )
    return replace(watch, beats=beats, classes=classes, holding=holding, hops=hops, faded=faded, shown=shown), out


def _counted(run: runs.Run | None) -> tuple[tuple[str, float], ...]:
    return () if run is None else (("beats", run.beats), ("beats_per_min", round(run.rate_per_min)))


def _params(code: str, finding: monitor.Finding, placement: "Placement") -> tuple[tuple[str, float], ...]:
    limits = placement.extremes
    if code == ASYSTOLE:
        return (("pause_s", round(finding.quiet_s, 1)), ("limit_s", limits.asystole_s))
    rate = () if finding.rate_per_min is None else (("heart_rate", round(finding.rate_per_min)),)
    bound = {BRADY_EXTREME: limits.low_per_min, TACHY_EXTREME: limits.high_per_min}
    return (*rate, *((("limit_per_min", bound[code]),) if code in bound else ()))


def _holding(
    before: frozenset[str], finding: monitor.Finding, placement: "Placement", faded: str | None
) -> frozenset[str]:
    """One cause, one alarm: fibrillation goes before asystole, asystole before tachycardia, these before the extremes."""
    current = lethal_rhythm(before & {V_FIB, V_TACHY}, faded, finding.lethal, finding.beating)
    if V_FIB in current:
        return current
    limits = placement.extremes
    if finding.quiet_s > limits.asystole_s:
        return frozenset({ASYSTOLE})
    if current or finding.rate_per_min is None:
        return current
    if finding.rate_per_min < limits.low_per_min:
        return frozenset({BRADY_EXTREME})
    if finding.rate_per_min > limits.high_per_min:
        return frozenset({TACHY_EXTREME})
    return frozenset()


def _beats(beating: float | None) -> bool:
    """Whether there are beats to count; where that cannot be told, nothing says that they have gone."""
    return beating is None or beating >= BEATING


def lethal_rhythm(
    held: frozenset[str], faded: str | None, score: "LethalScore | None", beating: float | None
) -> frozenset[str]:
    """Fibrillation, ventricular tachycardia or neither, by what held at the hop before and what faded a few seconds ago.

    A score between the two thresholds keeps what holds, and brings back what faded: its alarm has not ended yet, and a short
    stretch of noise is no cure (docs/decisions/0115). Tachycardia calls already: it is named fibrillation when its score says
    so and its beats are no longer found, of which `beating` is the share (docs/decisions/0117).
    """
    if score is None:
        return held
    if score.lethal >= LETHAL_ON:
        called = V_TACHY in held or faded == V_TACHY
        fibrillates = score.fibrillation >= FIBRILLATION and not (called and _beats(beating))
        return frozenset({V_FIB if fibrillates or V_FIB in held or faded == V_FIB else V_TACHY})
    if score.lethal < LETHAL_OFF:
        return frozenset()
    return held or frozenset([faded] if faded else [])
