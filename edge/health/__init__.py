"""How the agent is: metrics and the health page. Nothing that identifies anybody."""
