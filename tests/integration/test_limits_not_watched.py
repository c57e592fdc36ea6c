"""A limit that the bed's gateway refuses is told as not watched, from the gateway's disk over the uplink to what the page gets."""

from pathlib import Path

import pytest

from edge.identity import Identity, save_identity
from hub.core.db import Database
from hub.core.history import OtherHistoryError
from hub.ingest.identity import GatewayIdentity
from hub.ingest.placement import placement_applied
from protocols.link import Connection, Lane
from protocols.nomenclature import HEART_RATE, SPO2
from protocols.uplink_pb2 import GatewayMessage, Hello, PlacementApplied, RefusedLimit
from tests.fixtures.gateway_peer import open_channel, open_stream
from tests.fixtures.hub import RunningHub
from tests.fixtures.sender import route_of, sender
from tests.fixtures.spool_records import ECG
from tests.fixtures.waiting import until_asked
from tests.fixtures.web import SOURCE, RunningWeb, deliver, heart_rate, now_ns
from tests.integration.test_web_beds import json_of, key_of
from tests.integration.test_web_limits import row, rows

pytestmark = pytest.mark.integration


@pytest.mark.req("IOT-8.3a", surface="api")
async def test_the_page_hears_which_limit_its_gateway_does_not_watch_and_why(
    web: RunningWeb, hub: RunningHub, tmp_path: Path
):
    assert ECG.device == SOURCE.device
    nurse = await web.signed_in()
    key = await key_of(nurse)
    since = (await json_of(nurse, f"/api/v1/beds/{key}/limits"))["since_ms"]

    async def is_now(expected: dict[str, object]) -> bool:
        """In the sheet that sets limits, and beside the numbers."""
        listed = rows(await json_of(nurse, f"/api/v1/beds/{key}/limits"))
        (bed,) = rows(await json_of(nurse, "/api/v1/ward/7b"), "beds")
        shown = {str(one["code"]): one["unwatched"] for one in rows(bed) if "unwatched" in one}
        return (
            expected == shown == {str(one["code"]): one["unwatched"] for one in listed if one["unwatched"] is not None}
        )

    async def sets(code: str, **bounds: float) -> None:
        wanted = {"since_ms": since, "limits": [{"code": code, **bounds}]}
        assert (await nurse.post(f"/api/v1/beds/{key}/limits", json=wanted)).is_success

    papers = await hub.enrol("gateway-1")
    identity = (papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem)
    save_identity(tmp_path, Identity(*identity))
    async with sender(tmp_path, route_of(tmp_path, [hub.uplink])) as agent:
        await agent.append(Lane.NUMERIC, heart_rate(70, now_ns()))
        await sets(SPO2, low=88)
        assert await is_now({})
        # A hub whose nomenclature counts heart beats by another unit than the gateway's.
        hub.do("update alarm_limit set unit = '/s' where code = %s", HEART_RATE)
        await until_asked(lambda: is_now({HEART_RATE: "unit"}))
        # What is not refused is watched beside it, and the patient's own goes before the one that is.
        await sets(HEART_RATE, low=45, high=140)
        await until_asked(lambda: is_now({}))
        await sets(HEART_RATE)
        await until_asked(lambda: is_now({HEART_RATE: "unit"}))
    # The gateway is away, and what it said holds; a bed without a device of it is none of its business.
    assert await is_now({HEART_RATE: "unit"})
    hub.do("update device_association set during = tstzrange(lower(during), now())")
    assert await is_now({})


async def test_what_gateways_of_other_versions_answer_is_taken_as_far_as_it_is_known(web: RunningWeb, hub: RunningHub):
    nurse, peer = await web.signed_in(), await hub.peer()
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(70, now_ns()))
    key = await key_of(nurse)
    own = peer.credentials
    hello = Hello(version=1, tenant=own.tenant, gateway=own.gateway, epoch=peer.epoch, connection=Connection.DATA.wire)

    def refused(reason: str, bed: str = "7b/1", code: str = HEART_RATE) -> RefusedLimit:
        return RefusedLimit(point_of_care=bed, code=code, reason=reason)

    async with open_channel(hub.uplink, own) as channel:
        stream = open_stream(channel)
        await stream.write(GatewayMessage(hello=hello).SerializeToString())

        async def becomes(expected: str | None, *answers: RefusedLimit) -> None:
            applied = PlacementApplied(version=1, refused=answers)
            await stream.write(GatewayMessage(placement_applied=applied).SerializeToString())

            async def is_shown() -> bool:
                found = row(await json_of(nurse, f"/api/v1/beds/{key}/limits"), HEART_RATE)
                return found["unwatched"] == expected

            await until_asked(is_shown)

        await becomes("a-later-word", refused("a-later-word"))
        await becomes(
            "unnamed",
            refused("<b>" * 1000),
            refused("unit", "7b/99"),
            refused("unit", "nowhere"),
            refused("unit", code="X\0"),
        )
        # A gateway of an earlier version names none, and is believed as it was.
        await becomes(None)
        assert hub.rows("select count(*) from limit_refusal") == [(0,)]
        stream.cancel()


async def test_what_was_learnt_from_another_history_of_the_database_names_no_gateway(hub: RunningHub):
    """Its id may be another gateway's by now, whose refusals these would replace."""
    async with Database(hub.database.url_for("wardlink_ingest"), "test") as database:
        before = GatewayIdentity(1, "default", 1, "gateway-1", b"", history=database.history.number - 1)
        with pytest.raises(OtherHistoryError):
            await placement_applied(database, before, PlacementApplied(version=1))
