"""Build hook: a wheel carries protobuf modules generated from protocols/*.proto, which are not committed."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GenerateProtobuf(BuildHookInterface[Any]):
    """Runs `protocols.generate` on the tree that is being built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate the modules; hatch takes them in as artifacts (pyproject.toml)."""
        del version, build_data
        sys.path.insert(0, self.root)
        try:
            from protocols.generate import generate  # noqa: PLC0415  # the tree is importable only now
        finally:
            sys.path.remove(self.root)
        generate(Path(self.root))
