"""A nurse acknowledges on the page, and the gateway ends what it kept latched: now, or when it comes back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from edge.app import Agent
from edge.identity import Identity, save_identity
from edge.pipeline.batcher import Batcher
from edge.settings import load_settings
from edge.spool import Limits, Spool
from protocols.link import Lane, LinkSender
from protocols.record import AlarmCondition, Presence
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import write_config
from tests.fixtures.web import SOURCE, RunningWeb, fibrillation, now_ns

pytestmark = pytest.mark.integration
# A device whose line is never there: the agent knows it, and its alarms, from before.
DEVICE = f'[[devices]]\nid = "{SOURCE.device}"\nfamily = "cyton"\nurl = "/nowhere/tty"\n'


class Gateway:
    """An enrolled gateway whose spool holds a fibrillation from before the start."""

    def __init__(self, folder: Path, devices: str) -> None:
        self.folder, self.devices = folder, devices

    async def enrol(self, hub: RunningHub) -> None:
        papers = await hub.enrol("gateway-1")
        self.tenant, self.name = papers.tenant, papers.gateway
        identity = Identity(
            papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem
        )
        save_identity(self.folder / "state", identity)

    async def suffered(self, *changes: AlarmCondition) -> None:
        """Put the changes of an alarm into the spool, as an agent that has ended since did."""
        spool = await Spool.open(self.folder / "state" / "spool", now_ns, Limits())
        link = LinkSender(self.tenant, self.name, spool.epoch)
        for lane in Lane:
            link.spool_opened(lane, spool.held(lane), spool.newest(lane))
        batcher = Batcher(spool, link, lambda _: None)
        batcher.add(changes)
        await batcher.close_all()
        await spool.close()

    async def active(self) -> list[AlarmCondition]:
        """What the spool still holds as going on."""
        spool = await Spool.open(self.folder / "state" / "spool", now_ns, Limits())
        try:
            return spool.active_alarms()
        finally:
            await spool.close()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Its agent, in this process."""
        stop = asyncio.Event()
        agent = asyncio.create_task(Agent(load_settings(write_config(self.folder, self.devices))).run(stop))
        try:
            yield
        finally:
            stop.set()
            await agent


async def told(client: httpx.AsyncClient, alarm: AlarmCondition) -> httpx.Response:
    """The alarm as the API tells it, once it is there."""
    async with asyncio.timeout(15):
        while True:
            answer = await client.get(f"/api/v1/alarms/{alarm.id}")
            if answer.status_code != 404:
                break
            await asyncio.sleep(0.02)
    assert answer.status_code == 200, answer.text
    return answer


def kinds(told_alarm: httpx.Response) -> list[str]:
    """What happened to the alarm, in order."""
    return [event["kind"] for event in told_alarm.json()["events"]]


async def until_ended(client: httpx.AsyncClient, alarm: AlarmCondition) -> httpx.Response:
    """The alarm, once the gateway has told its end."""
    async with asyncio.timeout(15):
        while True:
            found = await told(client, alarm)
            if "ended" in kinds(found):
                return found
            await asyncio.sleep(0.02)


@pytest.fixture(params=[DEVICE, ""], ids=["device-configured", "device-gone"])
async def gateway(request: pytest.FixtureRequest, hub: RunningHub, tmp_path: Path) -> Gateway:
    made = Gateway(tmp_path, request.param)
    await made.enrol(hub)
    return made


def latched() -> tuple[AlarmCondition, AlarmCondition]:
    onset_ns = now_ns() - 60_000_000_000
    return fibrillation(onset_ns), fibrillation(onset_ns, Presence.LATCHED, 20_000_000_000, evidence=False)


async def test_a_latched_alarm_ends_at_the_gateway_when_it_is_acknowledged(gateway: Gateway, web: RunningWeb):
    first, second = latched()
    await gateway.suffered(first, second)
    nurse = await web.signed_in()
    async with gateway.running():
        await told(nurse, first)
        assert (await nurse.post(f"/api/v1/alarms/{first.id}/acknowledge")).status_code == 200
        ended = await until_ended(nurse, first)
    assert kinds(ended).index("acknowledged") < kinds(ended).index("ended")
    assert kinds(ended).count("ended") == 1
    assert await gateway.active() == []


async def test_a_gateway_that_was_away_hears_of_it_when_it_comes_back(gateway: Gateway, web: RunningWeb):
    first, second = latched()
    await gateway.suffered(first, second)
    nurse = await web.signed_in()
    async with gateway.running():
        await told(nurse, first)
    assert (await nurse.post(f"/api/v1/alarms/{first.id}/acknowledge")).status_code == 200
    assert [alarm.id for alarm in await gateway.active()] == [first.id]
    async with gateway.running():
        await until_ended(nurse, first)
    assert await gateway.active() == []


async def test_an_alarm_whose_condition_holds_goes_on_after_its_acknowledgement(gateway: Gateway, web: RunningWeb):
    first, _ = latched()
    await gateway.suffered(first)
    nurse = await web.signed_in()
    async with gateway.running():
        await told(nurse, first)
        assert (await nurse.post(f"/api/v1/alarms/{first.id}/acknowledge")).status_code == 200
        await asyncio.sleep(0.5)
        assert (await told(nurse, first)).json()["presence"] == "present"
    assert [alarm.id for alarm in await gateway.active()] == [first.id]
