"""The settings of the agent: a TOML file, with environment variables `WARDLINK_EDGE_...` above it (docs/reference/edge-config.md)."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from edge.doors import DoorPolicy
from edge.doors.flood import Rate, Rates
from edge.host.limits import HostLimits
from edge.overlay import OverlayError, laid_over
from edge.spool import CipherName, KeySource, Limits
from firmware_adapters.adapter import ConfigError, DeviceConfig, OptionValue
from firmware_adapters.door import DoorConfig

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_KIB, _MIB = 1 << 10, 1 << 20
_HOUR_NS = 3600 * 1_000_000_000


class SettingsError(ValueError):
    """The settings cannot be used: which file, which setting, what would be right."""


class DeviceSettings(BaseModel):
    """`[[devices]]`: a device and how to reach it."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(pattern=r"^[^/|\s]+$", max_length=64)]
    family: str
    url: str
    own_process: bool = False
    options: dict[str, str | int | float | bool | dict[str, str]] = {}

    def config(self) -> DeviceConfig:
        """The same for an adapter."""
        options: dict[str, OptionValue] = dict(self.options)
        return DeviceConfig(self.id, self.family, self.url, options)


class DoorDeviceSettings(BaseModel):
    """`[[doors.devices]]`: a device that may authenticate at a door, and by what; its kind says which options there are."""

    model_config = ConfigDict(extra="allow")

    id: Annotated[str, Field(pattern=r"^[^/|\s]+$", max_length=64)]
    silence_s: Annotated[float, Field(ge=0, le=7 * 86400)] | None = None
    messages_per_s: Annotated[float, Field(gt=0, le=10_000)] | None = None
    kib_per_s: Annotated[float, Field(gt=0, le=1 << 20)] | None = None
    alarms_per_s: Annotated[float, Field(gt=0, le=10_000)] | None = None

    def options(self) -> dict[str, OptionValue]:
        """What the door is told: all but the id and what concerns the intake."""
        found: dict[str, OptionValue] = {}
        for name, value in (self.model_extra or {}).items():
            if not isinstance(value, str | int | float | bool):
                msg = f"device {self.id!r}, {name}: expected text, a number, true or false"
                raise ConfigError(msg)
            found[name] = value
        return found


class DoorSettings(BaseModel):
    """`[[doors]]`: a way in for messages, and who may come through it."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=32)]
    kind: str
    url: str
    options: dict[str, str | int | float | bool | dict[str, str]] = {}
    names: dict[str, str] = {}
    devices: list[DoorDeviceSettings] = []
    own_process: bool = False

    def config(self, folder: Path, now_ns: Callable[[], int]) -> DoorConfig:
        """The same for a door; ConfigError for an option of a device that no door can have."""
        options: dict[str, OptionValue] = dict(self.options)
        devices = {d.id: d.options() for d in self.devices}
        return DoorConfig(self.name, self.kind, self.url, now_ns, folder, options, devices)

    def policy(self) -> DoorPolicy:
        """The same for the intake."""
        return DoorPolicy(self.name, self.kind, frozenset(d.id for d in self.devices), self.names)


class SpoolSettings(BaseModel):
    """`[spool]`: how much of the disk may be used, and for how long."""

    model_config = ConfigDict(extra="forbid")

    max_mib: Annotated[int, Field(ge=66)] = 2048
    waveform_max_mib: Annotated[int, Field(ge=32)] | None = None
    record_max_mib: Annotated[int, Field(ge=32)] | None = None
    keep_hours: Annotated[float, Field(ge=0)] = 24.0
    cipher: CipherName = CipherName.AES
    key_credential: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "spool.key"
    key_file: Path = Path("spool.key")

    def keys(self, state_dir: Path, credentials: str | None) -> KeySource:
        """Where the keys of the spool are; `credentials` is the folder that systemd made for this service, if it did."""
        credential = None if not credentials else Path(credentials) / self.key_credential
        return KeySource(state_dir / self.key_file, credential, self.cipher)

    def limits(self) -> Limits:
        """The same for the spool."""
        return Limits(
            total_bytes=self.max_mib * _MIB,
            waveform_bytes=None if self.waveform_max_mib is None else self.waveform_max_mib * _MIB,
            record_bytes=None if self.record_max_mib is None else self.record_max_mib * _MIB,
            keep_ns=round(self.keep_hours * _HOUR_NS),
        )


class RatesSettings(BaseModel):
    """`[rates]`: what each device of a door may send in the long run."""

    model_config = ConfigDict(extra="forbid")

    messages_per_s: Annotated[float, Field(gt=0, le=10_000)] = 20.0
    kib_per_s: Annotated[float, Field(gt=0, le=1 << 20)] = 512.0
    alarms_per_s: Annotated[float, Field(gt=0, le=10_000)] = 20.0


class HostSettings(BaseModel):
    """`[host]`: what an adapter in a process of its own may take before it is ended."""

    model_config = ConfigDict(extra="forbid")

    blocked_s: Annotated[float, Field(ge=0.5, le=3600)] = 10.0
    memory_mib: Annotated[int, Field(ge=128)] = 512

    def limits(self) -> HostLimits:
        """The same for the hosts."""
        return HostLimits(self.blocked_s, self.memory_mib * _MIB)


class MetricsSettings(BaseModel):
    """`[metrics]`: where Prometheus may read; port 0 serves nothing."""

    model_config = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0


class LocalPageSettings(BaseModel):
    """`[local_page]`: where the gateway's own page is; an empty `listen` serves none."""

    model_config = ConfigDict(extra="forbid")

    listen: Annotated[str, Field(pattern=r"^(|[^/\s]+:\d{1,5})$")] = ""
    tls: bool = True

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @model_validator(mode="after")
    def _plain_stays_here(self) -> Self:
        if not self.listen:
            return self
        host, port = self.address
        if port > 65535:
            msg = f"listen {self.listen!r}: expected a port up to 65535"
            raise ValueError(msg)
        if not self.tls and host not in _LOOPBACK:
            msg = f"listen {self.listen!r} without tls: only on this machine itself (127.0.0.1)"
            raise ValueError(msg)
        return self


class ConfigurationSettings(BaseModel):
    """`[configuration]`: how long what the hub sets may take until the agent is up with it."""

    model_config = ConfigDict(extra="forbid")

    healthy_within_s: Annotated[float, Field(ge=5, le=3600)] = 60.0


class UpdateSettings(BaseModel):
    """`[update]`: whose releases the gateway takes, and how long one may take until the agent is up with it."""

    model_config = ConfigDict(extra="forbid")

    keys: Path = Path("release-keys")
    healthy_within_s: Annotated[float, Field(ge=5, le=3600)] = 120.0


HubAddress = Annotated[str, Field(pattern=r"^(|[^/\s,]+:\d{1,5})$")]


class EdgeSettings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(env_prefix="WARDLINK_EDGE_", env_nested_delimiter="__", extra="forbid")

    state_dir: Path
    hub: HubAddress | list[HubAddress] = []
    devices: list[DeviceSettings] = []
    doors: list[DoorSettings] = []
    rates: RatesSettings = RatesSettings()
    spool: SpoolSettings = SpoolSettings()
    host: HostSettings = HostSettings()
    metrics: MetricsSettings = MetricsSettings()
    local_page: LocalPageSettings = LocalPageSettings()
    configuration: ConfigurationSettings = ConfigurationSettings()
    update: UpdateSettings = UpdateSettings()
    _folder: Path = PrivateAttr(default_factory=Path)
    _file: tuple[Path, Mapping[str, object]] | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path:
        """Where the settings file lies; relative names of files lie below it."""
        return self._folder

    @property
    def hubs(self) -> list[str]:
        """The addresses of the hub in their order; none: that of the enrolment."""
        return [one for one in ([self.hub] if isinstance(self.hub, str) else self.hub) if one]

    def silences(self) -> dict[str, float]:
        """After how many seconds without a message a device of a door is silent, where settings say so."""
        said = (device for door in self.doors for device in door.devices)
        return {device.id: device.silence_s for device in said if device.silence_s is not None}

    def door_rates(self) -> Rates:
        """What devices of doors may send, those with a pace of their own too."""
        rates = Rates(Rate(self.rates.messages_per_s, self.rates.kib_per_s * _KIB, self.rates.alarms_per_s))
        for device in (device for door in self.doors for device in door.devices):
            if (device.messages_per_s, device.kib_per_s, device.alarms_per_s) != (None, None, None):
                bytes_per_s = None if device.kib_per_s is None else device.kib_per_s * _KIB
                rates = rates.with_own(device.id, device.messages_per_s, bytes_per_s, device.alarms_per_s)
        return rates

    def lie_in(self, folder: Path) -> None:
        """The file with these settings lies there: relative names count from it."""
        self._folder = folder
        self.state_dir = folder / self.state_dir

    def read_from(self, path: Path, values: Mapping[str, object]) -> None:
        """They are those of this file, which holds `values`."""
        self._file = path, values
        self.lie_in(path.parent)

    def overlaid(self, toml: str) -> "EdgeSettings":
        """Those of the same file with an overlay above it, by the same rules; SettingsError names what cannot be used."""
        if self._file is None:
            msg = "this agent has no settings file to lay anything over"
            raise SettingsError(msg)
        path, values = self._file
        try:
            together = laid_over(values, tomllib.loads(toml))
        except (tomllib.TOMLDecodeError, OverlayError) as error:
            raise SettingsError(str(error)) from error
        overlaid = _validated(together, "")
        overlaid.lie_in(path.parent)
        return overlaid

    @field_validator("devices")
    @classmethod
    def _ids_differ(cls, devices: list[DeviceSettings]) -> list[DeviceSettings]:
        ids = [d.id for d in devices]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            msg = f"device id {', '.join(twice)} is used twice"
            raise ValueError(msg)
        return devices

    @model_validator(mode="after")
    def _doors_differ(self) -> Self:
        """A device has one way in: two would be two clocks and two counts of samples under one name."""
        names = [d.name for d in self.doors]
        ids = [*(d.id for d in self.devices), *(d.id for door in self.doors for d in door.devices)]
        for what, found in (("door", names), ("device id", ids)):
            twice = sorted({name for name in found if found.count(name) > 1})
            if twice:
                msg = f"{what} {', '.join(twice)} is used twice"
                raise ValueError(msg)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose values are given to the constructor."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load_settings(path: Path) -> EdgeSettings:
    """Read a file; SettingsError names each setting that cannot be used. A relative `state_dir` is beside the file."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{path} does not exist; docs/reference/edge-config.md shows one"
        raise SettingsError(msg) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} is no TOML: {error}"
        raise SettingsError(msg) from error
    settings = _validated(values, f"{path}: ")
    settings.read_from(path, values)
    return settings


def _validated(values: Mapping[str, object], where: str) -> EdgeSettings:
    try:
        return EdgeSettings.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(str(p) for p in e['loc']) or 'settings'}: {e['msg']}" for e in error.errors())
        msg = f"{where}{wrong}"
        raise SettingsError(msg) from error
