"""Signed releases of the agent: fetched, verified, installed beside the one that runs, tried, kept or given up (docs/decisions/0159)."""
