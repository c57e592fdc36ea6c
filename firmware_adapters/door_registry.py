"""Finds doors: those built in, and those that other packages offer under the entry point group `wardlink.doors`.

A door's module is imported only when one of its kind is configured. Its factory takes a DoorConfig, raises ConfigError for one that
cannot work, and opens nothing.
"""

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from firmware_adapters.adapter import ConfigError
from firmware_adapters.door import DOOR_API_VERSION, Door, DoorConfig

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRY_POINT_GROUP = "wardlink.doors"

_BUILT_IN = {
    "coap": "firmware_adapters.transport.coap:make_door",
    "http": "firmware_adapters.transport.http:make_door",
    "folder": "firmware_adapters.transport.folder:make_door",
    "mqtt": "firmware_adapters.transport.mqtt:make_door",
}


def kinds() -> list[str]:
    """Names of all kinds of door that can be configured."""
    return sorted({*_BUILT_IN, *(e.name for e in entry_points(group=ENTRY_POINT_GROUP))})


def is_built_in(kind: str) -> bool:
    """Whether a kind of door comes with this package."""
    return kind in _BUILT_IN


def make_door(config: DoorConfig) -> Door:
    """The door of a kind; ConfigError when there is none such, it was written for another API, or its settings cannot work."""
    if config.kind in _BUILT_IN:
        module, _, name = _BUILT_IN[config.kind].partition(":")
        factory = getattr(import_module(module), name)
    else:
        found = [e for e in entry_points(group=ENTRY_POINT_GROUP) if e.name == config.kind]
        if not found:
            msg = f"kind of door {config.kind!r} is not known; known are: {', '.join(kinds())}"
            raise ConfigError(msg)
        factory = found[0].load()
    door = cast("Callable[[DoorConfig], Door]", factory)(config)
    if door.api_version != DOOR_API_VERSION:
        msg = f"kind of door {config.kind!r} was written for door API {door.api_version}; this agent speaks {DOOR_API_VERSION}"
        raise ConfigError(msg)
    return door
