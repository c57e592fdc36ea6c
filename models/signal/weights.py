"""Which weights belong to this code. A file that is not the expected one is refused."""

from models.signal import lethal as _lethal
from models.signal.trees import Trees, load

LETHAL_SHA256 = "b90f0611502cbe7ddc5e2d35dec6950ea7d7231396afe50aeaed9aa21938c90f"


def lethal() -> Trees:
    """The trees of `models.signal.lethal`: outputs lethal and fibrillation."""
    return load("lethal.json", LETHAL_SHA256, _lethal.FEATURES)
