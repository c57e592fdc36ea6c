"""What a checkout needs on one machine: database, browser for the tests, JavaScript parts.

Nothing here is used by a gateway or by a hub in production; both get their connections from settings.
"""
