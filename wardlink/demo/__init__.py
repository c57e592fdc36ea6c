"""A whole installation on one machine: beds with their devices, a gateway and a hub, from recorded signals to the nurse's page."""
