"""Releases of the agent, and how gateways get them: in stages, each when those before it are well."""
