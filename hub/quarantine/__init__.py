"""The quarantine: what could not be stored, with its bytes and the reason, until somebody releases or discards it."""
