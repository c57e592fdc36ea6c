"""Figure `edge-rate`: processor time of the agent a thousand numerics, from an MQTT message to acknowledged, against thingsboard-gateway.

Each reads the same readings from a mosquitto of its own over mutual TLS (MQTT 5, QoS 1), as JSON in its own documented form, at the same pace.
The agent's go to a hub with its database, thingsboard-gateway's to a mosquitto that stands for the server (QoS 1, without TLS).
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from edge.identity import Identity, save_identity
from hub.migrations.runner import migrate
from tests.figures.entry import Entry, Figure
from tests.fixtures.agent import Gateway
from tests.fixtures.hub import RunningHub, running_hub
from tests.fixtures.hub_peer import write_config
from tests.fixtures.mqtt_broker import GATEWAY_NAME, MqttBroker
from tests.fixtures.waiting import until
from wardlink.local.database import Database, create_database, stack_down, stack_up
from wardlink.local.parts import find_or_unpack
from wardlink.local.places import Places, default_places
from wardlink.local.ports import free_port

REFERENCE = "thingsboard-gateway==3.8.5"
VENV = Path(__file__).parents[2] / "build" / "thingsboard-gateway"
DEVICES = tuple(f"monitor-{number}" for number in range(1, 9))
PER_S = 5.0  # messages a second of each device
CODES = (
    ("MDC_ECG_HEART_RATE", "/min", 60),
    ("MDC_PULS_OXIM_PULS_RATE", "/min", 61),
    ("MDC_PULS_OXIM_SAT_O2", "%", 90),
    ("MDC_TTHOR_RESP_RATE", "/min", 12),
)
WARM_UP_S, SETTLED_S, IDLE_S, WITHIN_S = 6.0, 3.0, 6.0, 60.0
LEAST = 0.9  # that of the reference; runs on a busy machine brought 95 of 100
_TICKS = os.sysconf("SC_CLK_TCK")

# The first thing that it asks its server; without an answer it sends nothing.
ASKED, ANSWERED, LIMITS = (
    "v1/devices/me/rpc/request/",
    "v1/devices/me/rpc/response/",
    '{"rateLimits": {}, "gatewayRateLimits": {}}',
)

Line = Callable[[str, int], str]


@dataclass(frozen=True, slots=True)
class Form:
    """How many pairs, and for how long each of a pair."""

    runs: int
    measured_s: float


SHORT, LONG = Form(4, 20.0), Form(10, 60.0)


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds: of a thousand numerics with the idle work of their time, and of a second in which nothing comes."""

    thousand_s: float
    idle_s: float


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and of its children that have ended; of those that run, too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(int(ticks) for ticks in fields[11:15]) / _TICKS
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_s(int(child)) for child in children)


def package(device: str, number: int) -> str:
    """A device package as JSON (docs/reference/device-package.md)."""
    at_ns = str(time.time_ns())
    records = [
        {
            "source": f"{device}/{place}",
            "times": {"device_ns": at_ns},
            "observation": {"code": code, "number": base + number % 8, "unit": unit, "quality": "QUALITY_GOOD"},
        }
        for place, (code, unit, base) in enumerate(CODES)
    ]
    return json.dumps({"version": 1, "device": device, "number": number, "records": records})


def flat(_: str, number: int) -> str:
    """The same readings, as the JSON converter of thingsboard-gateway has them in its guide."""
    return json.dumps({code: base + number % 8 for code, _, base in CODES})


async def played(broker: MqttBroker, topic: str, line: Line, seconds: float, first: int) -> int:
    """Publish at the pace; the number of messages of each device."""
    turns = round(seconds * PER_S)
    senders = [await _sender(broker, device, topic) for device in DEVICES]
    began_s = time.monotonic()
    for turn in range(turns):
        await asyncio.sleep(max(0.0, began_s + turn / PER_S - time.monotonic()))
        for device, sender in zip(DEVICES, senders, strict=True):
            assert sender.stdin is not None
            sender.stdin.write((line(device, first + turn) + "\n").encode())
    for sender in senders:
        assert sender.stdin is not None
        sender.stdin.close()
    for sender in senders:
        if await sender.wait():
            msg = f"mosquitto_pub ended with {sender.returncode}"
            raise RuntimeError(msg)
    return turns


async def _sender(broker: MqttBroker, device: str, topic: str) -> asyncio.subprocess.Process:
    broker.papers(device)
    return await asyncio.create_subprocess_exec(
        str(broker.publisher.executable), "-V", "5", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-l",
        "--cafile", "ca.pem", "--cert", f"{device}.pem", "--key", f"{device}.key", "-t", f"bedside/{device}/{topic}",
        cwd=broker.folder, env={"PATH": "/usr/bin:/bin", **broker.publisher.env}, stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def spent(
    broker: MqttBroker,
    topic: str,
    line: Line,
    pid: int,
    arrived: Callable[[], Awaitable[int]],
    form: Form,
    least: float = 1.0,
) -> Cost:
    """What the numerics that were sent cost, of which the share `least` has to arrive. The warm-up is not counted."""
    await played(broker, topic, line, WARM_UP_S, 1)
    await asyncio.sleep(SETTLED_S)
    warm = await arrived()
    idle_s = cpu_s(pid)
    await asyncio.sleep(IDLE_S)
    before_s = cpu_s(pid)
    idle_s = (before_s - idle_s) / IDLE_S
    numerics = await played(broker, topic, line, form.measured_s, 10_000) * len(DEVICES) * len(CODES)
    await _all_arrived(arrived, warm + round(least * numerics))
    await asyncio.sleep(SETTLED_S)
    return Cost((cpu_s(pid) - before_s) / numerics * 1000, idle_s)


async def _all_arrived(arrived: Callable[[], Awaitable[int]], expected: int) -> None:
    until_s = time.monotonic() + WITHIN_S
    while (found := await arrived()) < expected:
        if time.monotonic() > until_s:
            msg = f"expected {expected} numerics, {found} have arrived"
            raise TimeoutError(msg)
        await asyncio.sleep(0.2)


@asynccontextmanager
async def _broker(folder: Path, places: Places) -> AsyncGenerator[MqttBroker]:
    await asyncio.to_thread(folder.mkdir)
    names = ("mosquitto", "mosquitto_pub", "mosquitto_sub")
    server, publisher, subscriber = (find_or_unpack(name, places, lambda _line: None) for name in names)
    broker = MqttBroker(folder, server, publisher, subscriber)
    broker.prepare()
    await broker.start()
    try:
        yield broker
    finally:
        broker.kill()


async def agent_cost(folder: Path, places: Places, hub: RunningHub, name: str, form: Form) -> Cost:
    """Of the agent, with the hub's database at the other end."""
    async with _broker(folder / "broker", places) as broker:
        own = await hub.enrol(name)
        identity = Identity(own.tenant, own.gateway, hub.uplink, own.key_pem, own.certificate_pem, own.ca_pem)
        save_identity(folder / "state", identity)
        agent = Gateway(write_config(folder, broker.settings(*DEVICES)))
        await agent.start()
        try:
            assert agent.process is not None

            async def arrived() -> int:
                found = hub.rows("select count(*) from observation")[0][0]
                return int(str(found))

            await until(lambda: bool(agent.said("door-open")))
            return await spent(broker, "package/json", package, agent.process.pid, arrived, form)
        except TimeoutError:
            print(*agent.log[-12:], sep="\n")
            raise
        finally:
            await agent.kill(signal.SIGTERM)


async def reference_cost(folder: Path, places: Places, form: Form) -> Cost:
    """Of thingsboard-gateway, with a broker in the place of its server."""
    async with _broker(folder / "broker", places) as broker, _sink(folder, broker) as (port, arrived):
        settings = _reference_settings(folder, broker, port)
        with (folder / "reference.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                VENV / "bin" / "python", "-m", "thingsboard_gateway.tb_gateway", cwd=folder,
                env={"PATH": "/usr/bin:/bin", "TB_GW_CONFIG_DIR": str(settings), "HOME": str(folder)},
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            await _subscribed(folder)
            return await spent(broker, "reading", flat, process.pid, arrived, form, LEAST)
        finally:
            process.kill()
            await process.wait()


async def _subscribed(folder: Path) -> None:
    """Until its log tells that it listens."""
    until_s = time.monotonic() + WITHIN_S
    while b"subscription success to topic bedside/" not in (folder / "reference.log").read_bytes():
        if time.monotonic() > until_s:
            msg = f"{REFERENCE} did not subscribe: {(folder / 'reference.log').read_text()[-2000:]}"
            raise TimeoutError(msg)
        await asyncio.sleep(0.2)


@asynccontextmanager
async def _sink(folder: Path, broker: MqttBroker) -> AsyncGenerator[tuple[int, Callable[[], Awaitable[int]]]]:
    """A broker that takes telemetry as ThingsBoard's does, and a count of the values that it was given."""
    port = free_port()
    (folder / "sink.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nacl_file {folder}/sink.acl\n"
    )
    # a server sends nobody its own requests back
    (folder / "sink.acl").write_text(
        "topic readwrite #\n\nuser figure\ntopic write v1/#\ntopic read v1/devices/me/rpc/response/+\n"
    )
    environment = {"PATH": "/usr/bin:/bin", **broker.mosquitto.env}
    server = await asyncio.create_subprocess_exec(
        broker.mosquitto.executable, "-c", folder / "sink.conf", env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    await asyncio.sleep(1)
    taken = folder / "telemetry"
    with taken.open("wb") as out:
        listener = await asyncio.create_subprocess_exec(
            "stdbuf", "-oL", broker.subscriber.executable, "-V", "5", "-h", "127.0.0.1", "-p", str(port), "-q", "1",
            "-t", "v1/gateway/telemetry", "-t", ASKED + "+", "-v", env={"PATH": "/usr/bin:/bin", **broker.subscriber.env}, stdout=out,
        )  # fmt: skip
    await asyncio.sleep(1)

    async def arrived() -> int:
        return await asyncio.to_thread(_values, taken)

    async def answer() -> None:
        await until(lambda: bool(_asked(taken)))
        teller = await asyncio.create_subprocess_exec(
            broker.publisher.executable, "-h", "127.0.0.1", "-p", str(port), "-q", "1",
            "-t", ANSWERED + _asked(taken), "-m", LIMITS, env={"PATH": "/usr/bin:/bin", **broker.publisher.env},
        )  # fmt: skip
        await teller.wait()

    answering = asyncio.create_task(answer())
    try:
        yield port, arrived
    finally:
        answering.cancel()
        for process in (listener, server):
            process.kill()
            await process.wait()


def _asked(taken: Path) -> str:
    """The number of what the reference has asked its server, "" before that."""
    return taken.read_text("utf-8", "replace").partition(ASKED)[2].partition(" ")[0]


def _values(taken: Path) -> int:
    """How many values of ours stand in the messages of the gateway API, one a line."""
    text = taken.read_text("utf-8", "replace")
    return sum(text.count(f'"{code}"') for code, _, _ in CODES)


def _reference_settings(folder: Path, broker: MqttBroker, port: int) -> Path:
    """As its guide has them: the shipped files, with addresses, certificates and keys of ours; its own counters and remote parts off."""
    shipped = next((VENV / "lib").glob("python3*/site-packages/thingsboard_gateway/config"))
    settings = folder / "config"
    settings.mkdir()
    shutil.copy(shipped / "logs.json", settings / "logs.json")
    main = json.loads((shipped / "tb_gateway.json").read_text())
    main["thingsboard"] |= {
        "host": "127.0.0.1",
        "port": port,
        "remoteConfiguration": False,
        "statistics": {"enable": False},
        "security": {"type": "accessToken", "accessToken": "figure"},
        **{name: "0:0," for name in main["thingsboard"] if name.endswith("ateLimits")},
    }
    main["connectors"] = [{"type": "mqtt", "name": "bedside", "configuration": "mqtt.json"}]
    (settings / "tb_gateway.json").write_text(json.dumps(main))
    files = {
        "pathToCACert": "ca.pem",
        "pathToClientCert": f"{GATEWAY_NAME}.pem",
        "pathToPrivateKey": f"{GATEWAY_NAME}.key",
    }
    connector = {
        "broker": {
            "host": "127.0.0.1", "port": broker.port, "clientId": "reference", "version": 5,
            "maxMessageNumberPerWorker": 10, "maxNumberOfWorkers": 100,
            "security": {"type": "certificates", **{name: str(broker.folder / file) for name, file in files.items()}},
        },
        "mapping": [
            {
                "topicFilter": "bedside/+/reading",
                "subscriptionQos": 1,
                "converter": {
                    "type": "json",
                    "deviceInfo": {
                        "deviceNameExpressionSource": "topic", "deviceNameExpression": "(?<=bedside/)(.*?)(?=/reading)",
                        "deviceProfileExpressionSource": "constant", "deviceProfileExpression": "default",
                    },
                    "sendDataOnlyOnChange": False,
                    "timeout": 60000,
                    "attributes": [],
                    "timeseries": [{"type": "integer", "key": code, "value": f"${{{code}}}"} for code, _, _ in CODES],
                },
            }
        ],
        "requestsMapping": {},
    }  # fmt: skip
    (settings / "mqtt.json").write_text(json.dumps(connector))
    return settings


def install_reference() -> None:
    """The reference in a folder of its own below build/, once."""
    if (VENV / "installed").exists():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    uv = Path(sys.executable).with_name("uv")
    python = str(VENV / "bin" / "python")
    for words in (
        ["venv", "--quiet", "--python", sys.executable, str(VENV)],
        ["pip", "install", "--quiet", "--python", python, REFERENCE],
    ):
        subprocess.run([str(uv), *words], check=True)
    (VENV / "installed").touch()


async def _compared(folder: Path, places: Places, form: Form) -> tuple[list[Cost], list[Cost]]:
    """Who is first changes from pair to pair, so that a machine that slows down or speeds up favours nobody."""
    ours: list[Cost] = []
    theirs: list[Cost] = []
    database = await asyncio.to_thread(stack_up, places, lambda _: None)
    for run in range(form.runs):
        for is_ours in (True, False) if run % 2 == 0 else (False, True):
            place = folder / f"{'ours' if is_ours else 'theirs'}{run}"
            place.mkdir()
            if is_ours:
                ours.append(await _with_hub(place, places, database, f"figure_{run}", form))
            else:
                theirs.append(await reference_cost(place, places, form))
    return ours, theirs


async def _with_hub(folder: Path, places: Places, database: Database, name: str, form: Form) -> Cost:
    target = create_database(database, name)
    migrate(target.url_for("wardlink_owner"))
    with closing(target.connect_admin()) as admin:
        admin.execute("update tenant set admission = 'open'")
    async with running_hub(target, folder / "hub") as hub:
        return await agent_cost(folder, places, hub, GATEWAY_NAME, form)


def _measure(form: Form) -> Sequence[Entry]:
    install_reference()
    folder = Path(tempfile.mkdtemp(prefix="wl-"))
    folder.chmod(0o755)
    places = replace(default_places(os.environ, None), data=folder / "data")
    try:
        ours, theirs = asyncio.run(_compared(folder, places, form))
    finally:
        stack_down(places, lambda _: None)
        shutil.rmtree(folder, ignore_errors=True)
    return [entry(ours, theirs, form)]


def entry(ours: Sequence[Cost], theirs: Sequence[Cost], form: Form) -> Entry:
    """The ratio of each pair; lower is better."""
    ratios = [own.thousand_s / other.thousand_s for own, other in zip(ours, theirs, strict=True)]
    details: dict[str, object] = {"numerics a second": round(len(DEVICES) * len(CODES) * PER_S)}
    for name, costs in (("agent", ours), ("thingsboard-gateway", theirs)):
        details[f"CPU ms a 1,000 numerics, {name}"] = round(1000 * median(cost.thousand_s for cost in costs))
        details[f"CPU ms a second without messages, {name}"] = round(1000 * median(cost.idle_s for cost in costs), 1)
    return Entry(
        id="edge-rate", group="edge", value=round(median(ratios), 3), unit="of thingsboard-gateway", gate=1, goal=0.3,
        reference=f"{REFERENCE}, MQTT connector, JSON converter, memory storage, QoS 1", higher_is_better=False,
        n=form.runs, interval=(round(min(ratios), 3), round(max(ratios), 3)), details=details,
    )  # fmt: skip


def measure(_: Path) -> Sequence[Entry]:
    """Median of the pairs."""
    return _measure(SHORT)


def measure_long(_: Path) -> Sequence[Entry]:
    """More pairs, and longer ones."""
    return _measure(LONG)


FIGURES = (
    Figure(
        "edge-rate",
        "edge",
        measure,
        code=("edge", "firmware_adapters", "models", "protocols", "hub", "tests/figures"),
        cached=False,
        long=measure_long,
    ),
)
