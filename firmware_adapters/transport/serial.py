"""Serial lines by pyserial's asyncio streams: exclusive, 8N1, with every error turned into a LinkError that names the port."""

import asyncio
import termios
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import serial
import serial_asyncio_fast

from firmware_adapters.adapter import Chunk, LinkError

_READ_BYTES = 4096
LIMIT_BYTES = 64 * 1024  # the reader stops taking bytes from the driver beyond this

# termios.error is not an OSError; pyserial lets it through when a driver refuses a setting.
_ERRORS = (serial.SerialException, OSError, termios.error)


class SerialLink:
    """An open line."""

    def __init__(self, url: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Made by SerialTransport."""
        self._url, self._reader, self._writer = url, reader, writer

    async def receive(self) -> Chunk:
        """The next bytes; LinkError when the adapter was pulled."""
        try:
            data = await self._reader.read(_READ_BYTES)
        except _ERRORS as error:
            msg = f"{self._url}: the serial line broke while reading: {error}"
            raise LinkError(msg) from error
        if not data:
            msg = f"{self._url}: the serial line was closed by the driver; is the adapter plugged in?"
            raise LinkError(msg)
        return Chunk(data)

    async def send(self, data: bytes) -> None:
        """Write a command."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except _ERRORS as error:
            msg = f"{self._url}: the serial line broke while writing: {error}"
            raise LinkError(msg) from error


class SerialTransport:
    """A serial port by device path or pyserial URL (`socket://host:port` for a terminal server)."""

    def __init__(self, url: str, *, baud: int) -> None:
        """Opens nothing."""
        self._url, self._baud = url, baud

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[SerialLink]:
        """Open for this process alone. Stale bytes of the driver are dropped: their time of arrival is not known."""
        # a terminal server's socket knows no lock
        exclusive: dict[str, Any] = {} if "://" in self._url else {"exclusive": True}
        try:
            reader, writer = await serial_asyncio_fast.open_serial_connection(
                url=self._url, baudrate=self._baud, limit=LIMIT_BYTES, **exclusive
            )
        except _ERRORS as error:
            msg = f"{self._url}: the serial line cannot be opened: {error}"
            raise LinkError(msg) from error
        try:
            yield SerialLink(self._url, reader, writer)
        finally:
            writer.close()
