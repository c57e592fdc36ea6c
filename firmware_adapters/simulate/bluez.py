"""A BlueZ without a radio: the part of its D-Bus interface that a GATT client uses, played on a bus of our own.

Follows BlueZ's documents of org.bluez.Adapter1, Device1 and GattCharacteristic1 and org.freedesktop.DBus.ObjectManager. Which devices are
there, and what they answer, is given by the peripherals; this module shares nothing with the client's transport or any decoder.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

ADAPTER_PATH = "/org/bluez/hci0"
CONFIGURATION = """<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
 <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
  <allow own="*"/><allow user="*"/></policy></busconfig>
"""

_ADVERTISE_EVERY_S = 0.1
_OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_ADAPTER, _DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
_SERVICE, _CHARACTERISTIC = "org.bluez.GattService1", "org.bluez.GattCharacteristic1"

Interfaces: TypeAlias = dict[str, dict[str, Variant]]


class _Out(Protocol):
    """The part of dbus-fast's bus that sends; its own annotation leaves the future open."""

    def send(self, msg: Message) -> object: ...


class RefusedError(Exception):
    """An error answer: `name` behind org.bluez.Error."""

    def __init__(self, name: str, text: str) -> None:
        """Both are sent."""
        super().__init__(text)
        self.name = f"org.bluez.Error.{name}"


@dataclass(slots=True)
class Characteristic:
    """A characteristic: its value when read, and what a write does."""

    uuid: str
    flags: tuple[str, ...]
    read: Callable[[], bytes] | None = None
    write: Callable[[bytes], None] | None = None
    notifying: bool = False


@dataclass(slots=True)
class Peripheral:
    """A device on the air. `services`: UUID to characteristics. `dead`: it has gone without a word, and BlueZ has not noticed."""

    address: str
    name: str
    services: dict[str, list[Characteristic]]
    when_connected: Callable[[], None] = lambda: None
    when_disconnected: Callable[[], None] = lambda: None
    connected: bool = False
    on_air: bool = True
    dead: bool = False

    @property
    def path(self) -> str:
        """Its object."""
        return f"{ADAPTER_PATH}/dev_{self.address.replace(':', '_')}"

    def characteristics(self) -> dict[str, Characteristic]:
        """Path to characteristic; service and characteristic handles have four digits each, as clients parse them."""
        return {
            f"{self.path}/service{16 * s:04x}/char{16 * s + 2 * c + 1:04x}": characteristic
            for s, characteristics in enumerate(self.services.values(), start=1)
            for c, characteristic in enumerate(characteristics)
        }


@dataclass(slots=True)
class Bluez:
    """The daemon. `connections` counts how often each address was connected, `subscriptions` how often a characteristic was."""

    bus: MessageBus
    _out: _Out
    peripherals: dict[str, Peripheral] = field(default_factory=dict[str, Peripheral])
    connections: dict[str, int] = field(default_factory=dict[str, int])
    subscriptions: dict[str, int] = field(default_factory=dict[str, int])
    _scanners: set[str] = field(default_factory=set[str])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @classmethod
    async def on_bus(cls, address: str) -> "Bluez":
        """Take the name org.bluez on the bus at `address` (as unix:path=...)."""
        bus = await MessageBus(address).connect()
        bluez = cls(bus, bus)
        bluez.bus.add_message_handler(bluez._answer)
        await bluez.bus.request_name("org.bluez")
        return bluez

    async def close(self) -> None:
        """Leave the bus."""
        for task in self._tasks:
            task.cancel()
        self.bus.disconnect()
        with contextlib.suppress(EOFError, OSError):
            await self.bus.wait_for_disconnect()

    def add(self, peripheral: Peripheral) -> None:
        """A device comes near."""
        self.peripherals[peripheral.path] = peripheral
        self._signal("/", _OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", [peripheral.path, _of_device(peripheral)])

    def notify(self, peripheral: Peripheral, uuid: str, value: bytes) -> bool:
        """Send a notification or indication when somebody has subscribed; tells whether it went out."""
        for path, characteristic in peripheral.characteristics().items():
            if (
                characteristic.uuid == uuid
                and characteristic.notifying
                and peripheral.connected
                and not peripheral.dead
            ):
                self._changed(path, _CHARACTERISTIC, {"Value": Variant("ay", value)})
                return True
        return False

    def drop(self, peripheral: Peripheral) -> None:
        """The link is lost, and BlueZ says so; subscriptions and services are forgotten."""
        if not peripheral.connected:
            return
        peripheral.connected = False
        gone = _of_services(peripheral)
        for characteristic in peripheral.characteristics().values():
            characteristic.notifying = False
        self._changed(
            peripheral.path, _DEVICE, {"Connected": Variant("b", False), "ServicesResolved": Variant("b", False)}
        )
        for path, interfaces in gone.items():
            self._signal("/", _OBJECT_MANAGER, "InterfacesRemoved", "oas", [path, [*interfaces]])
        peripheral.when_disconnected()

    def _answer(self, message: Message) -> bool | None:
        if message.message_type is not MessageType.METHOD_CALL or message.interface == "org.freedesktop.DBus.Peer":
            return None
        task = asyncio.get_running_loop().create_task(self._reply(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _reply(self, message: Message) -> None:
        try:
            signature, body = await self._call(message)
        except RefusedError as error:
            self._out.send(Message.new_error(message, error.name, str(error)))
        else:
            self._out.send(Message.new_method_return(message, signature, body))

    async def _call(self, message: Message) -> tuple[str, list[object]]:
        path, member = message.path or "", message.member or ""
        if member == "GetManagedObjects":
            return "a{oa{sa{sv}}}", [self._objects()]
        if path == ADAPTER_PATH:
            return await self._adapter(member, message.sender or "")
        peripheral = self.peripherals.get(path[: len(ADAPTER_PATH) + 22])
        if peripheral is None:
            raise RefusedError("DoesNotExist", path)
        if peripheral.dead and member != "Connect":
            await asyncio.Event().wait()  # no answer ever
        if path == peripheral.path:
            return await self._device(peripheral, member)
        characteristic = peripheral.characteristics().get(path)
        if characteristic is None or not peripheral.connected:
            raise RefusedError("Failed", "Not connected")
        return self._characteristic(characteristic, member, message.body)

    async def _adapter(self, member: str, sender: str) -> tuple[str, list[object]]:
        match member:
            case "SetDiscoveryFilter":
                pass
            case "StartDiscovery":
                if sender in self._scanners:
                    raise RefusedError("InProgress", "Operation already in progress")
                self._scanners.add(sender)
                task = asyncio.get_running_loop().create_task(self._advertise(sender))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case "StopDiscovery":
                self._scanners.discard(sender)
            case _:
                raise RefusedError("NotSupported", member)
        return "", []

    async def _advertise(self, sender: str) -> None:
        strength = -60
        while sender in self._scanners:
            await asyncio.sleep(_ADVERTISE_EVERY_S)
            strength = -61 if strength == -60 else -60
            for peripheral in self.peripherals.values():
                if peripheral.on_air and not peripheral.connected:
                    self._changed(peripheral.path, _DEVICE, {"RSSI": Variant("n", strength)})

    async def _device(self, peripheral: Peripheral, member: str) -> tuple[str, list[object]]:
        if member == "Connect":
            if not peripheral.on_air:
                raise RefusedError("Failed", "br-connection-page-timeout")
            peripheral.connected, peripheral.dead = True, False
            self.connections[peripheral.address] = self.connections.get(peripheral.address, 0) + 1
            self._changed(peripheral.path, _DEVICE, {"Connected": Variant("b", True)})
            for path, interfaces in _of_services(peripheral).items():
                self._signal("/", _OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, interfaces])
            self._changed(peripheral.path, _DEVICE, {"ServicesResolved": Variant("b", True)})
            peripheral.when_connected()
        elif member == "Disconnect":
            self.drop(peripheral)
        else:
            raise RefusedError("NotSupported", member)
        return "", []

    def _characteristic(
        self, characteristic: Characteristic, member: str, body: list[object]
    ) -> tuple[str, list[object]]:
        match member:
            case "ReadValue" if characteristic.read is not None:
                return "ay", [characteristic.read()]
            case "WriteValue" if characteristic.write is not None and isinstance(body[0], bytes):
                characteristic.write(body[0])
            case "StartNotify":
                characteristic.notifying = True
                self.subscriptions[characteristic.uuid] = self.subscriptions.get(characteristic.uuid, 0) + 1
            case "StopNotify":
                characteristic.notifying = False
            case _:
                raise RefusedError("NotPermitted", f"{member} of {characteristic.uuid}")
        return "", []

    def _objects(self) -> dict[str, Interfaces]:
        objects: dict[str, Interfaces] = {
            ADAPTER_PATH: {
                _ADAPTER: {
                    "Address": Variant("s", "00:00:00:00:00:01"),
                    "Powered": Variant("b", True),
                    "Roles": Variant("as", ["central"]),
                }
            }
        }
        for peripheral in self.peripherals.values():
            objects[peripheral.path] = _of_device(peripheral)
            if peripheral.connected:
                objects |= _of_services(peripheral)
        return objects

    def _changed(self, path: str, interface: str, properties: dict[str, Variant]) -> None:
        self._signal(path, _PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, properties, []])

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[object]) -> None:
        self._out.send(Message.new_signal(path, interface, member, signature, body))


def _of_device(peripheral: Peripheral) -> Interfaces:
    return {
        _DEVICE: {
            "Address": Variant("s", peripheral.address),
            "Name": Variant("s", peripheral.name),
            "Alias": Variant("s", peripheral.name),
            "Adapter": Variant("o", ADAPTER_PATH),
            "UUIDs": Variant("as", [*peripheral.services]),
            "Connected": Variant("b", peripheral.connected),
            "ServicesResolved": Variant("b", peripheral.connected),
        }
    }


def _of_services(peripheral: Peripheral) -> dict[str, Interfaces]:
    objects: dict[str, Interfaces] = {}
    for number, uuid in enumerate(peripheral.services, start=1):
        objects[f"{peripheral.path}/service{16 * number:04x}"] = {
            _SERVICE: {
                "UUID": Variant("s", uuid),
                "Device": Variant("o", peripheral.path),
                "Primary": Variant("b", True),
            }
        }
    for path, characteristic in peripheral.characteristics().items():
        objects[path] = {
            _CHARACTERISTIC: {
                "UUID": Variant("s", characteristic.uuid),
                "Service": Variant("o", path.rpartition("/")[0]),
                "Flags": Variant("as", [*characteristic.flags]),
                "MTU": Variant("q", 232),
            }
        }
    return objects
