"""How bytes arrive: one module a transport, each opening links for the agent."""
