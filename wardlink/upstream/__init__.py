"""The way up: a hub as a gateway of the hub above it, with a gateway's own spool, uplink and certificate."""
