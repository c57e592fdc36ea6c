"""Say whether a beat that is not ventricular is supraventricular ectopic (S by AAMI EC57) or normal: boosted trees.

What tells an S beat is small, and differs from patient to patient: a P wave somewhat unlike the usual, an interval somewhat short. So a beat is
held against the last beats of the same patient: each of `COMPARED` less its median over the last `LAST` beats, and steps of the interval
beside how much intervals vary at all. Experimental: no alarm comes of it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.signal.averages import median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float32]

LAST = 64  # beats
LIMIT = 1.5  # log-odds of the trees from which a beat is S: Se and +P are alike there inside DS1 (decision 0200)
STILL = 0.02  # steps of an interval, to the base of 2, that say nothing

# Features of a beat (models.signal.beats.FEATURES) that are looked at once more beside the patient's last beats,
COMPARED = (
    "n_logit", "s_logit", "v_logit", "p_like", "p_unlike", "like_1", "like_2", "unlike", "width_s", "height", "t_unlike", "p_usual",
)  # fmt: skip
# steps of the interval beside how much intervals vary, and what the beat before was like.
STEPS = (("before", "restless"), ("before_long", "restless_long"), ("after", "restless"), ("before_last", "restless"))
FORMER = ("before", "before_long", "n_logit", "p_like", "width_s")
FORMER_BESIDE = ("n_logit", "s_logit", "p_like", "p_unlike")

FEATURES = (
    *(f"{name}_beside_last" for name in COMPARED),
    *(f"{name}_by_{spread}" for name, spread in STEPS),
    *(f"former_{name}" for name in FORMER),
    *(f"former_{name}_beside_last" for name in FORMER_BESIDE),
)


@dataclass(frozen=True, slots=True, eq=False)
class Last:
    """`COMPARED` of the last beats, shape (beats, len(COMPARED)), and what the last of all was like."""

    compared: "Numbers"
    former: "Numbers"


def begin() -> Last:
    """State before the first beat."""
    return Last(np.zeros((0, len(COMPARED)), np.float32), np.zeros(len(FORMER) + len(FORMER_BESIDE), np.float32))


class Columns:
    """Where the features are that this asks for, in rows of the features of a beat with these `names`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """ValueError where one is missing."""
        self.compared = np.array([names.index(name) for name in COMPARED])
        self.steps = np.array([names.index(name) for name, _ in STEPS])
        self.spreads = np.array([names.index(name) for _, name in STEPS])
        self.former = np.array([names.index(name) for name in FORMER])


_BESIDE = np.array([COMPARED.index(name) for name in FORMER_BESIDE])


def step(last: Last, features: "Numbers", columns: Columns) -> "tuple[Last, Numbers]":
    """Take the features of the next beat; the row `FEATURES` of it."""
    here = features[columns.compared]
    usual: Numbers = median(last.compared.T) if len(last.compared) else here
    beside: Numbers = here - usual
    values = np.concatenate(
        [beside, features[columns.steps] / (features[columns.spreads] + np.float32(STILL)), last.former]
    ).astype(np.float32)
    former = np.concatenate([features[columns.former], beside[_BESIDE]])
    return Last(np.concatenate([last.compared, here[None]])[-LAST:], former), values
