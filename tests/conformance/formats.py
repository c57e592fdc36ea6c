"""Writes readings as a device would, format by format. It imports nothing of the decoders; protobuf modules count as the specification."""

import base64
import json
import math
import struct
from collections.abc import Callable, Iterable, Mapping

import cbor2

from protocols import device_package_pb2 as pb
from protocols.package import JsonObject
from tests.conformance.readings import Reading, Wave

PROTOBUF = "application/vnd.wardlink.package+protobuf"
JSON = "application/vnd.wardlink.package+json"
SENML_CBOR = "application/senml+cbor"
SENML_JSON = "application/senml+json"

# RFC 8428 table 6
_LABELS = {"bn": -2, "bt": -3, "n": 0, "u": 1, "v": 2, "vs": 3, "t": 6, "vd": 8}
# SenML's own names where they differ from UCUM's (RFC 8428 table 2)
_SENML_UNITS = {"1": "/", "/min": "1/min", "{beats}/min": "beat/min"}

Writer = Callable[[str, int, Iterable[Reading]], bytes]


def _samples(wave: Wave) -> bytes:
    return struct.pack(f"<{len(wave.samples)}{'h' if wave.bits == 16 else 'i'}", *wave.samples)


def protobuf(device: str, number: int, readings: Iterable[Reading]) -> bytes:
    """A DevicePackage. The sender's word on the gateway's clock is wrong on purpose."""
    package = pb.DevicePackage(version=1, device=device, number=number)
    package.identity.CopyFrom(pb.DeviceIdentity(make="Acme", model="M1", serial="0007", firmware="1.2"))
    for reading in readings:
        record = package.records.add(source=f"{device}/{reading.path}")
        record.times.gateway_ns = 1
        if reading.device_ns is not None:
            record.times.device_ns = reading.device_ns
        if isinstance(reading.value, Wave):
            wave = reading.value
            record.waveform.leads.append(reading.code)
            record.waveform.fs_hz, record.waveform.first_sample = wave.fs_hz, wave.first_sample
            record.waveform.dtype = pb.DTYPE_INT16 if wave.bits == 16 else pb.DTYPE_INT32
            record.waveform.n, record.waveform.samples = len(wave.samples), _samples(wave)
            record.waveform.scales.add(gain=wave.gain, unit=wave.unit)
            continue
        observation = record.observation
        observation.code, observation.unit, observation.site = reading.code, reading.unit, reading.site
        observation.comparator, observation.quality = reading.comparator, pb.QUALITY_GOOD
        if isinstance(reading.value, int | float):
            observation.number = reading.value
        elif reading.value is not None and reading.coded:
            observation.coded = reading.value
        elif reading.value is not None:
            observation.text = reading.value
    return package.SerializeToString()


def _json_record(device: str, reading: Reading) -> JsonObject:
    record: JsonObject = {"source": f"{device}/{reading.path}"}
    if reading.device_ns is not None:
        record["times"] = {"device_ns": str(reading.device_ns)}
    if isinstance(reading.value, Wave):
        wave = reading.value
        record["waveform"] = {
            "leads": [reading.code],
            "fs_hz": wave.fs_hz,
            "first_sample": wave.first_sample,
            "dtype": f"DTYPE_INT{wave.bits}",
            "n": len(wave.samples),
            "samples": base64.b64encode(_samples(wave)).decode(),
            "scales": [{"gain": wave.gain, "unit": wave.unit}],
        }
        return record
    observation: JsonObject = {"code": reading.code, "unit": reading.unit, "quality": "QUALITY_GOOD"}
    if reading.site:
        observation["site"] = reading.site
    if reading.comparator:
        observation["comparator"] = reading.comparator
    if isinstance(reading.value, int | float):
        special = {math.inf: "Infinity", -math.inf: "-Infinity"}  # ProtoJSON
        observation["number"] = "NaN" if math.isnan(reading.value) else special.get(reading.value, reading.value)
    elif reading.value is not None:
        observation["coded" if reading.coded else "text"] = reading.value
    record["observation"] = observation
    return record


def package_json(device: str, number: int, readings: Iterable[Reading]) -> bytes:
    """The same package in ProtoJSON, with the names of the proto file, as a person would write it."""
    identity = {"make": "Acme", "model": "M1", "serial": "0007", "firmware": "1.2"}
    records = [_json_record(device, reading) for reading in readings]
    return json.dumps(
        {"version": 1, "device": device, "number": number, "identity": identity, "records": records}
    ).encode()


def _senml(device: str, number: int, readings: Iterable[Reading]) -> list[JsonObject]:
    pack: list[JsonObject] = [{"bn": f"{device}/", "n": "package", "v": number}]
    about = {"make": "Acme", "model": "M1", "serial": "0007", "firmware": "1.2"}
    pack += [{"n": name, "vs": text} for name, text in about.items()]
    for reading in readings:
        time = {} if reading.device_ns is None else {"t": reading.device_ns / 10**9}
        if isinstance(reading.value, Wave):
            wave = reading.value
            pack += [
                {"n": f"{reading.path}:fs", "u": "Hz", "v": wave.fs_hz},
                {"n": f"{reading.path}:first", "v": wave.first_sample},
                {"n": f"{reading.path}:bits", "v": wave.bits},
                {"n": f"{reading.path}:gain", "u": wave.unit, "v": wave.gain},
                {"n": f"{reading.path}:{reading.code}", "vd": _samples(wave), **time},
            ]
            continue
        name = f"{reading.path}:{reading.code}" + (f":{reading.site}" if reading.site else "")
        record: JsonObject = {"n": name, "u": _SENML_UNITS.get(reading.unit, reading.unit), **time}
        if isinstance(reading.value, str):
            record |= {"vs": reading.value, "u": "1"}
        elif reading.value is not None:
            record["v"] = reading.value
        pack.append(record)
    return pack


def senml_cbor(device: str, number: int, readings: Iterable[Reading]) -> bytes:
    """A SenML pack with integer labels."""
    return cbor2.dumps([{_LABELS[k]: v for k, v in record.items()} for record in _senml(device, number, readings)])


def senml_json(device: str, number: int, readings: Iterable[Reading]) -> bytes:
    """The same as text; data in base64url without padding. JSON has no NaN, so Python's way of writing it stands in."""
    encode = {bytes: lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")}
    pack = [{k: encode.get(type(v), lambda x: x)(v) for k, v in r.items()} for r in _senml(device, number, readings)]
    return json.dumps(pack).encode()


WRITERS: Mapping[str, Writer] = {
    PROTOBUF: protobuf,
    JSON: package_json,
    SENML_CBOR: senml_cbor,
    SENML_JSON: senml_json,
}


def carries(media_type: str, reading: Reading) -> bool:
    """Whether a format can say this at all."""
    return not ("senml" in media_type and reading.only_package)
