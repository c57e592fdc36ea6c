"""Writes the settings of an MQTT broker (mosquitto 2) for the demo and the tests; deploy/mosquitto holds the same for a hospital.

Each device writes below its own topic and nowhere else, by the common name of its certificate. Making certificates and starting the
broker is the caller's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# mosquitto takes no comment behind a setting. Saving at every change costs speed (some hundred messages a second). Even so its PUBACK is
# no promise: it goes out before the save, and a message that a connected gateway has not acknowledged counts as no change. Killed, it
# forgets those; with seconds between the saves it would forget sessions and all that waited in them.
_CONFIGURATION = """\
per_listener_settings false
listener {port} {host}
cafile {ca}
certfile {certificate}
keyfile {key}
require_certificate true
use_identity_as_username true
tls_version tlsv1.2
allow_anonymous false
acl_file {acl}
persistence true
persistence_location {data}/
autosave_on_changes true
autosave_interval 1
max_queued_messages 0
max_inflight_messages 100
message_size_limit 262144
persistent_client_expiration 14d
log_dest stderr
log_type error
log_type warning
log_type notice
"""
_DEVICES = """\
# A device: its user name is the common name of its certificate.
pattern write bedside/%u/#
pattern read cmd/%u/#
"""
_GATEWAY = """
# A gateway reads all devices of its ward.
user {name}
topic read bedside/#
topic write cmd/#
"""


@dataclass(frozen=True, slots=True)
class BrokerFiles:
    """The broker's own files. `data`: a folder that it may write; it ends up in its configuration, as all of them."""

    ca: Path
    certificate: Path
    key: Path
    acl: Path
    data: Path


def configuration(given: BrokerFiles, port: int, host: str, user: str = "") -> str:
    """The text of `mosquitto.conf`. `user`: whom a broker that is started by root becomes; "": its own default."""
    text = _CONFIGURATION.format(
        port=port, host=host, ca=given.ca, certificate=given.certificate, key=given.key, acl=given.acl, data=given.data
    )
    return text + (f"user {user}\n" if user else "")


def access_list(gateways: Iterable[str]) -> str:
    """The text of the access list; `gateways`: the common names of their certificates."""
    return _DEVICES + "".join(_GATEWAY.format(name=name) for name in gateways)


def write_broker(folder: Path, port: int, gateways: Iterable[str], *, host: str = "127.0.0.1", user: str = "") -> Path:
    """Write `mosquitto.conf` and its access list into `folder`, where `ca.pem`, `broker.pem` and `broker.key` lie; returns the first."""
    given = BrokerFiles(
        folder / "ca.pem", folder / "broker.pem", folder / "broker.key", folder / "acl", folder / "broker-data"
    )
    given.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    given.acl.write_text(access_list(gateways), "utf-8")
    given.acl.chmod(0o600)
    path = folder / "mosquitto.conf"
    path.write_text(configuration(given, port, host, user), "utf-8")
    return path
