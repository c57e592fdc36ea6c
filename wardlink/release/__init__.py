"""Releases of the agent: built from wheels, signed with a key that no hub has, looked at before they are handed on."""
