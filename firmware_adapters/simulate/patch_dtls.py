"""How a simulated patch sends over DTLS 1.2 with a pre-shared key (RFC 7252 clause 9.1.3.1): libcoap's client posts each pack.

A session for each pack, as of a device that sleeps in between; written without the door of the gateway. The key stands among the words
that the client is started with, where everybody on the machine can read it: for keys of simulated devices only.
"""

import asyncio
import re
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path

from firmware_adapters.simulate.patch_link import ANSWER_WITHIN_S, SENML_CBOR, Answer, Sender, UnansweredError

CLIENT = "coap-client-openssl"
_ENDS_WITHIN_S = 5.0
_BLOCK_BYTES = 1024
# a message that came, as the client tells it: `v:1 t:ACK c:4.00 i:96aa {01} [ Max-Age:7 ] :: 'what was wrong'`
_ANSWER = re.compile(r"^v:1 t:\w+ c:([245]\.\d\d) i:\w+ \{\w*\} \[(.*?)\](?: :: '(.*)')?$", re.MULTILINE)
_MAX_AGE = re.compile(r"\bMax-Age:(\d+)")
_CONTINUE = "2.31"  # a block of several


class DtlsSender(Sender):
    """Over DTLS; `client` is the program that posts."""

    def __init__(self, url: str, name: str, key: Path, client: str = CLIENT) -> None:
        """`name`: the identity that the device shows. `key`: a file, its text is the key. OSError when it cannot be read."""
        super().__init__()
        self._words = [client, "-m", "post", "-t", str(SENML_CBOR), "-b", str(_BLOCK_BYTES), "-v", "6"]
        self._words += ["-B", f"{ANSWER_WITHIN_S:.0f}", "-u", name, "-k", key.read_text("ascii").strip()]
        self._url = url

    async def post(self, pack: bytes) -> Answer:
        """One session, one request and its answer."""
        with tempfile.NamedTemporaryFile() as body:
            body.write(pack)
            body.flush()
            said = await self._run("-f", body.name, self._url)
        answers = [found for found in _ANSWER.finditer(said) if found[1] != _CONTINUE]
        if not answers:
            last = said.strip().rpartition("\n")[2]
            msg = f"no answer within {ANSWER_WITHIN_S:g} s ({last})"
            raise UnansweredError(msg)
        code, options, text = answers[-1].groups()
        age = _MAX_AGE.search(options)
        return Answer(code, text or "", float(age[1]) if age else None, proven=True)

    async def _run(self, *words: str) -> str:
        """What the client says; it is ended with us."""
        client = await asyncio.create_subprocess_exec(*self._words, *words, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S + _ENDS_WITHIN_S):
                out, _ = await client.communicate()
        except TimeoutError:
            return "the client did not end"
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
        return out.decode("utf-8", "replace")


__all__ = ["CLIENT", "DtlsSender"]
