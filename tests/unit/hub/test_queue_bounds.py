"""That every queue of the hub has a bound of the table, and a metric that shows it."""

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

import hub
from hub.core import live
from hub.core.queues import QUEUES
from hub.ingest import writer
from hub.wards import clients, sse, ws
from tests.fixtures.queue_reader import queues_made

HUB = Path(hub.__file__).parent
TABLE = HUB / "core" / "queues.py"  # its row type is called Queue
MODULES = [path for path in sorted(HUB.rglob("*.py")) if path != TABLE]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HUB)))
def test_the_hub_makes_no_queue_without_a_bound_of_the_table(path: Path):
    beside = [made for made in queues_made(path.read_text()) if made.row not in QUEUES]
    assert beside == [], "give it a row in hub/core/queues.py, with bound, policy and metric"


def test_every_row_is_the_bound_of_a_queue_that_is_made():
    assert {made.row for path in MODULES for made in queues_made(path.read_text())} == set(QUEUES)


def test_every_queue_has_a_bound_and_says_why_and_where_it_shows():
    assert all((live, writer, clients, sse, ws))  # what counts lies in these
    served = {f"{f.name}_total" if f.type == "counter" else f.name for f in REGISTRY.collect()}
    for name, row in QUEUES.items():
        assert (row.name, row.bound > 0, bool(row.why)) == (name, True, True)
        assert row.metric in served
