"""The enrolment door: an HTTPS application of two routes, for gateways that have a token and no certificate yet.

The gateway checks the CA's certificate against the fingerprint in its token before it sends the secret.
"""

from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, StringConstraints

from hub.core.errors import MEDIA_TYPE, DomainError, InvalidError
from hub.core.policy import public

if TYPE_CHECKING:
    from hub.gateways.ca import CertificateAuthority
    from hub.gateways.service import GatewayService


class EnrolmentRequest(BaseModel):
    """What a gateway sends."""

    secret: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    csr_pem: Annotated[str, StringConstraints(min_length=1, max_length=8192)]


class EnrolmentAnswer(BaseModel):
    """What it gets. `uplink`: host:port of the gRPC door. `server_certificate_pem`: of its local page; "" without addresses."""

    certificate_pem: str
    ca_pem: str
    tenant: str
    gateway: str
    uplink: str
    server_certificate_pem: str = ""


def create_app(service: "GatewayService", authority: "CertificateAuthority", uplink: str) -> FastAPI:
    """Build the application; `uplink` is what gateways connect to afterwards."""
    app = FastAPI(title="Wardlink enrolment", docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(DomainError)
    async def told(request: Request, error: DomainError) -> JSONResponse:
        return JSONResponse(error.problem(request.url.path), error.status, media_type=MEDIA_TYPE)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        fields = ", ".join(".".join(str(part) for part in e["loc"][1:]) or "body" for e in error.errors())
        problem = InvalidError(
            f"Wrong or missing: {fields}.", "Send JSON with `secret` and `csr_pem`.", reason="request"
        )
        await service.unreadable(_peer(request))
        return await told(request, problem)

    @app.get("/enrolment/ca")
    @public("a certificate is no secret, and the gateway compares its fingerprint")
    async def ca() -> Response:
        return Response(authority.pem, media_type="application/x-pem-file")

    @app.post("/enrolment", status_code=201)
    @public("the one-time secret in the body is what admits")
    async def enrol(body: EnrolmentRequest, request: Request) -> EnrolmentAnswer:
        enrolled = await service.enrol(body.secret, body.csr_pem, _peer(request))
        return EnrolmentAnswer(
            certificate_pem=enrolled.certificate_pem,
            ca_pem=enrolled.ca_pem,
            tenant=enrolled.tenant,
            gateway=enrolled.gateway,
            uplink=uplink,
            server_certificate_pem=enrolled.server_certificate_pem,
        )

    return app


def _peer(request: Request) -> str:
    return request.client.host if request.client else "-"
