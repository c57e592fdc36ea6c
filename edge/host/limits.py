"""What an adapter in a process of its own may take before it is ended. The composition root has it from the settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostLimits:
    """`blocked_s`: how long its event loop may stand still; `memory_bytes`: what it may allocate (RLIMIT_DATA, setrlimit(2))."""

    blocked_s: float = 10.0
    memory_bytes: int = 512 * 1024 * 1024
