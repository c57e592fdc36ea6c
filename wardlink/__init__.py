"""The command, the demo, the embedded stack, and what the pages of hub and gateway share."""
