"""docs/reference/commands.md names every command with each of its options, and no command that there is not."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from wardlink.cli import TABLE, build

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"
_HEADING = re.compile(r"^##+ (wardlink [\w -]+)$", re.MULTILINE)


def options_of(app: typer.Typer, name: str) -> dict[str, set[str]]:
    """By command, and by group that does something itself: the long names of its options."""
    return _walk(typer.main.get_command(app), name)


def _walk(command: object, name: str) -> dict[str, set[str]]:
    assert isinstance(command, TyperCommand | TyperGroup)
    own = {
        option
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    }
    below = command.commands if isinstance(command, TyperGroup) else {}
    found = {name: own} if own or not below else {}
    for word, one in below.items():
        found |= _walk(one, f"{name} {word}")
    return found


def every() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for word, row in TABLE.items():
        module, attribute = row.target.split(":")
        found |= options_of(getattr(import_module(module), attribute), f"wardlink {word}")
    return found


def sections(page: str) -> dict[str, str]:
    """By command: what stands beneath its heading."""
    parts = _HEADING.split(page)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def missing(page: str, commands: dict[str, set[str]]) -> list[str]:
    """What the page does not say: a command, or an option neither beneath it nor beneath the room it belongs to."""
    told = sections(page)
    left = [command for command in commands if command not in told]
    for command in commands.keys() & told.keys():
        room = " ".join(command.split()[:2])
        words = set(re.findall(r"`(--[\w-]+)[^`]*`", told[command] + told.get(room, "")))
        left += [f"{command} {option}" for option in sorted(commands[command] - words)]
    return sorted(left)


def test_every_command_and_option_is_in_the_reference() -> None:
    assert missing(PAGE.read_text("utf-8"), every()) == []


def test_the_reference_names_no_command_that_there_is_not() -> None:
    rooms = {f"wardlink {word}" for word in TABLE}
    assert sections(PAGE.read_text("utf-8")).keys() - every().keys() - rooms == set()


def test_an_option_of_the_command_itself_is_in_the_reference() -> None:
    told = PAGE.read_text("utf-8")
    own = options_of(build(), "wardlink")["wardlink"]
    assert own == {"--version"}
    assert all(f"`wardlink {option}`" in told for option in own)


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ("### wardlink hub gateway list", ["wardlink hub gateway list"]),
        ("`--reason TEXT`", ["wardlink hub gateway revoke --reason"]),
    ],
)
def test_what_is_not_told_is_found(taken: str, left: list[str]) -> None:
    page = PAGE.read_text("utf-8")
    assert taken in page
    assert missing(page.replace(taken, ""), every()) == left


def test_a_command_of_a_new_group_is_found() -> None:
    app, group = typer.Typer(add_completion=False), typer.Typer()
    app.add_typer(group, name="group")

    @group.command()
    def press(*, hard: bool = False) -> None:
        del hard

    assert press
    assert options_of(app, "wardlink new") == {"wardlink new group press": {"--hard", "--no-hard"}}
