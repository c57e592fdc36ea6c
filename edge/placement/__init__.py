"""What the hub says about the beds: kept on disk, so that screening goes on by it with the hub gone."""

from edge.placement.store import PlacementStore

__all__ = ["PlacementStore"]
