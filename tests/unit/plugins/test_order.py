"""Files with a browser take turns with those that wait, and the short ones fill up."""

from pathlib import Path

from tests.plugins.order import in_turns


def test_a_file_with_a_browser_comes_before_each_few_that_wait_and_the_rest_behind():
    e2e, waiting, rest = (
        [Path(folder, f"test_{n}.py") for n in range(count)]
        for folder, count in (("e2e", 2), ("integration", 7), ("unit", 2))
    )
    ordered = in_turns([*rest, *waiting, *e2e], lambda file: file)
    assert ordered == [e2e[0], *waiting[:3], e2e[1], *waiting[3:], *rest]
