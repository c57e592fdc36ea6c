"""Asks the hub for the gateway's next certificate, at the first of its addresses that gives one (service Identity of uplink.proto)."""

import asyncio
from collections.abc import Sequence

import grpc
import grpc.aio
from google.protobuf.message import DecodeError as ProtobufError

from edge.identity import Identity
from edge.identity.renewal import RenewalError
from edge.uplink.security import ClientPapers, make_channel
from protocols.uplink_pb2 import RenewalAnswer, RenewalRequest

METHOD = "/wardlink.v1.Identity/Renew"
TIMEOUT_S = 15.0


async def ask_to_renew(addresses: Sequence[str], identity: Identity, csr_pem: str) -> tuple[str, str]:
    """Return certificate and, or "", certificate of the local page, in PEM; RenewalError when no address gives one."""
    reasons: list[str] = []
    for address in addresses:
        papers = ClientPapers(identity.key_pem, identity.certificate_pem, identity.ca_pem)
        try:
            async with asyncio.timeout(TIMEOUT_S), make_channel(address, papers) as channel:
                method = channel.unary_unary(METHOD, RenewalRequest.SerializeToString, _as_it_is)
                answer = RenewalAnswer.FromString(await method(RenewalRequest(csr_pem=csr_pem)))
        except grpc.aio.AioRpcError as error:
            reasons.append(f"{address}: {error.code().name} {error.details()}")
        except TimeoutError:
            reasons.append(f"{address}: no answer within {TIMEOUT_S:.0f} s")
        except ProtobufError:
            reasons.append(f"{address}: its answer is none; are hub and agent of the same version?")
        else:
            return answer.certificate_pem, answer.server_certificate_pem
    raise RenewalError("; ".join(reasons))


def _as_it_is(message: bytes) -> bytes:
    return message
