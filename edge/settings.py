"""The settings of the agent: a TOML file, with environment variables `WARDLINK_EDGE_...` above it (docs/reference/edge-config.md)."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from edge.spool import Limits
from firmware_adapters.adapter import DeviceConfig, OptionValue

_MIB = 1 << 20
_HOUR_NS = 3600 * 1_000_000_000


class SettingsError(ValueError):
    """The settings cannot be used: which file, which setting, what would be right."""


class DeviceSettings(BaseModel):
    """`[[devices]]`: a device and how to reach it."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(pattern=r"^[^/|\s]+$", max_length=64)]
    family: str
    url: str
    options: dict[str, str | int | float | bool | dict[str, str]] = {}

    def config(self) -> DeviceConfig:
        """The same for an adapter."""
        options: dict[str, OptionValue] = dict(self.options)
        return DeviceConfig(self.id, self.family, self.url, options)


class SpoolSettings(BaseModel):
    """`[spool]`: how much of the disk may be used, and for how long."""

    model_config = ConfigDict(extra="forbid")

    max_mib: Annotated[int, Field(ge=66)] = 2048
    keep_hours: Annotated[float, Field(ge=0)] = 24.0

    def limits(self) -> Limits:
        """The same for the spool."""
        return Limits(total_bytes=self.max_mib * _MIB, keep_ns=round(self.keep_hours * _HOUR_NS))


class MetricsSettings(BaseModel):
    """`[metrics]`: where Prometheus may read; port 0 serves nothing."""

    model_config = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0


class EdgeSettings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(env_prefix="WARDLINK_EDGE_", env_nested_delimiter="__", extra="forbid")

    state_dir: Path
    hub: str = ""
    devices: list[DeviceSettings] = []
    spool: SpoolSettings = SpoolSettings()
    metrics: MetricsSettings = MetricsSettings()

    @field_validator("devices")
    @classmethod
    def _ids_differ(cls, devices: list[DeviceSettings]) -> list[DeviceSettings]:
        ids = [d.id for d in devices]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            msg = f"device id {', '.join(twice)} is used twice"
            raise ValueError(msg)
        return devices

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
    try:
        settings = EdgeSettings(**values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(str(p) for p in e['loc']) or 'settings'}: {e['msg']}" for e in error.errors())
        msg = f"{path}: {wrong}"
        raise SettingsError(msg) from error
    settings.state_dir = path.parent / settings.state_dir
    return settings
