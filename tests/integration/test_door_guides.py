"""The examples of docs/how-to/mqtt-door.md, folder-door.md and coap-door.md, run as they stand there but for addresses and folders."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

from protocols.nomenclature import EVT_DEVICE_SEEN
from protocols.record import Document, Observation
from tests.fixtures.mqtt_broker import GATEWAY_NAME, MqttBroker
from tests.fixtures.ports import free_udp_port
from tests.fixtures.ward_gateway import door_gateway, until
from wardlink.local.broker import write_broker
from wardlink.local.parts import find_or_unpack
from wardlink.local.places import Places

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs" / "how-to"


def blocks(guide: str, language: str) -> list[str]:
    """The code of a guide in one language, in its order."""
    return re.findall(rf"```{language}\n(.*?)```", (GUIDES / guide).read_text("utf-8"), flags=re.DOTALL)


async def shell(command: str, folder: Path, **environment: str) -> str:
    """Run it in a folder; what it printed."""
    running = await asyncio.create_subprocess_exec(
        "sh", "-euc", command, cwd=folder, env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await running.communicate()
    assert running.returncode == 0, errors.decode()
    return out.decode()


@pytest.mark.req("IOT-5.4e", surface="protocol")
async def test_the_mqtt_guide_from_the_certificates_to_the_answer(mqtt_broker: MqttBroker, usual_places: Places):
    folder, guide = mqtt_broker.folder, "mqtt-door.md"
    papers, make, send = blocks(guide, "sh")
    (settings,) = blocks(guide, "toml")
    reading, answer = blocks(guide, "json")
    (folder / "papers.sh").write_text(papers)
    (folder / "reading.json").write_text(reading)
    await shell(make.replace("DNS:broker.ward-7b", "IP:127.0.0.1"), folder)
    write_broker(folder, mqtt_broker.port, [GATEWAY_NAME], user="root" if os.geteuid() == 0 else "")
    await mqtt_broker.start()
    program = find_or_unpack("mosquitto_rr", usual_places, lambda _line: None)
    path = f"{program.executable.parent}:{os.environ['PATH']}"
    async with door_gateway(folder, settings.replace("broker.ward-7b:8883", f"127.0.0.1:{mqtt_broker.port}")) as at:
        here = send.replace("-h broker.ward-7b -p 8883", f"-h 127.0.0.1 -p {mqtt_broker.port}")
        said = await shell(here, folder, PATH=path, **program.env)
        assert json.loads(said) == json.loads(answer)
        await until(lambda: bool(at.stored("monitor-3", Observation)))
        (stored,) = at.stored("monitor-3", Observation)
        assert (stored.code, stored.value, stored.unit) == ("MDC_TEMP_BODY", 37.0, "Cel")
        await until(lambda: bool(at.events("monitor-3", EVT_DEVICE_SEEN)))
        (seen,) = at.events("monitor-3", EVT_DEVICE_SEEN)
        about = {"make": "Acme", "model": "M1", "serial": "0007", "firmware": "1.2"}
        assert dict(seen.params) == {"door": "mqtt", "listed": True, **about}


async def test_the_folder_guide_from_the_folder_to_the_taken_file(tmp_path: Path):
    guide, carts = "folder-door.md", tmp_path / "carts"
    make, write = (text.replace("/srv/carts", str(carts)) for text in blocks(guide, "sh"))
    (settings,) = blocks(guide, "toml")
    await shell(make, ROOT)
    async with door_gateway(tmp_path, settings.replace("/srv/carts", str(carts))) as at:
        await shell(write.replace("python -m", f"{sys.executable} -m"), ROOT)
        await until(lambda: (carts / "cart-6" / "taken").is_dir() and any((carts / "cart-6" / "taken").iterdir()))
        await until(lambda: bool(at.stored("cart-6", Document)) and at.samples("cart-6", "recorded/ecg") == 10 * 500)
        wanted = {"MDC_ECG_HEART_RATE", "MDC_ECG_TIME_PD_QRS"}
        await until(lambda: {o.code for o in at.stored("cart-6", Observation)} >= wanted)


@pytest.mark.req("IOT-5.4e", surface="protocol")
async def test_the_coap_guide_from_the_keys_to_a_reading_under_oscore_and_one_over_dtls(
    tmp_path: Path, usual_places: Places
):
    guide, ports = "coap-door.md", {"5683": free_udp_port(), "5684": free_udp_port()}
    keys, oscore, dtls = blocks(guide, "sh")
    (settings,) = blocks(guide, "toml")
    reading, credentials, thermometer = blocks(guide, "json")

    def here(text: str) -> str:
        for port, free in ports.items():
            for host in ("gateway", "0.0.0.0", "192.0.2.1"):
                text = text.replace(f"{host}:{port}", f"127.0.0.1:{free}")
        return text

    for name, text in (("reading", reading), ("credentials", credentials), ("thermometer", thermometer)):
        (tmp_path / f"{name}.json").write_text(here(text))
    client = find_or_unpack("coap-client-openssl", usual_places, lambda _line: None)
    programs = f"{client.executable.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    await shell(keys, tmp_path, PATH=programs)
    async with door_gateway(tmp_path, here(settings)) as at:
        await until(lambda: len(at.agent.said("door-open")) == 2)
        assert not (await shell(here(oscore), tmp_path, PATH=programs)).strip()
        await shell(here(dtls), tmp_path, PATH=programs, **client.env)
        for device, value in (("patch-4", 36.8), ("thermometer-7", 37.0)):
            await until(lambda device=device: bool(at.stored(device, Observation)))
            (stored,) = at.stored(device, Observation)
            assert (stored.code, stored.value, stored.unit) == ("MDC_TEMP_BODY", value, "Cel")
        await until(lambda: bool(at.events("patch-4", EVT_DEVICE_SEEN)))
        (seen,) = at.events("patch-4", EVT_DEVICE_SEEN)
        about = {"make": "Acme", "model": "P1", "serial": "0007"}
        assert dict(seen.params) == {"door": "coap", "listed": True, **about}
