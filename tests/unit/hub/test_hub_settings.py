"""Settings: each is in the reference page, environment goes before file, and what is unknown is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from hub.settings import HubSettings, load_settings, split_address

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "hub-settings.md"


@pytest.mark.parametrize("name", list(HubSettings.model_fields))
def test_every_setting_is_in_the_reference(name: str):
    assert f"`HUB_{name.upper()}`" in PAGE.read_text(encoding="utf-8")


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "hub.toml"
    file.write_text('uplink_listen = "0.0.0.0:1"\nweb_listen = "0.0.0.0:2"\nhost_names = ["hub.example"]\n')
    monkeypatch.setenv("HUB_WEB_LISTEN", "127.0.0.1:3")
    settings = load_settings(file)
    assert (settings.uplink_listen, settings.web_listen) == ("0.0.0.0:1", "127.0.0.1:3")
    assert settings.host_names == ["hub.example"]


def test_an_unknown_setting_in_the_file_is_refused(tmp_path: Path):
    file = tmp_path / "hub.toml"
    file.write_text('uplnk_listen = "0.0.0.0:1"\n')
    with pytest.raises(ValidationError, match="uplnk_listen"):
        load_settings(file)


def test_secrets_are_not_shown():
    settings = HubSettings.model_validate({"ingest_url": "postgresql://ingest:hidden@host/db"})
    assert "hidden" not in repr(settings)


def test_an_address_is_host_and_port():
    assert split_address("[::1]:7401") == ("::1", 7401)
    for wrong in ("7401", "host:", "host:70000", "host:x"):
        with pytest.raises(ValueError, match="host:port"):
            split_address(wrong)
