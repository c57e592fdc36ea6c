"""That the table of queues states the bounds which the code keeps."""

from edge.pipeline.queues import QUEUES
from edge.spool import Limits
from firmware_adapters.transport import serial
from protocols.link import window


def test_the_table_of_queues_has_the_bounds_of_the_code():
    assert QUEUES["link"].bound == serial.LIMIT_BYTES
    assert QUEUES["spool-waveform"].bound == Limits().queue_batches
    assert QUEUES["in-flight"].bound == window.MAX_BYTES
