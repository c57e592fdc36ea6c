"""What a device and a gateway share at the CoAP door: an OSCORE context (RFC 8613) or a pre-shared key of DTLS (RFC 4279).

Makes them fresh, in files that only their owner reads, and reads the gateway's half. A secret never stands in the settings.
"""

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import cast

KEY_BYTES = 16
SALT_BYTES = 8
ID_BYTES = 6  # of 7 that AES-CCM-16-64-128 leaves; random, so that no two devices of a gateway have one
GATEWAY_ID = "00"
SHORTEST_PSK_BYTES = 16
_MODE = 0o600
_FOLDER_MODE = 0o700
_DEVICE = re.compile(r"[^/|\s]{1,64}")


class KeyFileError(ValueError):
    """A file of keys cannot be made or used: which, and what to do."""


@dataclass(frozen=True, slots=True)
class OscoreIds:
    """The identifiers in a context, in hexadecimal."""

    own: str
    peer: str


def make_oscore(device: str, folder: Path) -> tuple[Path, Path]:
    """A fresh context: returns the gateway's folder and the device's, `DEVICE.gateway` and `DEVICE.device` in `folder`.

    KeyFileError when one of them is there: a context that was used once must not begin anew with the same secret.
    """
    _check_device(device)
    secret, salt, own = (secrets.token_hex(n) for n in (KEY_BYTES, SALT_BYTES, ID_BYTES))
    made: list[Path] = []
    for side, sender, recipient in (("gateway", GATEWAY_ID, own), ("device", own, GATEWAY_ID)):
        place = folder / f"{device}.{side}"
        try:
            place.mkdir(mode=_FOLDER_MODE)
        except FileExistsError:
            msg = f"{place} exists; a context is made once and never copied: remove both halves to make another"
            raise KeyFileError(msg) from None
        _write(place / "secret.json", {"secret_hex": secret, "salt_hex": salt})
        _write(place / "settings.json", {"sender-id_hex": sender, "recipient-id_hex": recipient})
        made.append(place)
    return made[0], made[1]


def make_psk(device: str, folder: Path) -> Path:
    """A fresh key for DTLS in `DEVICE.psk`, 128 random bits as 32 letters that are the key themselves: the same file for both sides."""
    _check_device(device)
    place = folder / f"{device}.psk"
    try:
        place.touch(mode=_MODE, exist_ok=False)
    except FileExistsError:
        msg = f"{place} exists; remove it to make another key"
        raise KeyFileError(msg) from None
    place.write_text(secrets.token_hex(KEY_BYTES) + "\n")
    return place


def read_psk(path: Path) -> bytes:
    """The key in a file: its text, or behind 0x its bytes in hexadecimal. KeyFileError, which shows nothing of it."""
    _check_private(path)
    try:
        text = path.read_text("ascii").strip()
        key = bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()
    except ValueError:
        msg = f"{path}: expected a key in ASCII, or 0x and hexadecimal digits, as `wardlink edge device-key psk` makes one"
        raise KeyFileError(msg) from None
    if len(key) < SHORTEST_PSK_BYTES:
        msg = f"{path}: expected a key of at least {SHORTEST_PSK_BYTES} bytes, found {len(key)}"
        raise KeyFileError(msg)
    return key


def check_oscore(folder: Path) -> OscoreIds:
    """Look at a context's files without opening it, which is for the one who uses it; KeyFileError."""
    _check_private(folder / "secret.json")
    found: dict[str, str] = {}
    for name in ("secret.json", "settings.json"):
        try:
            said: object = json.loads((folder / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            msg = f"{folder / name}: {_plain(error)}; `wardlink edge device-key oscore` makes one"
            raise KeyFileError(msg) from None
        if isinstance(said, dict):
            found.update({str(k): str(v) for k, v in cast("dict[object, object]", said).items()})
    for name, least in (("secret_hex", KEY_BYTES), ("sender-id_hex", 0), ("recipient-id_hex", 1)):
        try:
            long_enough = len(bytes.fromhex(found[name])) >= least
        except (KeyError, ValueError):
            long_enough = False
        if not long_enough:
            msg = f"{folder}: expected {name} of at least {least} bytes; `wardlink edge device-key oscore` makes one"
            raise KeyFileError(msg)
    return OscoreIds(found["sender-id_hex"].lower(), found["recipient-id_hex"].lower())


def _check_device(device: str) -> None:
    if not _DEVICE.fullmatch(device) or device.startswith("."):
        msg = f"device {device!r}: expected a name without '/', '|', white space and a leading '.'"
        raise KeyFileError(msg)


def _check_private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        msg = f"{path}: {_plain(error)}; `wardlink edge device-key` makes one"
        raise KeyFileError(msg) from None
    if mode & 0o077:
        msg = f"{path} can be read by others; chmod 600 it, or make another"
        raise KeyFileError(msg)


def _plain(error: Exception) -> str:
    """Without the text that was read."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "no JSON"


def _write(path: Path, content: dict[str, str]) -> None:
    path.touch(mode=_MODE, exist_ok=False)
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


__all__ = ["KeyFileError", "OscoreIds", "check_oscore", "make_oscore", "make_psk", "read_psk"]
