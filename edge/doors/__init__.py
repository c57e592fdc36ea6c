"""Message doors at the agent: what a message says, who may say it, and that it is taken once."""

from edge.doors.intake import DoorPolicy, Intake

__all__ = ["DoorPolicy", "Intake"]
