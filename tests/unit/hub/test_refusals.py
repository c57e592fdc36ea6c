"""Why a record is refused: every sentence is said somewhere, with the parameters that it has."""

import ast
from collections.abc import Iterator
from pathlib import Path

from hub.ingest.quarantined import RejectedError
from hub.quarantine.sentences import SENTENCES, Said
from wardlink.web.catalogue import parameters

INGEST = Path(__file__).parents[3] / "hub" / "ingest"


def calls() -> Iterator[tuple[str, str, set[str]]]:
    """Where, the code and the names of the parameters of each refusal in the source."""
    for file in sorted(INGEST.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("RejectedError", "said")
            ):
                code = node.args[-1]
                if isinstance(code, ast.Constant):
                    yield f"{file.name}:{node.lineno}", str(code.value), {word.arg or "" for word in node.keywords}


def test_each_refusal_is_a_sentence_with_its_parameters() -> None:
    said = list(calls())
    assert {code for _, code, _ in said} == {*SENTENCES}
    assert [(where, code) for where, code, names in said if names != parameters(SENTENCES[code])] == []


def test_a_refusal_is_what_the_database_gives_back() -> None:
    why = RejectedError("value", "no_number", code="MDC_TEMP_BODY", value=float("nan")).why
    assert str(why) == "MDC_TEMP_BODY: nan is no number that was measured"
    assert Said.from_json(why.as_json()) == why


def test_a_sentence_of_another_version_is_none() -> None:
    for found in ({}, {"code": "to_come", "params": {}}, {"code": "no_value", "params": {}}, {"code": "no_value"}):
        assert Said.from_json(found) == Said()


def test_a_nul_does_not_reach_the_database() -> None:
    assert "\x00" not in str(RejectedError("source", "path", found="a\x00b"))
