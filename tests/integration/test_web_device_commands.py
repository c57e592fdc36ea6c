"""Commands to a device at its page and by the API: who may ask, what a form sends, what an engineer reads of what became of it."""

import re
from uuid import uuid4

import pytest

from hub.core.principal import Role
from protocols.link import Lane
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import RunningWeb, deliver, heart_rate, now_ns, token_of

pytestmark = pytest.mark.integration
OFFERS = """{"cyton-1": [{"code": "channel-power", "reads_back": true, "interrupts": true, "parameters": [
    {"name": "channel", "kind": "integer", "unit": "", "low": 1, "high": 8, "choices": []},
    {"name": "on", "kind": "boolean", "unit": "", "low": null, "high": null, "choices": []}]},
    {"code": "dance", "reads_back": false, "interrupts": false, "parameters": [
    {"name": "step", "kind": "choice", "unit": "", "low": null, "high": null, "choices": ["waltz", "<polka>"]}]},
    {"code": "warm", "reads_back": false, "interrupts": false, "parameters": [
    {"name": "to", "kind": "number", "unit": "Cel", "low": 20, "high": 40, "choices": []}]}]}"""


async def test_an_engineer_asks_by_a_form_or_by_the_api_and_reads_what_became_of_it(hub: RunningHub, web: RunningWeb):
    peer = await hub.peer("ward3")
    await deliver(hub, peer, Lane.NUMERIC, heart_rate(61, now_ns()))
    device = hub.rows("select device_id from device where name = 'cyton-1'")[0][0]
    chen, page, api = (
        await web.signed_in("chen", Role.ENGINEER, ()),
        f"/devices/{device}",
        f"/api/v1/devices/{device}/commands",
    )
    assert "has not said what this device can be told" in (await chen.get(page)).text
    assert (await chen.get(api)).json() == {"offers": None, "commands": []}

    hub.do(
        "insert into gateway_offer (gateway_id, tenant_id, ledger, devices)"
        f" select gateway_id, tenant_id, decode(repeat('00', 16), 'hex'), '{OFFERS}' from gateway where name = 'ward3'"
    )
    told = await chen.get(page)
    assert re.search(
        r'<input type="number" name="channel" required autocomplete="off" min="1" max="8" step="1">', told.text
    )
    assert '<option value="&lt;polka&gt;">' in told.text
    given = re.findall(r'name="id" value="([0-9a-f-]{36})"', told.text)
    assert len(set(given)) == 3, "a form is one command, however often it is sent"
    form = {"csrf": token_of(told), "id": given[0], "code": "channel-power", "channel": "3", "on": "false"}
    for _ in range(2):
        assert (await chen.post(page + "/commands", data=form)).status_code == 303
    for wrong in ({"channel": "three"}, {"code": "jump"}, {"id": "7"}):
        assert (await chen.post(page + "/commands", data=form | wrong)).status_code == 422
    [asked] = (await chen.get(api)).json()["commands"]
    assert (asked["id"], asked["code"], asked["parameters"]) == (given[0], "channel-power", {"channel": 3, "on": False})
    assert (asked["state"], asked["asked_by"][:5]) == ("asked", "user:")
    shown = (await chen.get(page)).text
    assert "user:" not in shown
    assert "· chen</small>" in shown.lower(), "who asked, by the name that people know"

    body = {"id": str(uuid4()), "code": "dance", "parameters": {"step": "waltz"}, "within_s": 5}
    answer = await chen.post(api, json=body)
    assert (answer.status_code, answer.json()["id"]) == (200, body["id"])
    assert (await chen.post(api, json=body | {"code": "sing"})).status_code == 409
    assert (await chen.post(api, json=body | {"within_s": 3601})).status_code == 422
    for number in ("NaN", "Infinity", "-Infinity", "1e999"):  # JSON has none of them, its readers take them all
        sent = f'{{"code": "warm", "parameters": {{"to": {number}}}}}'
        headers = {"content-type": "application/json"}
        answer = await chen.post(api, content=sent, headers=headers)
        assert (answer.status_code, "finite" in answer.text) == (422, True), answer.text
        answer = await chen.post(api, content=f'{{"code": "warm", "within_s": {number}}}', headers=headers)
        assert answer.status_code == 422, answer.text
    warm = {"csrf": token_of(told), "id": str(uuid4()), "code": "warm"}
    for number in ("nan", "inf", "-Infinity", "1e999"):
        assert (await chen.post(page + "/commands", data=warm | {"to": number})).status_code == 422
    assert (await chen.post("/api/v1/devices/99999/commands", json=body)).status_code == 404
    assert (await chen.get(f"{api}/{uuid4()}")).status_code == 404
    hub.do(
        "insert into device_command_event (tenant_id, device_command_id, state, reason, details, seen)"
        f""" values (1, '{body["id"]}', 'unconfirmed', 'differs', 'the device says <polka>', '{{"on": true}}')"""
    )
    shown = (await chen.get(page)).text
    assert "unconfirmed</span>" in shown
    assert "The device says something else than was wanted." in shown
    assert "the device says &lt;polka&gt;" in shown
    assert "<b>dance</b> · step: waltz" in shown
    assert "Channel: 3 · On: no" in shown
    assert "On: yes</p>" in shown
    await chen.get("/lang/zh_Hans?next=/")
    assert "设备回读值与要求不一致" in (await chen.get(page)).text

    for role, may_read in ((Role.NURSE, 403), (Role.ADMINISTRATOR, 200), (Role.BUREAU, 200)):
        other = await web.signed_in(f"other-{role}", role, ())
        assert (await other.get(api)).status_code == may_read
        assert (await other.post(api, json=body | {"id": str(uuid4())})).status_code == 403
        assert 'details class="ask command"' not in (await other.get(page)).text
    assert hub.rows("select count(*) from device_command") == [(2,)]
