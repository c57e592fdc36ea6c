"""How a simulated bedside monitor sends: protobuf over MQTT 5 with mutual TLS, or JSON in requests signed as RFC 9421 says.

Both keep what is not acknowledged and repeat it. Written without the doors of the gateway.
"""

import base64
import hashlib
import http.client
import secrets
import ssl
import sys
import threading
import time
from collections import deque
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import SplitResult

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.protobuf import json_format
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

    from protocols.device_package_pb2 import DevicePackage

DROPPED_S = 5.0
KEPT = 600  # packages that wait for a link: ten minutes
PROTOBUF = "application/vnd.wardlink.package+protobuf"
JSON = "application/vnd.wardlink.package+json"
_AGAIN_S = 0.5
_DONE_WITH = (413, 415, 422)  # the same again would be refused again
_NS_PER_S = 10**9


def tell(line: str) -> None:
    """What a technician would see on the monitor."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def as_json(package: "DevicePackage") -> bytes:
    """The package as ProtoJSON."""
    return json_format.MessageToJson(package, indent=None, preserving_proto_field_name=True).encode()


class Sender(Protocol):
    """A way to the gateway that keeps what was not taken. `off_ns`: how far the monitor's own clock is off."""

    off_ns: int

    def send(self, package: "DevicePackage") -> None:
        """Take a package on; it goes when it can."""
        ...

    def send_raw(self, body: bytes) -> None:
        """The same for bytes that are no package."""
        ...

    def drop(self, seconds: float) -> None:
        """Pull the cable for a while."""
        ...

    def close(self) -> None:
        """Stop."""
        ...


class _TakesContext(Protocol):
    """What paho's client does and leaves untyped."""

    def tls_set_context(self, context: ssl.SSLContext) -> None: ...


class MqttSender:
    """QoS 1 over mutual TLS; paho repeats what has no PUBACK."""

    def __init__(self, url: SplitResult, device: str, ca: Path, certificate: Path, key: Path) -> None:
        self.off_ns = 0
        self._topic = f"{url.path.strip('/') or 'bedside'}/{device}/package"
        client = self._client = Client(CallbackAPIVersion.VERSION2, client_id=device, protocol=MQTTv5)
        tls = ssl.create_default_context(cafile=str(ca))
        tls.load_cert_chain(certificate, key)
        cast("_TakesContext", client).tls_set_context(tls)
        client.max_queued_messages_set(KEPT)
        client.reconnect_delay_set(1, 10)
        client.on_publish = self._published
        self._plug = threading.Timer(0, lambda: None)
        client.connect_async(url.hostname or "", url.port or 8883, keepalive=15)
        client.loop_start()

    def send(self, package: "DevicePackage") -> None:
        """Publish."""
        self.send_raw(package.SerializeToString())

    def send_raw(self, body: bytes) -> None:
        """Publish as if it were a package."""
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = PROTOBUF
        self._client.publish(self._topic, body, qos=1, properties=properties)

    def drop(self, seconds: float) -> None:
        """Leave the broker; packages are queued meanwhile."""
        self._plug.cancel()
        self._client.disconnect()
        self._client.loop_stop()
        self._plug = threading.Timer(seconds, self._plug_in)
        self._plug.start()

    def close(self) -> None:
        """Leave the broker."""
        self._plug.cancel()
        self._client.disconnect()
        self._client.loop_stop()

    def _plug_in(self) -> None:
        try:
            self._client.reconnect()
        except OSError as error:
            tell(f"broker: {error}")
        self._client.loop_start()

    def _published(self, _c: Client, _d: object, number: int, code: "ReasonCode", _p: Properties | None) -> None:
        if code.is_failure:
            tell(f"broker refuses message {number}: {code.getName()}")


class HttpSender:
    """Signed requests, one after the other, each repeated until it is answered for good.

    It signs with the monitor's own clock. Told that this is off (401), it reads the gateway's from the answer's Date, for signatures only.
    """

    def __init__(self, url: SplitResult, device: str, ca: Path, key: Path) -> None:
        """TypeError for a key that is not Ed25519."""
        self.off_ns = 0
        self._url, self._device = url, device
        self._tls = ssl.create_default_context(cafile=str(ca))
        found = load_pem_private_key(key.read_bytes(), None)
        if not isinstance(found, Ed25519PrivateKey):
            msg = f"{key}: expected an Ed25519 key"
            raise TypeError(msg)
        self._key = found
        self._waiting: deque[bytes] = deque(maxlen=KEPT)
        self._more, self._closed = threading.Event(), threading.Event()
        self._unplugged_until_s = 0.0
        self._told_off_s = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def send(self, package: "DevicePackage") -> None:
        """Queue it as JSON."""
        self.send_raw(as_json(package))

    def send_raw(self, body: bytes) -> None:
        """Queue bytes."""
        self._waiting.append(body)
        self._more.set()

    def drop(self, seconds: float) -> None:
        """No request for a while."""
        self._unplugged_until_s = time.monotonic() + seconds

    def close(self) -> None:
        """Stop behind the request that is under way."""
        self._closed.set()
        self._more.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._closed.is_set():
            if not self._waiting or time.monotonic() < self._unplugged_until_s:
                self._more.wait(_AGAIN_S)
                self._more.clear()
                continue
            body = self._waiting[0]
            if not self._post(body):
                self._closed.wait(_AGAIN_S)
            elif self._waiting and self._waiting[0] is body:
                self._waiting.popleft()

    def _post(self, body: bytes) -> bool:
        """Whether this body is done with: taken, or refused for ever."""
        host, port = self._url.hostname or "", self._url.port
        connection = http.client.HTTPSConnection(host, port, timeout=30, context=self._tls)
        try:
            connection.request("POST", self._url.path, body, self._headers(body))
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            tell(f"gateway: {error}")
            return False
        finally:
            connection.close()
        if answer.status >= 400:
            tell(f"gateway answers {answer.status}: {said.decode(errors='replace')[:300]}")
        if answer.status == 401 and (date := answer.getheader("Date")):
            self._told_off_s = round(parsedate_to_datetime(date).timestamp() - self._clock_s())
        return answer.status < 400 or answer.status in _DONE_WITH

    def _clock_s(self) -> int:
        return int(time.time()) + self.off_ns // _NS_PER_S

    def _headers(self, body: bytes) -> dict[str, str]:
        digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
        covered = {
            "@method": "POST",
            "@authority": self._url.netloc,
            "@path": self._url.path,
            "content-type": JSON,
            "content-digest": digest,
        }
        names = " ".join(f'"{name}"' for name in covered)
        created = self._clock_s() + self._told_off_s
        params = f'({names});created={created};nonce="{secrets.token_hex(8)}";keyid="{self._device}"'
        base = "\n".join([*(f'"{k}": {v}' for k, v in covered.items()), f'"@signature-params": {params}'])
        signature = base64.b64encode(self._key.sign(base.encode())).decode()
        return {
            "Content-Type": JSON,
            "Content-Digest": digest,
            "Signature-Input": f"sig1={params}",
            "Signature": f"sig1=:{signature}:",
        }
