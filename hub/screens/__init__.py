"""The ward pages that are open now, and whether their alarms can be heard."""
