"""The gRPC service Identity: a gateway's next certificate, for which it shows the one that it has (docs/reference/uplink.md)."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError as ProtobufError

from hub.core import principal as principals
from hub.core.errors import DomainError, ForbiddenError, InvalidError
from hub.core.policy import declares
from hub.ingest.identity import GatewayIdentity
from protocols.uplink_pb2 import RenewalAnswer, RenewalRequest

if TYPE_CHECKING:
    from hub.gateways.service import GatewayService

MAX_CSR_BYTES = 8192

Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]


class RenewalDoor:
    """The servicer. `identify` says whose certificate was shown, ForbiddenError when it may not speak."""

    def __init__(self, gateways: "GatewayService", identify: Callable[[bytes], Awaitable[GatewayIdentity]]) -> None:
        self._gateways, self._identify = gateways, identify

    @declares("gateway.renew")
    async def renew(self, request: bytes, context: Context) -> bytes:
        """Answer one request."""
        try:
            pem = b"".join(context.auth_context().get("x509_pem_cert", ()))
            if not pem:
                raise ForbiddenError("No client certificate was shown.", "Enrol the gateway.", reason="no-certificate")
            identity = await self._identify(pem)
            gateway = principals.gateway(identity.gateway, identity.tenant_id)
            renewed = await self._gateways.renew(gateway, identity, _csr(request), context.peer())
        except DomainError as error:
            await _refuse(error, context)
        return RenewalAnswer(
            certificate_pem=renewed.certificate_pem, server_certificate_pem=renewed.server_certificate_pem
        ).SerializeToString()


def method_handlers(door: RenewalDoor) -> grpc.GenericRpcHandler:
    """Bind the servicer to the service's name; a request that is no message gets a clear status."""
    return grpc.method_handlers_generic_handler(
        "wardlink.v1.Identity", {"Renew": grpc.unary_unary_rpc_method_handler(door.renew)}
    )


def _csr(request: bytes) -> str:
    try:
        pem = RenewalRequest.FromString(request[: 2 * MAX_CSR_BYTES]).csr_pem
    except ProtobufError:
        pem = ""
    if not 0 < len(pem) <= MAX_CSR_BYTES:
        raise InvalidError(
            f"A request of {len(request)} bytes is no RenewalRequest.",
            "Send a signing request in PEM, as protocols/uplink.proto has it.",
            reason="garbage",
        )
    return pem


async def _refuse(error: DomainError, context: Context) -> NoReturn:
    structlog.get_logger().warning("renewal-refused", reason=error.reason)
    await context.abort(grpc.StatusCode[error.grpc_status], error.grpc_details().strip())
    raise error  # abort has raised; this is for the reader and the type checker
