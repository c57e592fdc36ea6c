"""Named queries from the `queries.sql` that stands beside the code which uses it. SQL is SQL: nothing is built from parts."""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files

_NAME = re.compile(r"^--\s*name:\s*([a-z][a-z0-9_]*)\s*$", re.MULTILINE)


class Queries(Mapping[str, bytes]):
    """Queries by name, as bytes: what psycopg takes for a statement that is not typed in the code."""

    def __init__(self, text: str, where: str) -> None:
        """Split at `-- name: x` lines; ValueError when a name comes twice, has no text, or text stands before the first."""
        self._where = where
        self._queries: dict[str, bytes] = {}
        before, *rest = _NAME.split(text)
        if any(line.strip() and not line.startswith("--") for line in before.splitlines()):
            msg = f"{where}: text before the first '-- name:' line"
            raise ValueError(msg)
        for name, body in zip(rest[::2], rest[1::2], strict=True):
            if name in self._queries or not body.strip():
                msg = f"{where}: query {name} comes twice or is empty"
                raise ValueError(msg)
            self._queries[name] = body.strip().removesuffix(";").encode()

    def __getitem__(self, name: str) -> bytes:
        """Return a query; KeyError names the file and what it has."""
        try:
            return self._queries[name]
        except KeyError:
            msg = f"{self._where} has no query {name}; it has {', '.join(sorted(self._queries))}"
            raise KeyError(msg) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)

    def __len__(self) -> int:
        return len(self._queries)


def load_queries(package: str, name: str = "queries.sql") -> Queries:
    """Load `name` from the folder of `package`."""
    return Queries(files(package).joinpath(name).read_text(encoding="utf-8"), f"{package}/{name}")
