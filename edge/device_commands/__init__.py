"""Commands of the hub to devices: checked by what their adapters offer, done once, read back, answered the same whenever they come again."""

from edge.device_commands.commander import Commander, Target
from edge.device_commands.ledger import CommandLedger, Entry

__all__ = ["CommandLedger", "Commander", "Entry", "Target"]
