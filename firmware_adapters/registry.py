"""Finds adapters: those built in, and those that other packages offer under the entry point group `wardlink.adapters`.

An adapter's module is imported only when a device of its family is configured.
"""

from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from firmware_adapters.adapter import API_VERSION, Adapter, ConfigError

ENTRY_POINT_GROUP = "wardlink.adapters"

_BUILT_IN = {
    "cyton": "firmware_adapters.cyton:CytonAdapter",
    "polar": "firmware_adapters.polar:PolarAdapter",
    "nonin": "firmware_adapters.nonin:NoninAdapter",
    "gatt-spot": "firmware_adapters.gatt_health:SpotAdapter",
    "gatt-continuous": "firmware_adapters.gatt_health:ContinuousAdapter",
}


def families() -> list[str]:
    """Names of all families that can be configured."""
    return sorted({*_BUILT_IN, *(e.name for e in entry_points(group=ENTRY_POINT_GROUP))})


def is_built_in(family: str) -> bool:
    """Whether a family's adapter is ours. Another package's code runs in no process of ours."""
    return family in _BUILT_IN


def find_adapter(family: str) -> Adapter:
    """The adapter of a family; ConfigError when there is none or it was written for another API version."""
    if family in _BUILT_IN:
        module, _, name = _BUILT_IN[family].partition(":")
        adapter = cast("Adapter", getattr(import_module(module), name)())
    else:
        found = [e for e in entry_points(group=ENTRY_POINT_GROUP) if e.name == family]
        if not found:
            msg = f"device family {family!r} is not known; known are: {', '.join(families())}"
            raise ConfigError(msg)
        adapter = cast("Adapter", found[0].load()())
    if adapter.api_version != API_VERSION:
        msg = f"adapter {family!r} was written for adapter API {adapter.api_version}; this agent speaks {API_VERSION}"
        raise ConfigError(msg)
    return adapter
