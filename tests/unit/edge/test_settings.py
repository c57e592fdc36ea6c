"""The settings of the agent: what is wrong is named, and the reference page knows each setting."""

from pathlib import Path

import pytest

from edge.settings import (
    DeviceSettings,
    DoorDeviceSettings,
    DoorSettings,
    EdgeSettings,
    MetricsSettings,
    SettingsError,
    SpoolSettings,
    load_settings,
)
from firmware_adapters.adapter import ConfigError

FULL = """
state_dir = "state"
hub = "hub.example:8443"
[[devices]]
id = "cyton-1"
family = "cyton"
url = "/dev/ttyUSB0"
[devices.options]
channels = { "1" = "II", "2" = "V1" }
gain = 24
[spool]
max_mib = 512
[metrics]
port = 9101
"""


DOOR = """
state_dir = "state"
[[doors]]
name = "https"
kind = "http"
url = "https://127.0.0.1:8443/packages"
options = { certificate = "door.pem", key = "door.key" }
names = { "urn:x:temp" = "t/probe:MDC_TEMP_BODY" }
[[doors.devices]]
id = "monitor-5"
public_key = "monitor-5.pub.pem"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "edge.toml"
    path.write_text(text)
    return path


def test_a_file_is_read_and_a_relative_state_lies_beside_it(tmp_path: Path):
    settings = load_settings(write(tmp_path, FULL))
    assert settings.state_dir == tmp_path / "state"
    [device] = settings.devices
    assert device.config().options == {"channels": {"1": "II", "2": "V1"}, "gain": 24}
    assert settings.spool.limits().total_bytes == 512 << 20


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WARDLINK_EDGE_HUB", "other.example:1")
    monkeypatch.setenv("WARDLINK_EDGE_METRICS__PORT", "9200")
    settings = load_settings(write(tmp_path, FULL))
    assert (settings.hub, settings.metrics.port) == ("other.example:1", 9200)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("state_dir = ", "no TOML"),
        ("", "state_dir"),
        ('state_dir = "s"\ncolour = "red"', "colour"),
        ('state_dir = "s"\n[spool]\nmax_mib = 3', "spool.max_mib"),
        ('state_dir = "s"\n[[devices]]\nid = "a b"\nfamily = "x"\nurl = "y"', "devices.0.id"),
        ('state_dir = "s"\n' + '[[doors]]\nname = "h"\nkind = "http"\nurl = "y"\n' * 2, "door h is used twice"),
        ('state_dir = "s"\n[[doors]]\nname = "H H"\nkind = "http"\nurl = "y"', "doors.0.name"),
        (DOOR + '[[devices]]\nid = "monitor-5"\nfamily = "x"\nurl = "y"', "device id monitor-5 is used twice"),
        ('state_dir = "s"\n' + '[[devices]]\nid = "a"\nfamily = "x"\nurl = "y"\n' * 2, "used twice"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, text: str, named: str):
    with pytest.raises(SettingsError, match=named):
        load_settings(write(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"edge\.toml does not exist"):
        load_settings(tmp_path / "edge.toml")


def test_the_reference_page_names_every_setting():
    page = (Path(__file__).parents[3] / "docs" / "reference" / "edge-config.md").read_text()
    for model in (EdgeSettings, DeviceSettings, DoorSettings, DoorDeviceSettings, SpoolSettings, MetricsSettings):
        for name in model.model_fields:
            assert f"`{name}`" in page, f"{model.__name__}.{name} is not in the page"


def test_a_door_and_what_its_devices_prove_themselves_by_are_read(tmp_path: Path):
    settings = load_settings(write(tmp_path, DOOR))
    (door,) = settings.doors
    config = door.config(settings.folder, lambda: 5)
    assert (config.name, config.kind, config.folder, config.now_ns()) == ("https", "http", tmp_path, 5)
    assert config.options == {"certificate": "door.pem", "key": "door.key"}
    assert config.devices == {"monitor-5": {"public_key": "monitor-5.pub.pem"}}
    assert config.file("key") == tmp_path / "door.key"
    assert door.policy().devices == {"monitor-5"}
    assert door.policy().names == {"urn:x:temp": "t/probe:MDC_TEMP_BODY"}


def test_an_option_of_a_device_that_no_door_can_have_is_named(tmp_path: Path):
    (door,) = load_settings(write(tmp_path, DOOR.replace('"monitor-5.pub.pem"', "[1]"))).doors
    with pytest.raises(ConfigError, match="device 'monitor-5', public_key"):
        door.config(tmp_path, lambda: 5)


def test_an_overlay_changes_what_it_names_and_keeps_what_could_lock_the_agent_out(tmp_path: Path):
    path = tmp_path / "edge.toml"
    path.write_text(FULL)
    settings = load_settings(path)
    overlaid = settings.overlaid(
        '[[devices]]\nid = "cyton-1"\noptions = { gain = 12 }\n[[devices]]\nid = "amp-2"\nfamily = "cyton"\nurl = "/dev/b"\n'
        "[metrics]\nport = 0\n"
    )
    first, second = overlaid.devices
    assert (first.url, first.options) == ("/dev/ttyUSB0", {"channels": {"1": "II", "2": "V1"}, "gain": 12})
    assert (second.id, overlaid.metrics.port, overlaid.spool.max_mib) == ("amp-2", 0, 512)
    assert overlaid.state_dir == settings.state_dir == tmp_path / "state"
    assert (settings.devices[0].options["gain"], settings.metrics.port) == (24, 9101), "the file's stay as they are"
    assert settings.overlaid('[[devices]]\nid = "cyton-1"\nremove = true\n').devices == []
    assert settings.overlaid("").model_dump() == settings.model_dump()
    for toml, said in (
        ('state_dir = "x"', "state_dir"),
        ('hub = "a:1"', "hub"),
        ('[spool]\nkey_file = "x"', "spool.key_file"),
        ("[configuration]\nhealthy_within_s = 9", "configuration"),
        ('[[devices]]\nid = "other"\nremove = true', "no 'other'"),
        ('[[devices]]\nurl = "x"', "devices: each entry needs its id"),
        ('[[devices]]\nid = "a"\n[[devices]]\nid = "a"', "twice"),
        ('devices = ["a"]', "needs its id"),
        ('[[devices]]\nid = "new"\nfamily = "cyton"', "url"),
        ("metrics = 3", "metrics"),
        ("= 3", "line 1"),
    ):
        with pytest.raises(SettingsError, match=said):
            settings.overlaid(toml)
