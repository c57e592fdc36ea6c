"""The agent's log: one JSON object a line on standard error, and the stack of a process that is ended from without."""

import faulthandler
import sys
from typing import TextIO, cast

import structlog

from models.log_stream import LogStream


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
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", LogStream(lambda: sys.stderr))),
    )
