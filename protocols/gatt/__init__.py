"""Bluetooth GATT services, one module a service: a characteristic's value in, records out. No radio and no bus in here.

UUIDs are written as BlueZ and bleak write them: 128 bits, lower case (Bluetooth Core, volume 3, part B, 2.5.1).
"""


def uuid16(number: int) -> str:
    """An assigned 16-bit number as a whole UUID."""
    return f"0000{number:04x}-0000-1000-8000-00805f9b34fb"
