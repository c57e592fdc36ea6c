"""A contract for import-linter that its own kinds cannot say: of our packages, a room may import these modules and no others."""

from fnmatch import fnmatchcase
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedContract(Contract):
    """Direct imports of `source` (with its descendants) stay within `source` and `allowed` (patterns as of fnmatch).

    With `within`, only imports of that package are judged. A room that does not exist yet imports nothing.
    """

    source = fields.StringField()
    within = fields.StringField(required=False)
    allowed = fields.ListField(subfield=fields.StringField())  # a descriptor: on an instance it is a list

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # the base class's signature
        source, within = str(self.source), cast("str | None", self.within)  # descriptors: on an instance they are text
        allowed = [str(pattern) for pattern in cast("list[object]", self.allowed)]
        ours = {name for name in graph.modules if not graph.is_module_squashed(name)}
        room = {name for name in ours if name == source or name.startswith(f"{source}.")}
        refused: list[tuple[str, str, object]] = []
        for importer in sorted(room):
            for imported in sorted(graph.find_modules_directly_imported_by(importer) & ours - room):
                judged = within is None or imported == within or imported.startswith(f"{within}.")
                if judged and not any(fnmatchcase(imported, pattern) for pattern in allowed):
                    details = graph.get_import_details(importer=importer, imported=imported)
                    refused.append((importer, imported, details[0]["line_number"] if details else "?"))
        return ContractCheck(kept=not refused, metadata={"refused": refused})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported, line in check.metadata["refused"]:
            output.print_error(f"{importer} imports {imported} (line {line})", bold=False)
