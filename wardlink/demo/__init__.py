"""A whole installation on one machine: a bed, its device, a gateway and a hub, from a recorded ECG to the nurse's page."""
