"""That the table of queues states the bounds which the code keeps, and that there is no queue beside it."""

from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

import edge
import firmware_adapters.transport
from edge.health import metrics
from edge.pipeline.queues import QUEUES
from edge.spool import Limits
from edge.spool.frame import HEADER_BYTES
from edge.spool.places import MOST_BEHIND
from firmware_adapters.transport import ble, mqtt, serial
from protocols.link import window
from tests.fixtures.queue_reader import Made, queues_made

EDGE = Path(edge.__file__).parent
TRANSPORTS = Path(firmware_adapters.transport.__file__).parent
# Transports may not import the agent, so a bound of theirs stands with them, and here beside its row.
BOUNDS_OF_TRANSPORTS = {
    "ble.py": [("link-values", ble.QUEUE)],
    "mqtt.py": [("door-unacknowledged", mqtt.RECEIVE_MAXIMUM)],
}


def test_the_table_of_queues_has_the_bounds_of_the_code():
    assert QUEUES["link"].bound == serial.LIMIT_BYTES
    assert QUEUES["spool-waveform"].bound == Limits().queue_batches
    assert QUEUES["spool-event"].bound == QUEUES["spool-numeric"].bound == Limits().queue_bytes
    assert QUEUES["spool-index"].bound == MOST_BEHIND
    assert QUEUES["losses"].bound == Limits().total_bytes // (2 * HEADER_BYTES)
    assert QUEUES["in-flight"].bound == window.MAX_BYTES
    for bounds in BOUNDS_OF_TRANSPORTS.values():
        assert [QUEUES[row].bound for row, _ in bounds] == [bound for _, bound in bounds]


def test_every_queue_has_a_metric_that_the_agent_serves():
    families = [
        family
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
        for family in metric.collect()
    ]
    served = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
    assert {row.metric for row in QUEUES.values()} <= served


@pytest.mark.parametrize("path", sorted(EDGE.rglob("*.py")), ids=lambda path: str(path.relative_to(EDGE)))
def test_the_agent_makes_no_queue_without_a_bound_of_the_table(path: Path):
    if path == EDGE / "pipeline" / "queues.py":  # its row type is called Queue
        return
    beside = [made for made in queues_made(path.read_text()) if made.row not in QUEUES]
    assert beside == [], "give it a row in edge/pipeline/queues.py, with bound, policy and metric"


@pytest.mark.parametrize("path", sorted(TRANSPORTS.glob("*.py")), ids=lambda path: path.name)
def test_a_transport_makes_no_queue_whose_bound_is_not_in_the_table(path: Path):
    assert len(queues_made(path.read_text())) == len(BOUNDS_OF_TRANSPORTS.get(path.name, []))


def test_a_queue_made_in_any_way_is_found():
    for made in (
        "x = asyncio.Queue()",
        "x = deque(maxlen=3)",
        "x = collections.deque[int]()",
        "x = queue.SimpleQueue()",
        "x: deque[int] = field(default_factory=deque[int])",
        "from collections import deque as d",
        "x = asyncio.Queue(SIZE)",
    ):
        assert [m.row for m in queues_made(made)] == [""], made


def test_a_bound_of_the_table_is_read_with_the_name_that_stands_for_it():
    source = 'A, B = QUEUES["a"].bound, 5\nx: "deque[int]" = deque[int](maxlen=A)\ny = Queue(QUEUES["b"].bound)\nz = deque(maxlen=B)'
    assert queues_made(source) == [Made(2, "deque", "a"), Made(3, "Queue", "b"), Made(4, "deque")]
