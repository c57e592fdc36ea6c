"""The two gRPC connections to the hub: a thin shell around `protocols.link.LinkSender`."""

from edge.uplink.client import Uplink
from edge.uplink.route import Route
from edge.uplink.security import ClientPapers, make_channel

__all__ = ["ClientPapers", "Route", "Uplink", "make_channel"]
