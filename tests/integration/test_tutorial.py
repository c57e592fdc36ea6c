"""docs/tutorial/your-first-bed.md, every command as it stands there but for ports and folders, until the bed is live on the page."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.fixtures.waiting import until_asked
from tests.fixtures.web import PASSWORD, token_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "your-first-bed.md"


async def shell(folder: Path, script: str, environment: dict[str, str]) -> str:
    """Run it in a folder; what it printed. What it leaves running writes into files."""
    running = await asyncio.create_subprocess_exec(
        "sh", "-euc", script, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(100):
            said = await running.stdout.read() if running.stdout else b""
            assert await running.wait() == 0, said.decode()
    finally:
        if running.returncode is None:  # what it started goes with it
            os.killpg(running.pid, signal.SIGKILL)
    return said.decode()


async def test_whoever_follows_the_tutorial_has_a_live_bed(
    short_folder: Callable[[], Path], unused_tcp_port_factory: Callable[[], int]
):
    text = TUTORIAL.read_text("utf-8")
    *commands, end = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    seed, edge = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    folder, web = short_folder(), unused_tcp_port_factory()
    data, bed = folder / "data", folder / "first-bed"
    bed.mkdir()
    (bed / "seed.toml").write_text(seed)
    (bed / "edge.toml").write_text(edge)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "DATABASE_URL"))}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HUB_WEB_LISTEN": f"127.0.0.1:{web}",
        "HUB_UPLINK_LISTEN": f"127.0.0.1:{unused_tcp_port_factory()}",
        "HUB_ENROLMENT_LISTEN": f"127.0.0.1:{unused_tcp_port_factory()}",
    }

    def here(command: str) -> str:
        command = re.sub(r"wardlink stack (up|down|url)", rf"wardlink stack \1 --data {data}", command)
        return command.replace("../tests/captures", str(ROOT / "tests" / "captures"))

    script = "\n".join(here(command) for command in commands)
    try:
        said = await shell(bed, script, environment)
        link = re.search(r"https?://\S+(/welcome/\S+)", said)
        assert link is not None, said
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{web}", timeout=30) as nurse:
            fields = {"csrf": token_of(await nurse.get(link[1])), "password": PASSWORD, "password_again": PASSWORD}
            assert (await nurse.post(link[1], data=fields)).status_code == 303

            async def is_live() -> bool:
                ward = await nurse.get("/api/v1/ward/7b")
                return ward.status_code == 200 and "MDC_ECG_HEART_RATE" in ward.text and '"live"' in ward.text

            await until_asked(is_live, 60)
    except BaseException:
        for log in sorted(bed.glob("*.log")):
            print(log.name, log.read_text()[-3000:])
        raise
    finally:
        await shell(bed, here(end), environment)
