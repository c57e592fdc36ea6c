"""The agent's log: one JSON object a line on standard error, and the stack of a process that is ended from without."""

import faulthandler
import io
import sys
from typing import TextIO, cast

import structlog


class _StandardError(io.TextIOBase):
    """Standard error as it is at each write: whoever replaces it for a while does not take the log with it."""

    def write(self, text: str, /) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure_logging() -> None:
    """One JSON object a line, without identifying data. What systemd ends because it stands still says where it stood."""
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", _StandardError())),
    )
