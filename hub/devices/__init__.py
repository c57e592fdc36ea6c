"""The device ledger: devices that came by themselves, what they said of themselves, and whether their data may be stored."""
