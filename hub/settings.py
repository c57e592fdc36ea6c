"""Every setting of the hub, from `HUB_*` in the environment, else from a TOML file; read by `hub.app` alone.

docs/reference/hub-settings.md lists them, and a test compares.
"""

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, IPvAnyNetwork, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from hub.accounts.domain import SecondFactor

# Loopback and what no router of the internet passes on (RFC 1918, RFC 4193).
_PRIVATE = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


class HubSettings(BaseSettings):
    """Addresses, folders and names. Database addresses are one a role, so that each process has its role's rights only."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(env_prefix="HUB_", extra="forbid")

    state_dir: Path = Field(Path("/var/lib/wardlink/hub"), description="Folder of the CA's key and of the live socket")
    owner_url: SecretStr | None = Field(None, description="Database address of the owner role; for migrations only")
    ingest_url: SecretStr | None = Field(None, description="Database address of the role ingest")
    web_url: SecretStr | None = Field(None, description="Database address of the role web")
    worker_url: SecretStr | None = Field(None, description="Database address of the role worker")
    host_names: list[str] = Field(
        default_factory=list, description="Names and addresses by which gateways reach the hub, in its certificates"
    )
    uplink_listen: str = Field(
        "127.0.0.1:7401", description="Address and port of the gRPC uplink; port 0: any free one"
    )
    uplink_public: str = Field("", description="host:port told to gateways; empty: the first host name and the port")
    enrolment_listen: str = Field("127.0.0.1:7402", description="Address and port of the HTTPS enrolment door")
    enrolment_public: str = Field("", description="https address told to gateways; empty: made like `uplink_public`")
    live_socket: Path | None = Field(
        None, description="Socket from ingest to web; empty: live.sock in the state folder"
    )
    web_listen: str = Field("127.0.0.1:7400", description="Address and port of the pages and the API")
    web_public: str = Field("", description="Address of the pages as people type it; empty: http:// and `web_listen`")
    trusted_proxies: list[str] = Field(
        default_factory=lambda: ["127.0.0.1", "::1"],
        description="Addresses and networks of the proxies in front of the pages, whose `X-Forwarded-For` is believed",
    )
    inside_networks: list[IPvAnyNetwork] = Field(
        default_factory=lambda: [ip_network(one) for one in _PRIVATE],
        description="Networks of the hospital; a session from elsewhere is bound to its address and browser",
    )
    second_factor: SecondFactor = Field(
        SecondFactor.REQUIRED,
        description="`required`: everybody sets up a second factor; `offered`: who wants to, on pages of this machine only",
    )
    metrics_listen: str = Field(
        "",
        description="Address and port of the metrics (Prometheus) of ingest; web has the next port, the worker the one after; empty: none",
    )
    upstream_spool_mib: int = Field(
        4096, ge=128, description="What may wait on disk for the hub above, MiB; then the oldest waveforms go first"
    )
    certificate_days: float = Field(
        365, gt=0, le=3650, description="How long a gateway's certificate holds; the agent renews it after two thirds"
    )
    gateway_records_per_s: float = Field(
        20_000, gt=0, le=1e7, description="Records that one gateway may send in the long run; ten seconds of it at once"
    )
    gateway_kib_per_s: float = Field(
        16_384, gt=0, le=1e7, description="KiB that one gateway may send a second, in the same way"
    )
    gateway_alarms_per_s: float = Field(
        50, gt=0, le=1e5, description="Changes of alarms that one gateway may send in the long run; 1024 at once"
    )
    data_writers: int = Field(2, ge=1, le=16, description="Transactions of data at once")

    @property
    def live_path(self) -> Path:
        """Where the live socket is."""
        return self.live_socket or self.state_dir / "live.sock"

    @property
    def page_origin(self) -> str:
        """Origin of the pages, as browsers write it (scheme, host, port)."""
        parts = urlsplit(self.web_public or f"http://{self.web_listen}")
        return f"{parts.scheme}://{parts.netloc}".lower()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before file; no .env and no secrets folder, so that there is one way each."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(toml: Path | None = None) -> HubSettings:
    """Read the settings; `toml` is the file of `--config`."""

    class FromFile(HubSettings):
        model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(toml_file=toml)

    return FromFile()  # pyright: ignore[reportCallIssue]  every field has a default


def split_address(text: str) -> tuple[str, int]:
    """`host:port` -> (host, port); ValueError says what is expected."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65535:
        msg = f"{text!r}: expected host:port"
        raise ValueError(msg)
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
