"""One reading, one record (IOT-5.4d): the table of readings through every door, from outside programs, to the rows of a real hub's database."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.identity import Identity, save_identity
from hub.wards.domain import QUALITIES
from protocols.codec import decode
from protocols.nomenclature import EVT_FAULT
from tests.conformance.formats import JSON, WRITERS, carries
from tests.conformance.readings import READINGS, Reading, Wave
from tests.fixtures.agent import Gateway
from tests.fixtures.coap import CoapClient
from tests.fixtures.doors import Doors, Sender, reasons_of
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import write_config
from tests.fixtures.mqtt_broker import MqttBroker
from tests.fixtures.waiting import until, until_asked
from wardlink.local.places import Places

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
SENDERS = ("mosquitto_pub", "libcoap", "aiocoap", "curl", "browser")
WITHIN_S = 60.0
_ASK_AGAIN_S = 0.3
Row = tuple[object, ...]


@dataclass
class House:
    """The hub, the gateway, and who stands outside its doors."""

    hub: RunningHub
    senders: Mapping[str, Sender]

    def rows(self, device: str) -> list[str]:
        """What is stored of a device, without the moment of its arrival. The device's time to the millisecond, as the row has it."""
        return sorted(map(repr, self.stored(device)))

    def stored(self, device: str) -> list[Row]:
        """The rows as they are, the path within the device first."""
        return [*self.numbers(device), *self.waves(device)]

    def numbers(self, device: str) -> list[Row]:
        """The rows of readings."""
        found = self.hub.rows(
            "select s.path, e.code, e.site, e.unit, e.value_kind, o.comparator, o.value, o.text_value,"
            "       o.quality, extract(epoch from o.time) * 1000 + o.device_offset_ms"
            "  from observation o join series e using (series_id) join source s using (source_id)"
            "  join device d using (device_id) where d.name = %s",
            device,
        )
        return [
            (within(path, device), *row, QUALITIES[int(str(quality))], time_ms(at)) for path, *row, quality, at in found
        ]

    def waves(self, device: str, first: int = 0, n: int | None = None) -> list[Row]:
        """The rows of samples; `first` and `n`: of each group that holds these, these alone."""
        rows = self.hub.rows(
            "select s.path, t.leads, t.fs_hz, t.gains, t.offsets, t.units, w.first_sample, w.codec, w.samples, w.n, t.dtype,"
            "       extract(epoch from w.start) * 1000 + w.device_offset_ms"
            "  from waveform w join stream t using (stream_id) join source s using (source_id)"
            "  join device d using (device_id) where d.name = %s",
            device,
        )
        found: list[Row] = []
        for path, leads, fs_hz, gains, offsets, units, begin, codec, samples, held, dtype, at in rows:
            counts = decode(codec, samples, leads=len(leads), n=held, dtype=dtype).tolist()
            meaning = (within(path, device), leads, fs_hz, gains, offsets, units)
            if n is None:
                found.append((*meaning, begin, counts, time_ms(at)))
            elif begin <= first and first + n <= begin + held:
                cut = [lead[first - begin : first - begin + n] for lead in counts]
                found.append((*meaning, first, cut, time_ms(at)))
        return found

    def faults(self, device: str) -> list[str]:
        """What was said of the readings that could not be taken: where, what was expected and what was found."""
        found = self.hub.rows(
            "select v.params from device_event v join source s using (source_id) join device d using (device_id)"
            " where d.name = %s and v.code = %s",
            device,
            EVT_FAULT,
        )
        names = ("expected", "found")
        return sorted(repr([params[name] for name in names]) for (params,) in found)

    async def has(self, device: str, rows: int, faults: int) -> None:
        """Wait for so many; asked now and then, and in a thread, as the hub works in this process."""
        await until_asked(lambda: asyncio.to_thread(self._has, device, rows, faults), WITHIN_S)

    def _has(self, device: str, rows: int, faults: int) -> bool:
        time.sleep(_ASK_AGAIN_S)
        return len(self.rows(device)) >= rows and len(self.faults(device)) >= faults


def within(path: str, device: str) -> str:
    return path.removeprefix(f"{device}/")


def time_ms(found: object) -> int | None:
    return None if found is None else round(float(str(found)))


def expected(reading: Reading) -> str:
    """The row that a reading must become, as it is compared."""
    return repr(row_of(reading))


def row_of(reading: Reading) -> Row:
    """The row that a reading must become."""
    assert reading.expected is not None
    at_ms = None if reading.device_ns is None else round(reading.device_ns / 1e6)
    value, unit = reading.expected
    if isinstance(reading.value, Wave):
        wave = reading.value
        meaning = ([reading.code], wave.fs_hz, [reading.gain], [0.0], [unit])
        return (reading.path, *meaning, wave.first_sample, [list(wave.samples)], at_ms)
    kind = "coded" if reading.coded else "text" if isinstance(value, str) else "number"
    number, text = (None, value) if isinstance(value, str) else (value, None)
    series = (reading.path, reading.code, reading.site, unit, kind)
    return (*series, reading.comparator or None, number, text, reading.quality, at_ms)


@asynccontextmanager
async def house(
    folder: Path, hub: RunningHub, broker: MqttBroker, libcoap: CoapClient, places: Places, *kinds: str
) -> AsyncGenerator[House]:
    devices = {sender: [name_of(sender, kind) for kind in kinds] for sender in SENDERS}
    doors = Doors(folder, devices, broker, libcoap, places)
    papers = await hub.enrol("gateway-1")
    save_identity(
        folder / "state",
        Identity(papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem),
    )
    await broker.start()
    agent = Gateway(write_config(folder, doors.settings()))
    await agent.start()
    try:
        await until(lambda: len(agent.said("door-open")) == 4, WITHIN_S)
        async with doors.senders() as senders:
            yield House(hub, senders)
    except BaseException:
        print(*agent.log, sep="\n")
        raise
    finally:
        await agent.kill()


def name_of(sender: str, media_type: str) -> str:
    return f"{sender}-{list(WRITERS).index(media_type)}"


@pytest.mark.req("IOT-5.4d", "IOT-5.4e", surface="protocol")
async def test_the_same_readings_are_the_same_rows_through_every_door_in_every_format(
    tmp_path: Path,
    hub: RunningHub,
    mqtt_broker: MqttBroker,
    coap_client: Callable[[str], CoapClient],
    usual_places: Places,
):
    async with house(tmp_path, hub, mqtt_broker, coap_client("openssl"), usual_places, *WRITERS) as at:

        async def send_all(sender: str) -> None:
            for media_type, write in WRITERS.items():
                device = name_of(sender, media_type)
                body = write(device, 1, [r for r in READINGS if carries(media_type, r)])
                said = reasons_of(await at.senders[sender](device, media_type, body))
                assert "finite" in said, said  # what cannot be kept is told with the answer

        await asyncio.gather(*(send_all(sender) for sender in SENDERS))
        for media_type in WRITERS:
            given = [r for r in READINGS if carries(media_type, r)]
            kept = sorted(expected(r) for r in given if r.expected is not None)
            assert len(kept) >= 20
            refused = [r for r in given if r.expected is None]
            names = [name_of(sender, media_type) for sender in SENDERS]
            for name in names:
                await at.has(name, len(kept), len(refused))
                assert at.rows(name) == kept, name
                assert at.faults(name) == at.faults(names[0]), name
                assert len(at.faults(name)) == len(refused)
        # what could not be read waits there for an engineer, and nothing else
        assert hub.rows("select distinct reason from quarantine") == [("undecodable",)]


@pytest.mark.req("IOT-5.4d", surface="protocol")
async def test_a_reading_that_no_door_can_take_is_refused_by_each_with_the_same_reason_that_names_the_field(
    tmp_path: Path,
    hub: RunningHub,
    mqtt_broker: MqttBroker,
    coap_client: Callable[[str], CoapClient],
    usual_places: Places,
):
    refused = [r for r in READINGS if r.expected is None]
    async with house(tmp_path, hub, mqtt_broker, coap_client("gnutls"), usual_places, JSON) as at:

        async def send_all(sender: str) -> list[str]:
            device = name_of(sender, JSON)
            said: list[str] = []
            for number, reading in enumerate(refused):
                answer = await at.senders[sender](device, JSON, WRITERS[JSON](device, number, [reading]))
                said.append(reasons_of(answer))
            return said

        answers = await asyncio.gather(*(send_all(sender) for sender in SENDERS))
        for reading, *said in zip(refused, *answers, strict=True):
            field, _, rest = said[-1].partition(": ")
            assert "record" in field, field
            assert reading.because in rest
            for sender, words in zip(SENDERS, said, strict=True):
                assert said[-1] in words, (sender, words)
        for sender in SENDERS:
            await at.has(name_of(sender, JSON), 0, len(refused))
            assert not at.rows(name_of(sender, JSON))
