"""The hub's errors: what happened, where, and what to do about it, as one class for each thing that can go wrong.

Shown to programs as RFC 9457 problem documents and as gRPC status; leaves to `hub.web` how a page shows them.
"""

from typing import ClassVar, TypeAlias

Problem: TypeAlias = dict[str, str | int]

MEDIA_TYPE = "application/problem+json"
_TYPE_BASE = "urn:wardlink:problem:"


class DomainError(Exception):
    """What a caller can be told. `title` is the same for the class, `detail` is about this case."""

    status: ClassVar[int] = 500
    grpc_status: ClassVar[str] = "INTERNAL"  # name in grpc.StatusCode: only ingest loads gRPC
    kind: ClassVar[str] = "internal"
    title: ClassVar[str] = "The hub could not do this"

    def __init__(self, detail: str, what_to_do: str, *, reason: str = "") -> None:
        """`reason` is a short machine word, such as `token-expired`, for audit, metrics and tests."""
        super().__init__(detail)
        self.detail = detail
        self.what_to_do = what_to_do
        self.reason = reason or self.kind

    def problem(self, instance: str = "") -> Problem:
        """Make the RFC 9457 document; `instance` is the path of the request."""
        document: Problem = {
            "type": f"{_TYPE_BASE}{self.reason}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "what_to_do": self.what_to_do,
        }
        if instance:
            document["instance"] = instance
        return document

    def grpc_details(self) -> str:
        """One line for the status of a stream: reason, detail, what to do."""
        return f"{self.reason}: {self.detail} {self.what_to_do}"


class InvalidError(DomainError):
    """The request itself is wrong."""

    status = 422
    grpc_status = "INVALID_ARGUMENT"
    kind = "invalid"
    title = "The request cannot be understood"


class UnauthenticatedError(DomainError):
    """Nobody has shown who they are."""

    status = 401
    grpc_status = "UNAUTHENTICATED"
    kind = "unauthenticated"
    title = "Sign in first"


class ForbiddenError(DomainError):
    """The principal is known and may not do this."""

    status = 403
    grpc_status = "PERMISSION_DENIED"
    kind = "forbidden"
    title = "Not allowed"


class StepUpError(ForbiddenError):
    """The principal may do this behind another proof of who sits there."""

    title = "Prove that it is you"

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__(
            "This needs a fresh proof that it is you: the last one is more than ten minutes old.",
            "Show your password and code at /account/prove, and do it again.",
            reason="step-up",
        )


class NotFoundError(DomainError):
    """There is no such thing, or none that the principal may see."""

    status = 404
    grpc_status = "NOT_FOUND"
    kind = "not-found"
    title = "Not found"


class ConflictError(DomainError):
    """The thing is in a state in which this cannot be done."""

    status = 409
    grpc_status = "FAILED_PRECONDITION"
    kind = "conflict"
    title = "Not possible in this state"


class GoneError(DomainError):
    """It was there once: a used or expired token or link."""

    status = 410
    grpc_status = "FAILED_PRECONDITION"
    kind = "gone"
    title = "No longer valid"


class TooLargeError(DomainError):
    """More bytes than this door takes."""

    status = 413
    grpc_status = "RESOURCE_EXHAUSTED"
    kind = "too-large"
    title = "Too large"


class UnavailableError(DomainError):
    """A part of the hub that is needed does not answer now."""

    status = 503
    grpc_status = "UNAVAILABLE"
    kind = "unavailable"
    title = "Not available at the moment"
