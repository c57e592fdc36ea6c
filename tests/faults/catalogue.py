"""Every fault, with its phases and what it may cost."""

from tests.faults import certificates, clocks, databases, disks, kills, links, lossy
from tests.faults.entry import ALARM_S, DOWNTIME, FULL_DISK, MEDIUM, WHEN_BACK, Asked, Fault, From
from tests.faults.ward import BROKERED, POSTING, Form

_RESENT_S = (
    12.0  # TCP sends a packet again after 0.2, 0.4, 0.8, 1.6, 3.2 s; in this time the gateway sees a link as dead
)
_REFUSED_S = 70.0  # the longest refusal: what has waited so long in the devices is taken in its order, which is given as long again

FAULTS: tuple[Fault, ...] = (
    Fault(
        "agent-kill", "kill -9 of the agent", "SIGKILL to its process group; started again",
        {"any moment": kills.agent_any, "while it starts": kills.agent_starting, "draining a backlog": kills.agent_draining},
        DOWNTIME, alarms=WHEN_BACK, in_test="tests/integration/test_kills_on_the_whole_path.py",
    ),
    Fault(
        "ingest-kill", "kill -9 of the role ingest", "SIGKILL from outside, or by itself at a point of a transaction",
        {
            "any moment": kills.role_any("ingest"),
            "while it starts": kills.role_starting("ingest"),
            "before the commit": kills.ingest_at("before-commit"),
            "between commit and acknowledgement": kills.ingest_at("after-commit"),
        },
        alarms=WHEN_BACK, in_test="tests/integration/test_ingest_killed.py",
    ),
    Fault(
        "web-kill", "kill -9 of the role web", "SIGKILL to its process group; started again",
        {"any moment": kills.role_any("web"), "while it starts": kills.role_starting("web")}, touches_page=True, in_test="tests/integration/test_kills_on_the_whole_path.py",
    ),
    Fault(
        "database-kill", "kill -9 of the database", "SIGKILL to the postmaster or to a backend of ingest",
        {
            "postmaster, any moment": kills.postmaster_any,
            "postmaster, behind its recovery": kills.postmaster_recovering,
            "a backend of ingest": kills.backend,
        },
        alarms=WHEN_BACK, in_test="tests/integration/test_ingest_killed.py",
    ),
    Fault(
        "broker-kill", "kill -9 of the MQTT broker", "SIGKILL to mosquitto; started again",
        {"any moment": kills.broker_any, "while all reconnect": kills.broker_reconnecting}, alarms=Asked(of=(POSTING,)), in_test="tests/integration/test_mqtt_door.py",
    ),
    Fault("network-cut", "network cut", "the proxy aborts all connections and makes none for 4 to 8 s", {"live": links.cut}, alarms=WHEN_BACK),
    Fault("network-half-open", "half-open connections", "the proxy keeps them and brings nothing for 4 to 18 s", {"live": links.half_open}, alarms=WHEN_BACK),
    Fault("network-64-kbit", "64 kbit/s", "the proxy carries 8,000 bytes/s in each direction of each connection", {"live": links.limited(bytes_per_s=8000)}, alarms=Asked(since=From.CONNECTION)),
    Fault("network-2-s", "2 s delay", "the proxy holds each byte for 2 s", {"live": links.limited(delay_s=2.0)}, alarms=Asked(2.0 + ALARM_S, From.CONNECTION)),
    Fault("network-cut-off", "connections that end in the middle", "the proxy aborts each connection behind 1 to 40,000 bytes", {"live": links.cut_off}, alarms=WHEN_BACK),
    Fault("database-restart", "database restarted", "`wardlink stack down` and `up`, 0 to 3 s apart", {"live": databases.restarted}, alarms=WHEN_BACK),
    Fault(
        "network-loss", "30 % of packets lost", "nft drops three of ten in each direction, in a network namespace with a relay, for 8 to 15 s",
        {"live": lossy.lossy}, alarms=Asked(_RESENT_S, From.CONNECTION),
    ),
    Fault("eight-starters", "eight starters of the stack at once", "`wardlink stack up` eight times, 0 to 0.1 s apart, on a stopped server", {"live": databases.started_eight_times}, alarms=WHEN_BACK),
    Fault("database-read-only", "database read-only", "default_transaction_read_only for 3 to 6 s", {"live": databases.read_only}, alarms=WHEN_BACK),
    Fault(
        "edge-disk-full", "disk full at the gateway", "a file system of 90 MB below the agent's state, filled by somebody else for good",
        {"live": disks.edge_full}, FULL_DISK, form=Form(edge_disk_mb=90),
    ),
    Fault(
        "edge-disk-full-restart", "agent restarted on a full disk", "the same, and the agent is killed and started again on it",
        {"live": disks.edge_full_restarted}, FULL_DISK | DOWNTIME, alarms=WHEN_BACK, form=Form(edge_disk_mb=90),
    ),
    Fault(
        "edge-disk-refuses", "medium that refuses at the gateway", "each write of the agent to a file is refused for 50 to 70 s (RLIMIT_FSIZE of its process)",
        {"live": disks.edge_refuses}, FULL_DISK, alarms=Asked(_REFUSED_S, From.END),
    ),
    Fault(
        "hub-disk-full", "disk full at the hub", "a file system of 700 MB below the database, filled for 6 to 12 s; a server that ends is started again",
        {"live": disks.hub_full}, alarms=WHEN_BACK, form=Form(hub_disk_mb=700),
    ),
    Fault(
        "spool-corrupted", "corrupted medium", "1 to 5 bytes of waveforms in the spool that the hub has not got are changed while the agent is down",
        {"a backlog": disks.corrupted}, DOWNTIME | MEDIUM, alarms=WHEN_BACK,
    ),
    Fault(
        "clock-step", "the gateway's clock is set", "the agent's process is told another system time for 4 to 8 s; its monotonic clock goes on",
        {"an hour ahead": clocks.set_by(3600), "ten minutes back": clocks.set_by(-600), "1970": clocks.set_to(1970), "2099": clocks.set_to(2099)},
        form=Form(faked_clock=True),
    ),
    Fault(
        "hub-clock-step", "the hub's clock is set", "the roles' processes are told another system time for 4 to 8 s; their monotonic clocks go on",
        {"an hour ahead": clocks.hub_set_by(3600), "ten minutes back": clocks.hub_set_by(-600)},
        form=Form(faked_hub_clock=True),
    ),
    Fault(
        "device-clock-step", "a device's clock is set", "a monitor's battery is changed: 2005 for 4 to 8 s",
        {"2005": clocks.device_unset}, alarms=Asked(of=(POSTING,)),
    ),
    Fault(
        "database-clock-step", "the database server's clock is set", "not by itself: it is the machine's",
        {"an hour ahead": clocks.database_set},
    ),
    Fault(
        "older-hub", "hub one version older than the gateway", "the hub runs the commit of tests/conformance/released.txt; the network is cut for 4 to 8 s",
        {"live": links.cut}, alarms=WHEN_BACK, form=Form(old_hub=True),
    ),
    Fault(
        "newer-hub", "hub one version newer than the gateway", "the agent runs the commit of tests/conformance/released.txt; the network is cut for 4 to 8 s",
        {"live": links.cut}, alarms=WHEN_BACK, form=Form(old_edge=True),
    ),
    Fault(
        "certificate-expires", "certificate that expires in the middle",
        f"a certificate of {certificates.LIFE_S:.0f} s; a monitor falls silent now and then, for alarms",
        {"live": certificates.expires}, alarms=Asked(of=(BROKERED,)), form=Form(certificate_s=certificates.LIFE_S), in_test="tests/integration/test_certificates_renew.py",
    ),
)  # fmt: skip
