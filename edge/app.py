"""The agent's composition root: reads settings, opens the spool, joins devices, screening, spool and uplink, stops cleanly.

Nothing else of the agent opens a connection or knows of all parts. One process, one event loop, two writer threads.
"""

import asyncio
import os
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import structlog

from edge.alone import InUseError, alone
from edge.clock import GatewayClock, TimeLedger
from edge.clock.raising import LEDGER_FILE, is_raised
from edge.clock.system import is_synchronised
from edge.clock.timekeeper import Timekeeper
from edge.configuration import ConfigurationStore, Keeper
from edge.device_commands import Commander, CommandLedger
from edge.devices import Devices
from edge.doors import DoorPolicy, Intake
from edge.doors.known import Known
from edge.doors.visitor import Visitor
from edge.ending import BATCHES_S, end_overdue, leave
from edge.health import heap
from edge.health.lag import LoopWatch, named_tasks
from edge.health.metrics import SPOOL_DAMAGED, SPOOL_KEY_IN_FILE, SPOOL_OLDER_KEYS
from edge.health.process import since_start_s
from edge.health.reporter import Reporter
from edge.health.serving import MetricsDoor
from edge.health.status import Status
from edge.health.systemd import READY, STOPPING, Notifier
from edge.health.vitals import Vitals
from edge.host.adapter import HostContext, HostedAdapter
from edge.host.door import HostedDoor, tell_clock
from edge.identity import IdentityError, fall_back, load_identity
from edge.identity.renewal import Renewal
from edge.local.pages import load_pages
from edge.local.room import Room
from edge.local.service import LocalPage
from edge.local.serving import Serving
from edge.local.terms import Terms
from edge.logs import configure_logging
from edge.pipeline.batcher import Batcher
from edge.pipeline.device import DevicePipeline, Sink
from edge.pipeline.traced import Tracer
from edge.pipeline.unclaimed import Unclaimed
from edge.placement import PlacementStore
from edge.settings import EdgeSettings
from edge.spool import KeptIn, Spool, SpoolKeyError, WriterEndedError
from edge.spool.succession import finish_succession, succeed
from edge.supervisor import Supervisor
from edge.trial import Life, Turn
from edge.update.making import make_offers
from edge.uplink import ClientPapers, Route, Uplink
from edge.uplink.client import EpochConflictError
from edge.uplink.downlink import Downlink, HubTimes
from edge.uplink.losses import Losses
from edge.uplink.renew import ask_to_renew
from firmware_adapters import door_registry
from firmware_adapters.adapter import Adapter, ConfigError, DeviceConfig, Resume
from firmware_adapters.door import Door
from firmware_adapters.door_registry import kinds, make_door
from firmware_adapters.registry import families, find_adapter, is_built_in
from models.signal import networks
from protocols.link import CONFIGURATION, DEVICE_COMMANDS, RESEND, TRACE, UPDATE, Connection, Lane, LinkSender
from protocols.record import Observation, Record, SourcePath, Times, WaveformGroup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from uuid import UUID

    from edge.identity import Identity
    from edge.settings import DeviceSettings
    from edge.update.offers import Offers
    from protocols.link import CannotResend
    from protocols.uplink_pb2 import Placement, PlacementApplied

_FEATURES = (RESEND, CONFIGURATION, DEVICE_COMMANDS, UPDATE, TRACE)
_READY_WITHIN_S = 5.0  # systemd is not kept waiting for a device that is switched off

_log = structlog.get_logger()


@dataclass(slots=True)
class _Parts:
    """What one life of the spool joins."""

    identity: "Identity"
    spool: Spool
    link: LinkSender
    uplink: Uplink
    batcher: Batcher
    losses: Losses
    renewal: Renewal
    pipelines: Mapping[str, DevicePipeline]
    hosts: Sequence[HostedAdapter | HostedDoor]
    doors: Sequence[tuple[DoorPolicy, Door]]
    intake: Intake
    times: Timekeeper
    local_page: Serving | None
    reporter: Reporter
    commander: Commander


class _End(Enum):
    """Why a life ended."""

    STOPPED = "the agent is to stop"
    SPOOL = "the spool has to be begun anew"
    SETTINGS = "the settings are others"
    RELEASE = "another release is current"


class AgentError(RuntimeError):
    """The agent cannot start: says why and what to do."""


class Agent:
    """`run(stop)` ends after `stop` is set: links closed, batches durable, index written."""

    def __init__(self, settings: EdgeSettings, make_clock: "Callable[[int], GatewayClock] | None" = None) -> None:
        """`make_clock` makes the gateway's clock, given the last time that was known; None: the machine's."""
        self._settings = settings
        self._ledger = TimeLedger(settings.state_dir / LEDGER_FILE)
        self._clock = (make_clock or _machine_clock(settings.state_dir))(self._ledger.last_known_ns)
        self._spool_dir = settings.state_dir / "spool"
        self._limits = settings.spool.limits()
        self._keys = settings.spool.keys(settings.state_dir, os.environ.get("CREDENTIALS_DIRECTORY"))
        self._notifier = Notifier(os.environ, os.getpid())
        self._lag = LoopWatch()
        self._vitals = Vitals(settings.state_dir)
        self._is_first = True
        self._metrics = MetricsDoor()
        self._spool: Spool | None = None

    async def run(self, stop: asyncio.Event) -> bool:
        """Whether the process is to begin anew, as another release. AgentError or IdentityError when it cannot start."""
        self._settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        asyncio.get_running_loop().set_task_factory(named_tasks)
        try:
            with alone(self._settings.state_dir):
                return await self._lives(stop)
        except (InUseError, SpoolKeyError) as error:
            raise AgentError(str(error)) from error

    async def _lives(self, stop: asyncio.Event) -> bool:
        store = ConfigurationStore(self._settings.state_dir / "configuration.json")
        turn = Turn()
        keeper = Keeper(self._settings, store, self._clock.now_ns, turn)
        offers = make_offers(self._settings, _version(), turn, self._promised_bytes)
        updater = offers.updater
        await updater.start()
        await keeper.start()
        await finish_succession(self._spool_dir, self._clock.now_ns, self._limits, self._keys)
        while not updater.again.is_set():
            self._settings, self._limits = keeper.settings, keeper.settings.spool.limits()
            keeper.again.clear()
            try:
                end = await self._life(stop, keeper, offers)
            except (OSError, RuntimeError, ValueError) as error:
                if stop.is_set():
                    raise
                if await updater.fell(error):
                    return True
                if not await keeper.fell(error):
                    raise
                end = _End.SETTINGS
            if end is _End.STOPPED:
                return False
            self._notifier.reloading()
            if end is _End.SPOOL:
                batches = await succeed(self._spool_dir, self._clock.now_ns, self._limits, self._keys)
                _log.warning("spool-begun-anew", batches_carried_over=batches)
        return True

    def _promised_bytes(self) -> int:
        """What the spool may still take of the disk."""
        taken = 0 if self._spool is None else self._spool.allocated_bytes()
        return max(0, self._limits.total_bytes - taken)

    async def _life(self, stop: asyncio.Event, keeper: Keeper, offers: "Offers") -> _End:
        """One life of the spool, with the settings of this moment."""
        await self._metrics.serve(self._settings.metrics.host, self._settings.metrics.port)
        identity = load_identity(self._settings.state_dir)
        spool = self._spool = await Spool.open(self._spool_dir, self._clock.now_ns, self._limits, self._keys)
        try:
            self._tell_recovery(spool)
            self._tell_key(spool)
            self._ledger.begin(
                spool.epoch, spool.newest, self._clock.now_ns(), known=self._clock.is_known, held=spool.held
            )
            await asyncio.to_thread(self._ledger.save)
            placements = PlacementStore(self._settings.state_dir / "placement.pb")
            parts = self._join(identity, spool, placements, keeper, offers)
            async with Supervisor(fatal=(EpochConflictError, WriterEndedError)) as services:
                for connection in Connection:
                    services.start(f"uplink-{connection.name.lower()}", lambda c=connection: parts.uplink.run(c))
                for name, run in (
                    ("certificate", parts.renewal.run),
                    ("losses", parts.losses.run),
                    ("device-commands", parts.commander.run),
                    ("watch", parts.reporter.run),
                    ("spool-watch", spool.watch),
                    ("loop-watch", self._lag.run),
                    ("heap", heap.give_back),
                ):
                    services.start(name, run)
                services.start(
                    "watchdog", lambda: self._notifier.feed(lambda: [*spool.dead_writers(), *services.dead()])
                )
                if parts.local_page is not None:
                    services.start("local-page", parts.local_page.run)
                async with Supervisor() as devices:
                    life = _looked_at(parts, services, devices)
                    services.start("configuration", lambda: keeper.run(life, parts.uplink.say))
                    configured = [device.id for device in self._settings.devices]
                    services.start("update", lambda: offers.run(life, configured, parts.uplink.say))
                    for name, pipeline in parts.pipelines.items():
                        devices.start(f"device-{name}", pipeline.run)
                    parts.intake.expect(self._settings.silences())
                    for policy, door in parts.doors:
                        take = parts.intake.at(policy)
                        devices.start(f"door-{policy.name}", lambda d=door, t=take: d.serve(t))
                    _log.info(
                        "agent-started",
                        gateway=identity.gateway,
                        devices=list(parts.pipelines),
                        doors=[p.name for p, _ in parts.doors],
                        beats_by="networks" if networks.can_run() else "rules",
                    )
                    services.start("readiness", lambda: self._tell_ready(parts, devices))
                    stopping = asyncio.create_task(stop.wait())
                    ends = (stopping, *(asyncio.create_task(one.again.wait()) for one in (keeper, offers.updater)))
                    await asyncio.wait((*ends, services.failed), return_when=asyncio.FIRST_COMPLETED)
                    for task in ends:
                        task.cancel()
                    conflict = services.failed.result() if services.failed.done() else None
                    _check_writers(conflict)
                    if stop.is_set() and conflict is None:
                        _log.info("agent-stopping")
                        self._notifier.tell(STOPPING)
                for device in (*parts.pipelines.values(), *parts.intake.visitors().values()):
                    device.end()
                await asyncio.gather(*(host.end() for host in parts.hosts))
                if lost := await parts.batcher.close_all(BATCHES_S):
                    _log.error("batches-not-durable", batches=lost, what_to_do="look at the disk of the spool")
                await parts.intake.finish(BATCHES_S / 2)
            if conflict is not None:
                _log.error("epoch-conflict", reason=str(conflict))
                return _End.SPOOL
            if stop.is_set():
                return _End.STOPPED
            return _End.RELEASE if offers.updater.again.is_set() else _End.SETTINGS
        finally:
            await spool.close()
            _log.info("agent-stopped")

    def _join(
        self, identity: "Identity", spool: Spool, placements: PlacementStore, keeper: Keeper, offers: "Offers"
    ) -> _Parts:
        link = _link(identity, spool)
        pipelines: dict[str, DevicePipeline] = {}

        terms = Terms(self._settings.state_dir / "settings.pb", identity.tenant, identity.gateway)

        def is_up(device: str) -> bool | None:
            return devices.is_up(device)

        room = Room(identity.gateway, is_up, self._clock.now_ns, terms.name_in)
        room.place(placements.current)
        active = spool.active_alarms()
        room.restore(active)

        async def placed(placement: "Placement", first: bool) -> "PlacementApplied | None":
            taken = await placements.save(placement, first=first)
            if taken:
                room.place(placement)
                devices.place(placements)
            return placements.applied() if taken and placements.is_durable else None

        async def cannot_resend(event: "CannotResend") -> None:
            await losses.report(event)

        def acknowledged(alarms: "Collection[UUID]") -> None:
            room.acknowledged_at_hub(alarms)
            devices.acknowledge(alarms)

        commander = Commander(CommandLedger(self._settings.state_dir / "commands.json"), pipelines)
        times = Timekeeper(self._clock, self._ledger, spool, SourcePath(identity.gateway))
        tracer = Tracer(self._clock.now_ns)
        downlink = Downlink(
            placed, cannot_resend, acknowledged, terms.save, keeper.received,
            commander.received, commander.greeted, offers.received, tracer,
        )  # fmt: skip
        uplink = Uplink(
            link,
            spool,
            self._route,
            downlink,
            self._clock.now_ns,
            HubTimes(times.answered, times.may_send, times.right),
        )

        def watch(records: Sequence[Record]) -> None:
            room.take(records)
            if self._is_first:
                self._tell_first(records)

        batcher = Batcher(spool, link, uplink.wake, watch=watch, mark=times.mark, closed=tracer.closed)
        losses = Losses(spool, link, batcher.record, uplink.wake)
        spool.on_dropped = losses.dropped
        ends = {SourcePath.parse(e.source): Resume(e.end_sample, e.end_ns) for e in spool.last_waveforms().values()}
        unclaimed = Unclaimed(active)
        sink = Sink(batcher.add, self._clock.now_ns, lambda: times.stepped_ns, tracer)
        hosts: list[HostedAdapter | HostedDoor] = []
        context = self._host_context(sink)
        pipelines.update(self._pipelines(ends, unclaimed, placements, sink, context, hosts))

        intake = self._intake(identity.gateway, spool, batcher, placements, unclaimed, sink, ends)
        commander.join(intake.visitors, uplink.tell)
        devices = Devices(pipelines, intake.visitors, unclaimed, sink)

        def clock_stepped(by_ns: int) -> None:
            devices.clock_stepped(by_ns)
            room.clock_stepped(by_ns)
            tell_clock(hosts)

        times.join(batcher, clock_stepped, uplink.wake, uplink.ask_time)
        local_page = self._local_page(room, terms, devices)
        renewal = Renewal(
            self._settings.state_dir,
            lambda present, csr: ask_to_renew(self._hubs(), present, csr),
            uplink.move,
            self._now,
        )
        reporter = Reporter(
            Status(
                identity.gateway, _version(), self._clock.now_ns(), identity.not_after_ns(),
                spool_max_bytes=self._limits.total_bytes, spool_key=spool.key_kept_in,
            ),
            self._clock, times, self._vitals, self._lag, spool, link, batcher, renewal,
            states=lambda: [d.is_up for d in (*pipelines.values(), *intake.visitors().values())],
            page_url=lambda: "" if local_page is None else local_page.url,
        )  # fmt: skip
        doors = self._doors(identity.gateway, context, hosts)
        return _Parts(
            identity, spool, link, uplink, batcher, losses, renewal, pipelines, hosts, doors, intake, times,
            local_page, reporter, commander,
        )  # fmt: skip

    def _intake(
        self,
        gateway: str,
        spool: Spool,
        batcher: Batcher,
        placements: PlacementStore,
        unclaimed: Unclaimed,
        sink: Sink,
        ends: Mapping[SourcePath, Resume],
    ) -> Intake:
        """Where the messages of doors come in; who sends for the first time gets what was stored and raised of him before."""
        silences, rates = self._settings.silences(), self._settings.door_rates()

        def meet(device: str) -> Visitor:
            alarms, seen = unclaimed.take(device)
            visitor = Visitor(
                device, placements.of(device), _of(device, ends), alarms,
                sink=sink, silence_s=silences.get(device), rates=rates,
            )  # fmt: skip
            for alarm in seen:
                batcher.add(visitor.acknowledge(alarm, Times(self._clock.now_ns())))
            return visitor

        return Intake(
            gateway,
            batcher,
            Known(spool.arrivals()),
            meet,
            linked=[d.id for d in self._settings.devices],
            is_slow=lambda: spool.waiting(Lane.WAVEFORM) > self._limits.queue_batches // 2,
            rates=rates,
            tracer=sink.tracer,
        )

    def _local_page(self, room: Room, terms: Terms, devices: Devices) -> Serving | None:
        settings = self._settings.local_page
        if not settings.listen:
            return None
        page = LocalPage(room, terms, load_pages(), devices.acknowledge_here, self._vitals.told)
        return Serving(settings, self._settings.state_dir, page)

    def _host_context(self, sink: Sink) -> HostContext:
        limits = self._settings.host.limits()
        return HostContext(self._clock.now_ns, os.environ, limits, lambda event: sink.add([event]))

    def _doors(
        self, gateway: str, context: HostContext, hosts: list[HostedAdapter | HostedDoor]
    ) -> list[tuple[DoorPolicy, Door]]:
        """The doors of the settings; those of other packages, or that settings put there, in processes of their own."""
        doors: list[tuple[DoorPolicy, Door]] = []
        for door in self._settings.doors:
            made: Door
            try:
                config = door.config(self._settings.folder, self._clock.now_ns)
                if door.kind in kinds() and (door.own_process or not door_registry.is_built_in(door.kind)):
                    hosts.append(hosted := HostedDoor(config, gateway, context))
                    made = hosted
                else:
                    made = make_door(config)
            except ConfigError as error:
                _log.error("door-not-usable", door=door.name, reason=str(error))
                continue
            doors.append((door.policy(), made))
        return doors

    def _pipelines(
        self,
        ends: Mapping[SourcePath, Resume],
        unclaimed: Unclaimed,
        placements: PlacementStore,
        sink: Sink,
        context: HostContext,
        hosts: list[HostedAdapter | HostedDoor],
    ) -> dict[str, DevicePipeline]:
        """A pipeline a device; adapters in processes of their own are put into `hosts`."""
        pipelines: dict[str, DevicePipeline] = {}
        for device in self._settings.devices:
            config = device.config()
            try:
                adapter = self._adapter(device, config, context, hosts)
                adapter.check(config)
            except ConfigError as error:
                _log.error("device-not-usable", device=device.id, reason=str(error))
                continue
            pipelines[device.id] = DevicePipeline(
                adapter,
                config,
                sink,
                placement=placements.of(device.id),
                resume=_of(device.id, ends),
                active=unclaimed.take(device.id)[0],
            )
        return pipelines

    @staticmethod
    def _adapter(
        device: "DeviceSettings",
        config: DeviceConfig,
        context: HostContext,
        hosts: list[HostedAdapter | HostedDoor],
    ) -> Adapter:
        """Another package's adapter, or one that settings put there, in a process of its own; ConfigError for a family nobody has."""
        if is_built_in(config.family) and not device.own_process:
            return find_adapter(config.family)
        if config.family not in families():
            return find_adapter(config.family)
        hosts.append(hosted := HostedAdapter(config, context))
        return hosted

    def _route(self) -> Route:
        return Route(self._hubs, self._papers, lambda: fall_back(self._settings.state_dir))

    def _hubs(self) -> Sequence[str]:
        """Return the addresses of the hub in their order."""
        return self._settings.hubs or [load_identity(self._settings.state_dir).uplink]

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ns() / 1e9, UTC)

    def _now_for(self, identity: "Identity") -> datetime:
        """The gateway's time; where it is not known, one at which the certificate holds: TLS and the hub have the last word."""
        begin, end = identity.life()
        return self._now() if self._clock.is_known else min(max(self._now(), begin), end)

    def _papers(self) -> ClientPapers:
        """Those of this moment: a gateway that was enrolled again needs no restart."""
        identity = load_identity(self._settings.state_dir)
        identity.check(self._now_for(identity))
        return ClientPapers(identity.key_pem, identity.certificate_pem, identity.ca_pem)

    async def _tell_ready(self, parts: _Parts, devices: Supervisor) -> None:
        """Tell systemd once the first device or door is up; one that stays away does not hold the others up."""
        expected = len(parts.pipelines) + len(parts.doors)
        until_s = time.monotonic() + _READY_WITHIN_S
        while True:
            up = sum(pipeline.is_up for pipeline in parts.pipelines.values())
            up += sum(devices.is_steady(f"door-{policy.name}") for policy, _ in parts.doors)
            if up or not expected or time.monotonic() >= until_s:
                break
            await asyncio.sleep(0.05)
        self._notifier.tell(READY)
        _log.info("agent-ready", up=up, expected=expected, after_s=round(since_start_s(), 2))

    def _tell_first(self, records: Sequence[Record]) -> None:
        if any(isinstance(record, Observation | WaveformGroup) for record in records):
            self._is_first = False
            _log.info("first-data", after_s=round(since_start_s(), 2), processor_s=round(time.process_time(), 2))

    def _tell_key(self, spool: Spool) -> None:
        in_file = spool.key_kept_in is KeptIn.FILE
        SPOOL_KEY_IN_FILE.set(in_file)
        SPOOL_OLDER_KEYS.set(spool.older_keys)
        _log.info("spool-sealed", cipher=self._keys.cipher, key=spool.key_kept_in, older_keys=spool.older_keys)
        if in_file:
            _log.warning(
                "spool-key-in-file",
                file=str(self._keys.file),
                what_to_do="the key lies on the disk that it protects: give it as a systemd credential (docs/how-to/install.md)",
            )

    @staticmethod
    def _tell_recovery(spool: Spool) -> None:
        found = spool.recovered
        if found.rebuilt or found.damages:
            damaged = [
                f"log {log} segment {segment}: {d.size} bytes at {d.offset}" for log, segment, d in found.damages
            ]
            SPOOL_DAMAGED.inc(sum(damage.size for _, _, damage in found.damages))
            _log.warning("spool-recovered", index_rebuilt=found.rebuilt, damaged=damaged)


def _link(identity: "Identity", spool: Spool) -> LinkSender:
    link = LinkSender(identity.tenant, identity.gateway, spool.epoch, agent_version=_version(), features=_FEATURES)
    for lane in Lane:
        link.spool_opened(lane, spool.held(lane), spool.newest(lane))
    return link


def _check_writers(reason: Exception | None) -> None:
    """AgentError when a life ended because a writer of the spool is dead: only a new process has another."""
    if isinstance(reason, WriterEndedError):
        end_overdue(asyncio.get_running_loop())  # a disk that a thread hangs in may hold up the end as well
        raise AgentError(f"the spool writes no more: {reason}") from reason


def _of(device: str, ends: Mapping[SourcePath, Resume]) -> dict[SourcePath, Resume]:
    return {source: end for source, end in ends.items() if source.device == device}


def _machine_clock(state_dir: "Path") -> "Callable[[int], GatewayClock]":
    return lambda not_before_ns: GatewayClock(
        not_before_ns=not_before_ns, is_synchronised=is_synchronised, is_raised=lambda: is_raised(state_dir)
    )


def _looked_at(parts: _Parts, services: Supervisor, devices: Supervisor) -> Life:
    return Life(
        devices=lambda: {name: pipeline.is_up for name, pipeline in parts.pipelines.items()},
        is_greeted=lambda: parts.uplink.is_greeted(Connection.DATA),
        failing=lambda: services.failing() | devices.failing(),
    )


async def run_agent(settings: EdgeSettings) -> bool:
    """Run until SIGTERM or SIGINT; True: begin again, as another release is current."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if not stop.is_set():
            stop.set()
            end_overdue(loop)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    again = await Agent(settings).run(stop)
    await leave()
    return again


def _version() -> str:
    try:
        return version("wardlink")
    except PackageNotFoundError:
        return "0"


__all__ = ["Agent", "AgentError", "IdentityError", "configure_logging", "run_agent"]
