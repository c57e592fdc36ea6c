"""`python -m wardlink.load.senders FILE`: some of the simulated gateways of a load, in a process of their own.

FILE is JSON, see `Share`. Says `playing` on standard output when all are enrolled, stops when its standard input ends, waits for the hub,
and prints what became of everything as a line of JSON.
"""

import asyncio
import json
import logging
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from wardlink.load.gateway import Gateway, Tally, gateway
from wardlink.load.signals import GROUPS_A_S, Bed, load_numbers, load_recordings

SETTLE_S = 30.0


@dataclass(frozen=True, slots=True)
class Share:
    """What one process plays. `tokens`: one a gateway, by its folder's name; `devices`: of each gateway."""

    folder: str
    captures: str
    tokens: dict[str, str]
    devices: dict[str, list[str]]

    def write(self, path: Path) -> None:
        """For the process alone: the tokens are secrets."""
        path.touch(0o600)
        path.write_text(json.dumps(asdict(self)), "utf-8")


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of it. `acknowledged_ms`: milliseconds to how many records; `sources`: device to samples, SHA-256, readings."""

    acknowledged_ms: dict[int, int]
    batches: int
    batch_bytes: int
    records: int
    unacknowledged: int
    sources: dict[str, tuple[int, str, int]]


def read_sent(line: str) -> Sent:
    """The line of a process."""
    fields = json.loads(line)
    fields["acknowledged_ms"] = {int(ms): n for ms, n in fields["acknowledged_ms"].items()}
    fields["sources"] = {device: (n, digest, readings) for device, (n, digest, readings) in fields["sources"].items()}
    return Sent(**fields)


async def _main(share: Share) -> None:
    recordings, numbers = load_recordings(Path(share.captures)), load_numbers(Path(share.captures))
    tally, stop = Tally(), asyncio.Event()
    beds: list[Bed] = []
    async with AsyncExitStack() as opened:
        gateways: list[Gateway] = []
        for name, token in share.tokens.items():
            own: list[Bed] = []
            for device in share.devices[name]:
                number = len(beds)
                recording = recordings[number % len(recordings)]
                own.append(Bed(device, recording, numbers, at=1000 * number % recording.counts.shape[1]))
                beds.append(own[-1])
            gateways.append(await opened.enter_async_context(gateway(Path(share.folder) / name, token, own, tally)))
        print("playing", flush=True)
        offsets = (i / len(gateways) / GROUPS_A_S for i in range(len(gateways)))
        playing = [asyncio.create_task(g.play(stop, offset)) for g, offset in zip(gateways, offsets, strict=True)]
        stopping = asyncio.create_task(_until_told())
        await asyncio.wait((*playing, stopping), return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await asyncio.gather(*playing)
        await asyncio.gather(*(g.settle(SETTLE_S) for g in gateways))
        left = sum(g.spool.unacknowledged for g in gateways)
    sources = {bed.device: (bed.samples, bed.digest, bed.readings) for bed in beds}
    sent = Sent(dict(tally.acknowledged_ms), tally.batches, tally.batch_bytes, tally.records, left, sources)
    print(json.dumps(asdict(sent)), flush=True)


async def _until_told() -> None:
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    structlog.configure(  # standard output is for the answers
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    asyncio.run(_main(Share(**json.loads(Path(sys.argv[1]).read_text("utf-8")))))
