"""Adapters that may block, crash or leak, each in a process of its own: what runs there, what is said between, what the agent keeps."""
