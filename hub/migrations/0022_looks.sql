-- What looks now and then finds what it looks for by an index, not by reading everything that it has dealt with before.

-- The oldest samples that may still become Gaps (hub/upstream/bound.py): those that did stay in the table until the way up takes them.
create index upstream_outbox_samples on upstream_outbox (outbox_id) where lane = 4 and not thinned and octet_length(records) > 0;

-- Commands that nobody answered, looked for every two seconds, the eldest first (hub/ingest/queries.sql, device_commands_overdue).
create index device_command_asked on device_command (asked_at);
