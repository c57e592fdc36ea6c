"""A kept view as a value, and how many and how long they may be. Pure; which filters a room knows is told by the room."""

from dataclasses import dataclass
from typing import Protocol

LONGEST_NAME = 60
MOST_VIEWS = 50  # of a person in a room


class Filtered(Protocol):
    """The filters of a room, as they stand in the address."""

    def query(self, **changed: str | int) -> str:
        """The part of an address behind `?`."""
        ...


@dataclass(frozen=True, slots=True)
class SavedView:
    """`query`: the part of an address behind `?`, without the page."""

    view_id: int
    name: str
    query: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a page shows of a person's views. `undo`: one that was just deleted, or (`is_replaced`) replaced, and can be put back."""

    views: tuple[SavedView, ...]
    undo: SavedView | None = None

    @property
    def is_full(self) -> bool:
        """Whether one must be deleted before another name can be kept."""
        return len(self.views) >= MOST_VIEWS

    @property
    def is_replaced(self) -> bool:
        """Whether what can be put back was replaced by a view of its name."""
        return self.undo is not None and self.undo.name in {view.name for view in self.views}
