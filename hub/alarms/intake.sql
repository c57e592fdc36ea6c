-- The SQL of taking alarms in from gateways, for all changes of a tenant in a transaction at once. What people do is in queries.sql.

-- name: lock_log
select lock_alarm_log(%(tenant)s)

-- name: raise
insert into alarm (tenant_id, alarm_id, source_id, gateway_id, code, kind, onset, priority, presence, params,
                   detected_at, changed_at, stored_at)
select %(tenant)s, alarm, source, gateway, code, kind, onset, priority, presence, params, detected, detected, clock_timestamp()
  from unnest(%(alarms)s::uuid[], %(sources)s::int[], %(gateways)s::int[], %(codes)s::text[], %(kinds)s::text[], %(onsets)s::timestamptz[],
              %(priorities)s::text[], %(presences)s::text[], %(params)s::jsonb[], %(detected)s::timestamptz[])
       with ordinality as x (alarm, source, gateway, code, kind, onset, priority, presence, params, detected, number)
 order by number
on conflict (tenant_id, alarm_id) do nothing
returning alarm_id

-- name: events
insert into alarm_event (tenant_id, alarm_id, kind, at, who, priority, presence, params, evidence, epoch, n, record_index)
select %(tenant)s, alarm, kind, coalesce(at, clock_timestamp()), who, priority, presence, params, evidence, epoch, n, record_index
  from unnest(%(alarms)s::uuid[], %(kinds)s::text[], %(at)s::timestamptz[], %(who)s::text[], %(priorities)s::text[], %(presences)s::text[],
              %(params)s::jsonb[], %(evidence)s::bytea[], %(epochs)s::bytea[], %(ns)s::bigint[], %(indexes)s::int[])
       with ordinality as x (alarm, kind, at, who, priority, presence, params, evidence, epoch, n, record_index, number)
 order by number
returning event_id

-- name: states
update alarm a set priority = x.priority, presence = x.presence, params = x.params, detected_at = x.detected, changed_at = x.changed
  from unnest(%(alarms)s::uuid[], %(priorities)s::text[], %(presences)s::text[], %(params)s::jsonb[], %(detected)s::timestamptz[],
              %(changed)s::timestamptz[]) as x (alarm, priority, presence, params, detected, changed)
 where a.tenant_id = %(tenant)s and a.alarm_id = x.alarm

-- name: note_seen
update alarm set acknowledged_at = %(seen_at)s, acknowledged_by = %(seen_by)s
 where tenant_id = %(tenant)s and alarm_id = %(alarm)s and acknowledged_at is null
