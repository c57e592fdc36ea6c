"""The hops of a message, and what nobody saw of them, as they are told to a person. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

# name in the trace -> what happened, by whose clock, and behind which hop it is counted, where that is not the one before
HOPS: tuple[tuple[str, str, str, str], ...] = (
    ("device_ns", "device measured", "device", ""),
    ("record_ns", "seen by the gateway", "gateway", ""),
    ("door_ns", "bytes at the gateway's door", "gateway", ""),
    ("decoded_ns", "decoded", "gateway", ""),
    ("screened_ns", "screened", "gateway", ""),
    ("closed_ns", "batch closed", "gateway", ""),
    ("durable_ns", "written and synced", "gateway", ""),
    ("sent_ns", "sent", "gateway", ""),
    ("received_ns", "received by the hub", "hub", ""),
    ("committed_ns", "committed", "hub", ""),
    ("not_stored_ns", "not stored: the gateway sends it again", "hub", ""),
    ("acknowledged_ns", "acknowledged, counted from sent", "gateway", "sent_ns"),
    ("pushed_ns", "pushed to the pages", "hub", "committed_ns"),
    ("web_ns", "taken by the role web", "hub", ""),
    ("sent_to_page_ns", "sent to a page", "hub", ""),
    ("painted_ns", "painted, at the latest", "page", ""),
)
_WHY = {
    "not_at_a_bed": "the device is at no bed that a page shows",
    "not_shown_live": "it is nothing that a page shows live (a recording, an event, a lead without a strip, or older than what is shown)",
}


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop. `after_s`: behind the one before; None for the first. Over two clocks (`is_over`) it holds what they differ by."""

    what: str
    clock: str
    at_ns: int
    after_s: float | None
    is_over: bool = False


@dataclass(slots=True)
class Trace:
    """What is known. `last_seen`, `gateway`, `stored_at`: of the device, who has it, and when something of that one was stored."""

    last_seen: datetime | None
    gateway: str | None
    stored_at: datetime | None
    told: Mapping[str, object] = field(default_factory=dict[str, object])
    shown: list[Mapping[str, object]] = field(default_factory=list[Mapping[str, object]])

    @property
    def came(self) -> bool:
        """Whether the hub has had a message of the device."""
        return "kind" in self.told

    @property
    def is_whole(self) -> bool:
        """Whether nothing more is to come."""
        heard = "acknowledged_ns" in self.told or not self.told.get("tells")
        return "not_stored_ns" in self.told or (heard and bool(self.shown))

    @property
    def page(self) -> Mapping[str, object]:
        """What the web process told that came furthest; empty when none has."""
        none: Mapping[str, object] = {}
        return max(self.shown, key=len, default=none)


def hops(trace: Trace) -> Iterator[Hop]:
    """The hops that were seen, in their order."""
    told = {**trace.told, **trace.page}
    seen = {name: at_ns for name, *_ in HOPS if isinstance(at_ns := told.get(name), int)}
    clocks = {name: clock for name, _, clock, _ in HOPS}
    before = ""
    for name, what, clock, behind in HOPS:
        if name not in seen:
            continue
        base = behind if behind in seen else before
        after_s = (seen[name] - seen[base]) / 1e9 if base else None
        yield Hop(what, clock, seen[name], after_s, bool(base) and clocks[base] != clock)
        before = name


def unseen(trace: Trace) -> Iterator[str]:
    """What was not seen of a message that came, and why."""
    told, page = trace.told, trace.page
    agent = f"the agent of {told['gateway']} (version {told.get('asked_of') or 'not told'})"
    if not told.get("tells"):
        yield f"inside the agent: {agent} does not tell its hops; a newer one does"
    elif "acknowledged_ns" not in told and "not_stored_ns" not in told:
        yield f"the acknowledgement: {agent} has not told that it came"
    if "not_stored_ns" in told:
        yield "the pages: it was not stored; ingest's log says why"
    elif not page:
        yield "the pages: no role web took it from the push; it has to run on ingest's machine, with the same HUB_STATE_DIR"
    elif not page.get("screens"):
        why = _WHY.get(str(page.get("why", "")), "nobody looks at the page of its ward")
        yield f"a page: {why}"
    elif "sent_to_page_ns" not in page:
        yield f"a page: {page['screens']} are open and none took it within {page.get('waited_s', 0)} s"
    elif "painted_ns" not in page:
        is_strip = told["kind"] == "waveform"
        silent = "none of them has told that it painted it (is it in the background?)"
        yield f"the paint: {silent if is_strip else 'pages tell it of strips, and of an alarm in its own record'}"


def absent(trace: Trace) -> Iterator[str]:
    """Why nothing came, as far as it is known."""
    if trace.gateway is None:
        yield "no gateway has it now"
    elif "asked_of" in trace.told:
        version = trace.told["asked_of"] or "not told"
        yield f"its gateway {trace.gateway} is connected (agent version {version}) and has sent nothing of it: look at the device, and at the agent's log"
    else:
        yield f"its gateway {trace.gateway} is not connected, or no ingest runs; the last of it was stored: {moment(trace.stored_at)}"


def moment(at: datetime | None) -> str:
    """A time for a person at a terminal."""
    return "never" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
