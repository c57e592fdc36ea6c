"""The public messages keep their field numbers for good."""

import json
from pathlib import Path

import pytest

from protocols.generate import Contract, breaches, contract, read_released, release

CAPTURES = Path(__file__).parents[2] / "captures"
PROTO = """
syntax = "proto3";
package t;
message M {
  %s
  int32 first = 1;
  repeated string second = 2;
  Inner third = 3;
  oneof choice { int32 left = 4; int32 right = 5; }
  optional int32 maybe = 6;
  message Inner { bytes deep = 1; }
}
enum E { E_NONE = 0; E_ONE = 1; }
service S { rpc Call(stream M) returns (M); }
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols" / "t.proto").write_text(PROTO % "")
    assert release(tmp_path) == []
    return tmp_path


def edit(tree: Path, old: str, new: str, reserved: str = "") -> list[str]:
    text = PROTO % reserved
    assert old in text
    (tree / "protocols" / "t.proto").write_text(text.replace(old, new))
    return breaches(read_released(tree), contract(tree))


def test_the_messages_of_today_break_nothing_that_was_released() -> None:
    assert breaches(read_released(), contract()) == []


def test_every_field_of_today_is_written_down_as_released() -> None:
    missing = contract().fields.keys() - read_released().keys()
    assert not missing, "run `python -m protocols.generate --release`"


def test_no_released_row_has_gone_or_changed() -> None:
    """A deleted row would let its number be used again, so what was released stands a second time beside the golden bytes."""
    kept = {
        name: tuple(row) for name, row in json.loads((CAPTURES / "wire" / "v1" / "fields.json").read_text()).items()
    }
    released = read_released()
    assert [name for name, row in kept.items() if released.get(name) != row] == []
    assert not released.keys() - kept.keys(), "add the new rows to tests/captures/wire/v1/fields.json"


def test_a_release_writes_down_messages_inner_ones_and_enumerations(tree: Path) -> None:
    assert read_released(tree) == {
        "t.M.first": (1, "int32"),
        "t.M.second": (2, "repeated string"),
        "t.M.third": (3, "t.M.Inner"),
        "t.M.left": (4, "int32 in choice"),
        "t.M.right": (5, "int32 in choice"),
        "t.M.maybe": (6, "optional int32"),
        "t.M.Inner.deep": (1, "bytes"),
        "t.E.E_NONE": (0, "enum value"),
        "t.E.E_ONE": (1, "enum value"),
        "t.S.Call": (0, "stream t.M to t.M"),
    }


def test_a_new_field_breaks_nothing(tree: Path) -> None:
    assert edit(tree, "int32 first = 1;", "int32 first = 1; double seventh = 7;") == []


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("first = 1", "first = 9", "t.M.first was released as number 1 and is now 9"),
        ("int32 first", "int64 first", "t.M.first was released as int32 and is now int64"),
        ("repeated string second", "string second", "t.M.second was released as repeated string and is now string"),
        ("int32 first = 1;", "", "t.M.first was removed: write `reserved 1;`"),
        ("int32 first = 1;", "int32 other = 1;", "t.M.other uses number 1 of t.M.first"),
        ("optional int32 maybe", "int32 maybe", "t.M.maybe was released as optional int32 and is now int32"),
        ("int32 right = 5; }", "} int32 right = 5;", "t.M.right was released as int32 in choice and is now int32"),
        ("rpc Call(stream M)", "rpc Call(M)", "t.S.Call was released as stream t.M to t.M and is now t.M to t.M"),
        ("rpc Call(stream M) returns (M);", "", "t.S.Call was released and is gone: keep the method"),
        ("E_ONE = 1;", "", "t.E.E_ONE was removed: write `reserved 1;`"),
        (
            "message Inner { bytes deep = 1; }",
            "message Outer { bytes deep = 1; }",
            "t.M.Inner.deep was released and its message",
        ),
    ],
)
def test_a_change_that_old_gateways_would_misread_is_refused(tree: Path, old: str, new: str, sentence: str) -> None:
    if "Outer" in new:
        new += " Outer another = 7;"
        old_third = PROTO.replace("Inner third = 3;", "reserved 3; reserved 'third';")
        (tree / "protocols" / "t.proto").write_text((old_third % "").replace(old, new))
        found = breaches(read_released(tree), contract(tree))
    else:
        found = edit(tree, old, new)
    assert any(sentence in line for line in found), found


def test_a_removed_field_is_fine_once_its_number_and_name_are_reserved(tree: Path) -> None:
    assert edit(tree, "int32 first = 1;", "", reserved='reserved 1; reserved "first";') == []


def test_a_breach_is_not_written_down(tree: Path) -> None:
    before = read_released(tree)
    edit(tree, "first = 1", "first = 9")
    assert release(tree)
    assert read_released(tree) == before


def test_a_removed_message_is_named_by_each_of_its_fields() -> None:
    released = {"t.M.a": (1, "int32"), "t.M.b": (2, "int32")}
    assert len(breaches(released, Contract({}, {}, set()))) == 2
