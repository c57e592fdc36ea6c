"""Foreign, expired and missing client certificates: gRPC ends those handshakes itself and tells nobody but standard error.

So standard error of the process is read here: such lines become audit events, all others are passed on (decision 0046).
The peer's address is not in them. What a certificate of ours may do is checked in `identity`.
"""

import asyncio
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from prometheus_client import Counter as Metric

_FAILED = re.compile(rb"Handshake failed with error .*?:OPENSSL_internal:([A-Z_]+)(?:: (.*))?$")
_EVERY_S = 1.0  # at most one event a reason in this time, with how often it happened
_REFUSED = Metric("hub_ingest_handshakes_refused_total", "TLS handshakes that failed", ["reason"])

_BY_TEXT = {
    b"certificate has expired": "certificate-expired",
    b"certificate is not yet valid": "certificate-not-yet-valid",
    b"unable to get local issuer certificate": "certificate-foreign",
    b"self signed certificate": "certificate-foreign",
    b"certificate signature failure": "certificate-foreign",
    b"unsupported certificate purpose": "certificate-purpose",
}
_BY_CODE = {
    b"PEER_DID_NOT_RETURN_A_CERTIFICATE": "no-certificate",
    b"NO_SHARED_CIPHER": "tls-version",
    b"UNSUPPORTED_PROTOCOL": "tls-version",
    b"CERTIFICATE_VERIFY_FAILED": "certificate-foreign",
}

Report = Callable[[str, int], Awaitable[None]]


def reason_in(line: bytes) -> str | None:
    """Return why a handshake failed, or None when the line is about something else."""
    match = _FAILED.search(line.rstrip())
    if match is None:
        return None
    return _BY_TEXT.get((match[2] or b"").strip()) or _BY_CODE.get(match[1]) or f"tls-{match[1].decode().lower()}"


@dataclass(slots=True)
class HandshakeLog:
    """Takes the place of standard error from `start` to `stop`; awaits `report(reason, count)` for what failed."""

    report: Report
    _kept: int = -1
    _read: int = -1
    _rest: bytes = b""
    _seen: Counter[str] = field(default_factory=Counter[str])
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read."""
        self._kept = os.dup(2)
        self._read, write = os.pipe()
        os.dup2(write, 2)
        os.close(write)
        os.set_blocking(self._read, False)
        asyncio.get_running_loop().add_reader(self._read, self._take)
        self._task = asyncio.create_task(self._tell())

    async def stop(self) -> None:
        """Give standard error back."""
        os.dup2(self._kept, 2)
        self._take()
        asyncio.get_running_loop().remove_reader(self._read)
        os.close(self._read)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        os.close(self._kept)

    def _take(self) -> None:
        try:
            data = os.read(self._read, 65536)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        passed = bytearray()
        for line in lines:
            reason = reason_in(line)
            if reason is None:
                passed += line + b"\n"
            else:
                self._seen[reason] += 1
                _REFUSED.labels(reason).inc()
        if passed:
            os.write(self._kept, passed)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            seen, self._seen = self._seen, Counter()
            for reason, count in seen.items():
                structlog.get_logger().warning("handshake-refused", reason=reason, count=count)
                try:
                    await self.report(reason, count)
                except Exception:  # noqa: BLE001  the metric and the log line stand; the next report is tried
                    structlog.get_logger().exception("handshake-not-audited", reason=reason, count=count)
