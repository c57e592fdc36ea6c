-- The local page of a gateway: by which names browsers reach it, and acknowledgements that were given there.

-- Host names and addresses that an administrator gave it: they stand in its server certificate, and pages go to no other.
alter table gateway add column addresses text[] not null default '{}';
grant update (addresses) on gateway to wardlink_web;
grant update (acknowledged_at, acknowledged_by) on alarm to wardlink_ingest;
