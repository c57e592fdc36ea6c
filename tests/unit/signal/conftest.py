"""The trees of the product, read once."""

import pytest

from models.signal import weights
from models.signal.trees import Trees


@pytest.fixture(scope="session")
def trees() -> Trees:
    return weights.lethal()
