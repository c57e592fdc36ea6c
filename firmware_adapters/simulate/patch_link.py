"""How a simulated patch sends: one pack after the other over CoAP, each repeated until the gateway has it on disk; here with OSCORE.

The client is aiocoap's; written without the door of the gateway. Over DTLS, patch_dtls.py sends.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from aiocoap import POST, Context, Message
from aiocoap.error import Error
from aiocoap.oscore import NotAProtectedMessage

from firmware_adapters.simulate.monitor_links import KEPT, tell

SENML_CBOR = 112
ANSWER_WITHIN_S = 25.0  # longer than the gateway waits for its disk
_AGAIN_S = 0.5
_DONE_WITH = ("4.00", "4.13", "4.15")  # the same again would be refused again


class UnansweredError(Exception):
    """Nobody has answered: why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway said to a pack. `proven`: by one that has the device's key; bare, anybody on the network can have said it."""

    code: str
    text: str
    max_age_s: float | None
    proven: bool

    @property
    def taken(self) -> bool:
        """Whether the gateway has the pack on its disk."""
        return self.code.startswith("2.")


class Sender(ABC):
    """Packs in their order; `drop` is a patch that is out of reach, which keeps what it measures."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque(maxlen=KEPT)
        self._more = asyncio.Event()
        self._unplugged_until_s = 0.0
        self._told = ""

    @abstractmethod
    async def post(self, pack: bytes) -> Answer:
        """Ask the gateway once to take a pack; UnansweredError."""

    def send(self, pack: bytes) -> None:
        """Queue it."""
        self._waiting.append(pack)
        self._more.set()

    def drop(self, seconds: float) -> None:
        """No datagram for a while."""
        self._unplugged_until_s = asyncio.get_running_loop().time() + seconds

    async def run(self) -> None:
        """Send until cancelled; ValueError or OSError when what secures it cannot be used."""
        while True:
            await self._next()

    async def _next(self) -> None:
        away_s = self._unplugged_until_s - asyncio.get_running_loop().time()
        if away_s > 0:
            await asyncio.sleep(away_s)
        elif not self._waiting:
            self._more.clear()
            await self._more.wait()
        else:
            pack = self._waiting[0]
            again_s = await self._try(pack)
            if again_s is not None:
                await asyncio.sleep(again_s)
            elif self._waiting and self._waiting[0] is pack:
                self._waiting.popleft()

    async def _try(self, pack: bytes) -> float | None:
        """None when this pack is done with: taken, or refused for ever; else when to try again."""
        try:
            answer = await self.post(pack)
        except UnansweredError as error:
            self._tell(f"gateway: {error}")
            return _AGAIN_S
        if answer.taken:
            self._told = ""
            return None
        self._tell(f"gateway answers {answer.code}: {answer.text}")
        return None if answer.code in _DONE_WITH and answer.proven else answer.max_age_s or _AGAIN_S

    def _tell(self, line: str) -> None:
        """Once as long as it stays so."""
        if line != self._told:
            self._told = line
            tell(line)


class OscoreSender(Sender):
    """Over UDP with OSCORE."""

    def __init__(self, url: str, context: Path) -> None:
        """`context`: the device's half of its OSCORE context, a folder that nobody else uses."""
        super().__init__()
        self._url, self._context = url, context
        self._client: Context | None = None

    async def run(self) -> None:
        """Send until cancelled; ValueError or OSError when the context cannot be used."""
        logging.getLogger("coap").setLevel(logging.ERROR)
        self._client = client = await Context.create_client_context(transports=["oscore", "udp6"])
        place = f"{self._url.rpartition('/')[0]}/*"
        client.client_credentials.load_from_dict({place: {"oscore": {"basedir": f"{self._context}/"}}})
        try:
            await super().run()
        finally:
            self._client = None
            await client.shutdown()

    async def post(self, pack: bytes) -> Answer:
        """One request and its answer."""
        if self._client is None:
            msg = "not running"
            raise UnansweredError(msg)
        request = Message(code=POST, uri=self._url, payload=pack, content_format=SENML_CBOR)
        response = self._client.request(request).response
        response.add_done_callback(_retrieve)
        # neither time nor the end of this program may break into aiocoap, which would tell of it at length
        await asyncio.wait((response,), timeout=ANSWER_WITHIN_S)
        if not response.done():
            msg = f"no answer within {ANSWER_WITHIN_S:g} s"
            raise UnansweredError(msg)
        try:
            answer = response.result()
        except NotAProtectedMessage as error:
            answer = error.plain_message
        except (Error, OSError) as error:
            raise UnansweredError(repr(error)) from error
        text, age_s = answer.payload.decode(errors="replace"), answer.opt.max_age
        return Answer(answer.code.dotted, text, age_s, bool(answer.remote.authenticated_claims))


def _retrieve(response: "asyncio.Future[Message]") -> None:
    """Nobody may be there any more when the answer comes."""
    if not response.cancelled():
        response.exception()


__all__ = ["ANSWER_WITHIN_S", "SENML_CBOR", "Answer", "OscoreSender", "Sender", "UnansweredError"]
