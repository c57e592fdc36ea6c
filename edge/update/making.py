"""Puts the parts of updates together, for the agent's composition root."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.spool.frame import READS
from edge.update.checks import Here
from edge.update.install import Installer, interpreter, machine
from edge.update.launch import installed_version
from edge.update.offers import Offers
from edge.update.state import Folder
from edge.update.updater import Updater
from protocols.link import VERSION

if TYPE_CHECKING:
    from edge.settings import EdgeSettings
    from edge.trial import Turn


def make_offers(settings: "EdgeSettings", version: str, turn: "Turn", promised_bytes: Callable[[], int]) -> Offers:
    """Make them; `version` is the one that runs, `promised_bytes` what the spool may still take of the disk."""
    folder, wanted = Folder(settings.state_dir), settings.update
    here = Here(version, interpreter(), machine(), READS, VERSION)
    installer = Installer(folder, promised_bytes, installed_version())
    return Offers(Updater(folder, installer, here, settings.folder / wanted.keys, wanted.healthy_within_s, turn))
