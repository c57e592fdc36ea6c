"""The agent's metrics for Prometheus. Labels name devices, lanes and kinds, never a person."""

from prometheus_client import Counter, Gauge, Histogram

LINK_UP = Gauge("edge_link_up", "Whether a device is reached and not silent", ["device"])
LINK_BYTES = Counter("edge_link_bytes", "Bytes received from a device", ["device"])
RECORDS = Counter("edge_records", "Records handed on", ["device", "kind"])
FAULTS = Counter("edge_faults", "Stretches of bytes that made no record", ["device"])
BATCHES = Counter("edge_batches", "Batches closed", ["lane"])
SPOOL_WAITING = Gauge("edge_spool_waiting", "Batches that wait for the disk", ["lane"])
SPOOL_WAITING_BYTES = Gauge(
    "edge_spool_waiting_bytes", "Bytes of batches that are not on disk yet, and what each takes by itself", ["lane"]
)
SPOOL_BYTES = Gauge("edge_spool_bytes", "Bytes of all segments of the spool")
SPOOL_WRITTEN = Counter("edge_spool_written_bytes", "Bytes appended to segments")
SPOOL_COMMIT = Histogram("edge_spool_commit_seconds", "How long a group of batches took to be durable")
SPOOL_DISK_ERRORS = Counter("edge_spool_disk_errors", "Writes that the disk refused; they are tried again")
SPOOL_INDEX_BEHIND = Gauge("edge_spool_index_behind", "Batches on disk that the spool's index has not taken yet")
SPOOL_DAMAGED = Counter("edge_spool_damaged_bytes", "Bytes of segments that could not be read again at a start")
SPOOL_KEY_IN_FILE = Gauge("edge_spool_key_in_file", "Whether the spool's key lies on the disk that it protects")
SPOOL_OLDER_KEYS = Gauge("edge_spool_older_keys", "Keys beside the current one that segments needed at the start")
SPOOL_GIVEN_UP = Counter(
    "edge_spool_given_up_batches",
    "Batches that became a Gap: no room before the hub had them, unreadable bytes, or a disk slower than the devices",
    ["lane", "reason"],
)
UPLINK_UP = Gauge("edge_uplink_up", "Whether a connection to the hub is ready", ["connection"])
UPLINK_IN_FLIGHT = Gauge("edge_uplink_in_flight_bytes", "Bytes sent and not yet acknowledged", ["connection"])
UPLINK_WAITING = Gauge("edge_uplink_waiting", "Batches that the hub has not acknowledged", ["lane"])
UPLINK_REJECTED = Counter("edge_uplink_rejected", "Records that the hub put into quarantine", ["lane"])
UPLINK_AGAIN = Counter(
    "edge_uplink_sent_again",
    "Batches that went out again, which this run of the agent had sent before",
    ["lane"],
)
LOSSES_WAITING = Gauge("edge_losses_waiting", "Ranges of lost batches whose gaps are not on disk yet")
CERTIFICATE_LEFT = Gauge("edge_certificate_left_seconds", "How long the gateway's certificate is still valid")
RENEWALS_FAILED = Counter(
    "edge_certificate_renewals_failed", "Times that the hub could not be asked for the next certificate"
)
LOOP_LAG = Histogram(
    "edge_loop_lag_seconds",
    "How much later than asked the event loop woke up",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 5),
)
LOOP_STALLS = Counter("edge_loop_stalls", "Times that a task held the event loop up for more than 200 ms", ["task"])
HOST_RESTARTS = Counter(
    "edge_host_restarts", "Processes of adapters that crashed, or blocked and were ended", ["device", "reason"]
)
TASK_RESTARTS = Counter("edge_task_restarts", "Tasks of the agent that failed and were started again", ["task"])
PLACEMENT_LIMITS_REFUSED = Counter(
    "edge_placement_limits_refused", "Limits of the hub that no value can be held against", ["device"]
)
PLACEMENT_GROUPS_REFUSED = Counter("edge_placement_groups_refused", "Age groups of the hub that are none", ["device"])
PLACEMENT_TABLES_REFUSED = Counter(
    "edge_placement_tables_refused", "Tables of critical-value items of the hub with a row that cannot be gone by"
)
DEVICE_COMMANDS = Counter("edge_device_commands", "Commands to devices, by what became of them", ["outcome"])
UPLINK_IGNORED = Counter(
    "edge_uplink_ignored", "Messages of a kind that this version does not know, as a later hub may send", ["connection"]
)
UPLINK_VIOLATIONS = Counter(
    "edge_uplink_violations",
    "Messages of the hub that broke the protocol; their connection was begun anew",
    ["connection"],
)
MACHINE = Gauge("edge_machine_percent", "How much of the gateway's machine is in use", ["what"])
CLOCK_STEPS = Counter("edge_clock_steps", "Steps of the gateway's clock")
DOOR_MESSAGES = Counter(
    "edge_door_messages", "Messages that came to a door, by what became of them", ["door", "verdict"]
)
DOOR_WAITING = Gauge("edge_door_waiting_bytes", "Bytes of messages that are not on disk yet")
DOOR_HELD_BACK = Counter(
    "edge_door_held_back", "Messages beyond what their device may send, which were not taken", ["device", "given_up"]
)
DOOR_REDELIVERED = Counter(
    "edge_door_redelivered", "Packages that came again and were acknowledged and dropped", ["door"]
)

LOCAL_MISSED = Counter(
    "edge_local_page_frames_missed_total", "Times that a screen of the local page was too slow for what is kept"
)
LOCAL_REFUSED = Counter("edge_local_page_refused_total", "Requests to the local page that were refused", ["reason"])
