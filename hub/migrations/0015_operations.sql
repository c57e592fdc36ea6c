-- Who sends more than it may; searching names by how they are spelt; what the processes of the hub measured of themselves.

-- flooding_since: its gateway holds it back since then; throttled_since: the hub holds it back, throttled_until: the last time that ended.
alter table device add flooding_since timestamptz, add flooded_at timestamptz;
alter table gateway add throttled_since timestamptz, add throttled_until timestamptz;
grant update (flooding_since, flooded_at) on device to wardlink_ingest;
grant update (throttled_since, throttled_until) on gateway to wardlink_ingest;
