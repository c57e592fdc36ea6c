"""What was measured, hot and sealed: blocks, sealing, one way of reading both, rollups, retention (docs/explanation/store.md)."""
