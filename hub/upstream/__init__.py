"""What this hub hands on to the hub above it: rules, and the outbox that is written with the data."""
