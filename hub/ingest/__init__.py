"""The hub's one door for data: the gRPC uplink, from a gateway's certificate to the commit and the acknowledgement."""
