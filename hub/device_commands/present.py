"""Which commands and parameters the pages have words for; those of other makers' adapters stand as their adapters name them."""

COMMANDS = ("channel-power", "reset", "measurement-interval", "reset-energy")
PARAMETERS = ("channel", "on", "gain", "firmware", "seconds")
