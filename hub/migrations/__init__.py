"""The hub's numbered migrations and what runs them: plain SQL, forward only, each recorded with its checksum."""
