"""Settings that the hub gives a gateway: checked like the file, tried, kept when the agent is up with them, else rolled back."""

from edge.configuration.keeper import Keeper
from edge.configuration.store import Answer, ConfigurationStore, Outcome, Version

__all__ = ["Answer", "ConfigurationStore", "Keeper", "Outcome", "Version"]
