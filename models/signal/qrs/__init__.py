"""Heartbeats: by rules from one lead (`rules`), from the lead that is followed among several (`followed`), or by a network (`network`)."""
