"""Gateways as the hub knows them: added by name, enrolled with a one-time token, revoked."""
