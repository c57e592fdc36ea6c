"""An alarm's grounds at the hub's API: of a recording that the screening heard, and of a release that told none."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.screening import chain
from models.signal import card, weights
from protocols.ecgfile.wfdb import read_record
from protocols.link import Lane
from protocols.nomenclature import V_FIB, lead
from protocols.record import NS_PER_S, AlarmCondition, Presence, Record
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import SOURCE, RunningWeb, deliver, fibrillation, now_ns
from tests.unit.screening.played import T0, of_record

pytestmark = pytest.mark.integration

FROM_S, TO_S = 48.0, 72.0  # flutter from 60 s on (tests/captures/ATTRIBUTION.md)


def alarm_of(recording: Path) -> AlarmCondition:
    """The first alarm of fibrillation that the whole screening raises for it, as if it were played now at the ward's device."""
    late_ns = now_ns() - T0 - round((TO_S - FROM_S) * NS_PER_S)
    state, told = chain.begin(), list[Record]()
    for group in of_record(read_record(recording), FROM_S, TO_S):
        times = replace(group.times, gateway_ns=group.times.gateway_ns + late_ns)
        state, out = chain.step(state, replace(group, source=SOURCE, times=times))
        told += out
    return next(a for a in told if isinstance(a, AlarmCondition) and (a.code, a.presence) == (V_FIB, Presence.PRESENT))


@pytest.mark.req("AIQ-4.5", "AIQ-6.3", surface="api")
async def test_an_alarm_of_a_recording_tells_how_sure_it_is_and_on_what_grounds(
    hub: RunningHub, web: RunningWeb, captures: Path
):
    alarm = alarm_of(captures / "vfdb-419-vf")
    await deliver(hub, await hub.peer("ward-7b"), Lane.ALARM, alarm)
    nurse = await web.signed_in()
    detail = (await nurse.get(f"/api/v1/alarms/{alarm.id}")).json()
    evidence = detail["evidence"]

    (model,) = evidence["models"]
    assert (model["name"], model["version"]) == ("lethal", "1")
    assert card.of("lethal").sha256["lethal.json"].startswith(model["sha256"])
    assert 0.5 < evidence["confidence"] < 1
    score = sum(reason["weight"] for reason in evidence["reasons"])
    meaning = weights.lethal().meaning
    assert meaning is not None
    assert evidence["confidence"] == pytest.approx(meaning.chance(score)), "the reasons add up to what is stated"
    assert {"base", "blunt", "waves"} <= {reason["code"] for reason in evidence["reasons"]}

    window, judged = evidence["spans"]
    assert (window["kind"], judged["kind"], judged["leads"]) == ("window", "judged", [lead("II"), lead("V1")])
    assert window["to_ms"] - window["from_ms"] == pytest.approx(4000, abs=1)
    assert detail["onset_ms"] - 3000 < window["from_ms"] < window["to_ms"] <= detail["detected_ms"] + 1
    strip = evidence["strip"]
    assert strip["first_sample"] <= window["from_sample"] < window["to_sample"] <= strip["first_sample"] + 2500
    assert len(evidence["beat_classes"]) == len(evidence["beats"]) > 3


async def test_an_alarm_of_an_older_release_is_read_as_it_was(hub: RunningHub, web: RunningWeb):
    alarm = fibrillation(now_ns() - 10 * NS_PER_S)
    await deliver(hub, await hub.peer("ward-7b"), Lane.ALARM, alarm)
    nurse = await web.signed_in()
    evidence = (await nurse.get(f"/api/v1/alarms/{alarm.id}")).json()["evidence"]
    assert (evidence["rule"], evidence["rule_version"], evidence["confidence"]) == ("lethal", "1", 0.97)
    assert (evidence["beats"], evidence["beat_classes"]) == ([1010, 1100], ["?", "?"])
    assert (evidence["spans"], evidence["reasons"], evidence["models"]) == ([], [], [])
    assert len(evidence["strip"]["leads"]) == 2
    page = await nurse.get(f"/alarm/{alarm.id}")
    assert page.status_code == 200
