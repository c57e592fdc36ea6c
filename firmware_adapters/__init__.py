"""Devices: one file a device family, saying which transport, which decoder and which quirks."""
