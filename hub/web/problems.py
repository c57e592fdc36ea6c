"""Errors as people and programs see them: RFC 9457 problem documents, and the error page in the reader's language.

Which text belongs to which error is in the catalogue (`error.*`); what happened is in `hub.core.errors`.
"""

from uuid import uuid4

import psycopg
import structlog
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from hub.core.errors import MEDIA_TYPE, DomainError, InvalidError, NotFoundError, UnavailableError

# Error kinds with texts of their own in the catalogue; any other is told as it is.
_TEXTS = {
    404: "not_found",
    410: "not_found",
    403: "forbidden",
    409: "conflict",
    500: "internal",
    503: "unavailable",
}


class InternalError(DomainError):
    """A mistake of ours. `reference` is in the log."""

    def __init__(self, reference: str) -> None:
        """Say that it is recorded."""
        super().__init__(
            "The hub made a mistake; it is recorded. Alarms and data of the gateways are kept and go on.",
            f"Try again. If it stays, give {reference} to your administrator.",
            reason="internal",
        )
        self.reference = reference


class MethodError(DomainError):
    """The address is there, but not for this method."""

    status = 405
    kind = "method"
    title = "Not this way"


def problem_response(error: DomainError, path: str) -> JSONResponse:
    """The problem document of an error."""
    headers: dict[str, str] = {}
    wait_s = getattr(error, "wait_s", None)
    if isinstance(wait_s, float):
        headers["Retry-After"] = str(max(1, round(wait_s)))
    return JSONResponse(error.problem(path), error.status, headers, media_type=MEDIA_TYPE)


def domain_error(error: Exception) -> DomainError:
    """Whatever was raised, as one of our errors; a mistake of ours is logged with its reference."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, (psycopg.OperationalError, PoolTimeout)):
        structlog.get_logger().error("database-not-available", error=type(error).__name__)
        return UnavailableError(
            "The hub's database does not answer. Gateways keep what they measure and send it later.",
            "Wait a moment and try again. Watch the patients at the bed meanwhile.",
            reason="database",
        )
    reference = str(uuid4())
    structlog.get_logger().error("request-failed", reference=reference, exc_info=error)
    return InternalError(reference)


def text_key(error: DomainError) -> str | None:
    """The catalogue's name for this error's texts (`error.{name}_title`, `_detail`, `_do`)."""
    return "csrf" if error.reason == "csrf" else _TEXTS.get(error.status)


def _of_http(error: HTTPException) -> DomainError:
    if error.status_code == 404:
        return NotFoundError("There is nothing at this address.", "Check the address, or go back to the ward.")
    if error.status_code == 405:
        return MethodError("This address takes no such request.", "See docs/reference/http-api.md.")
    return InvalidError(str(error.detail), "See docs/reference/http-api.md.")
