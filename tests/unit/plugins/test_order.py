"""The first process takes what computes, the others what waits, and who has none of its own left takes what there is."""

from pathlib import PurePath

import pytest

from tests.plugins.order import COMPUTING, WAITING, next_file

FILES = [PurePath("tests", folder, f"test_{n}.py") for n in (1, 2) for folder in ("unit/link", "integration", "e2e")]


def taken(kinds: tuple[str, ...], files: list[PurePath]) -> list[str]:
    """All files, as a process that is alone takes them."""
    left, order = list(files), list[str]()
    while left:
        left.remove(one := next_file(left, PurePath, kinds))
        order.append(f"{one.parent.name} {one.stem[-1]}")
    return order


@pytest.mark.parametrize(
    ("kinds", "order"), [(COMPUTING, ["link", "e2e", "integration"]), (WAITING, ["integration", "link", "e2e"])]
)
def test_a_process_takes_its_own_kind_in_its_order_and_then_that_of_the_others(
    kinds: tuple[str, ...], order: list[str]
):
    assert taken(kinds, FILES) == [f"{folder} {n}" for folder in order for n in (1, 2)]


def test_each_file_of_a_run_goes_once_to_one_process_and_what_computes_to_the_first(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # what has to be imported in three processes
    pytester.makeini("[pytest]\npythonpath = " + str(PurePath(__file__).parents[3]))
    for folder in ("e2e", "integration", "unit"):
        for n in range(3):
            path = pytester.path / "tests" / folder / f"test_{folder}_{n}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                "import os, time\ndef test_where():\n    time.sleep(0.3)\n"
                f"    open({str(pytester.path / 'ran')!r}, 'a').write(os.environ['PYTEST_XDIST_WORKER'] + ' {folder}-{n}\\n')\n"
            )
    options = [
        "-p",
        "xdist",
        "-p",
        "tests.plugins.order",
        "--numprocesses=2",
        "--dist=loadfile",
        "--no-loadscope-reorder",
    ]
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", *options)
    result.assert_outcomes(passed=9)
    ran = [line.split() for line in (pytester.path / "ran").read_text().splitlines()]
    assert sorted(name for _, name in ran) == [
        f"{folder}-{n}" for folder in ("e2e", "integration", "unit") for n in range(3)
    ]
    of = {who: [name for at, name in ran if at == who] for who in ("gw0", "gw1")}
    assert (of["gw0"][:2], of["gw1"][:2]) == (["unit-0", "unit-1"], ["integration-0", "integration-1"])
