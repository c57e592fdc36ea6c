"""That the table of queues states the bounds which the code keeps, and that there is no queue beside it."""

import ast
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

import edge
from edge.health import metrics
from edge.pipeline.queues import QUEUES
from edge.spool import Limits
from firmware_adapters.transport import ble, serial
from protocols.link import window

EDGE = Path(edge.__file__).parent
QUEUE_TYPES = {"Queue", "LifoQueue", "PriorityQueue", "SimpleQueue", "deque"}


def test_the_table_of_queues_has_the_bounds_of_the_code():
    assert QUEUES["link"].bound == serial.LIMIT_BYTES
    assert QUEUES["link-values"].bound == ble.QUEUE
    assert QUEUES["spool-waveform"].bound == Limits().queue_batches
    assert QUEUES["in-flight"].bound == window.MAX_BYTES


def test_every_queue_has_a_metric_that_the_agent_serves():
    families = [
        family
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
        for family in metric.collect()
    ]
    served = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
    assert {row.metric for row in QUEUES.values()} <= served


def queues_made(source: str) -> list[tuple[int, str]]:
    """Line and type of each ready-made queue that a module makes or names."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            found += [(node.lineno, name)] if name in QUEUE_TYPES else []
        if isinstance(node, ast.ImportFrom):
            found += [(node.lineno, alias.name) for alias in node.names if alias.name in QUEUE_TYPES]
    return found


@pytest.mark.parametrize("path", sorted(EDGE.rglob("*.py")), ids=lambda path: str(path.relative_to(EDGE)))
def test_the_agent_makes_no_queue_beside_the_table(path: Path):
    if path == EDGE / "pipeline" / "queues.py":  # its row type is called Queue
        return
    assert queues_made(path.read_text()) == [], (
        "give it a row in edge/pipeline/queues.py, with bound, policy and metric"
    )


def test_a_queue_made_in_any_way_is_found():
    for made in ("asyncio.Queue()", "deque(maxlen=3)", "collections.deque[int]", "queue.SimpleQueue"):
        assert queues_made(f"x = {made}")
    assert queues_made("from collections import deque as d")
