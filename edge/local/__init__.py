"""The gateway's own page: its beds, live, with alarms that can be acknowledged while the hub is away (docs/how-to/local-page.md)."""
