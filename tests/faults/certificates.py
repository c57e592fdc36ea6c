"""A gateway whose certificate ends while it works."""

import random

from tests.faults.possible import NotPossibleError
from tests.faults.ward import FaultWard


def expires(ward: FaultWard, chance: random.Random) -> None:
    """Not yet: NotPossibleError."""
    del ward, chance
    msg = "the agent does not renew its certificate by itself at this commit"
    raise NotPossibleError(msg)
