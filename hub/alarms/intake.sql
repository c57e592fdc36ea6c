-- name: lock_log
select lock_alarm_log(%(tenant)s)

-- name: change
insert into alarm as a (tenant_id, alarm_id, source_id, gateway_id, code, kind, onset, priority, presence, params,
                        detected_at, changed_at, stored_at)
values (%(tenant)s, %(alarm)s, %(source)s, %(gateway)s, %(code)s, %(kind)s, %(onset)s, %(priority)s, %(presence)s, %(params)s,
        %(detected)s, %(detected)s, clock_timestamp())
on conflict (tenant_id, alarm_id) do update set
    priority = case when excluded.changed_at >= a.changed_at then excluded.priority else a.priority end,
    presence = case when excluded.changed_at >= a.changed_at then excluded.presence else a.presence end,
    params = case when excluded.changed_at >= a.changed_at then excluded.params else a.params end,
    detected_at = least(a.detected_at, excluded.detected_at),
    changed_at = greatest(a.changed_at, excluded.changed_at)
returning (xmax = 0) as fresh

-- name: events
insert into alarm_event (tenant_id, alarm_id, kind, at, who, priority, presence, params, evidence)
values (%(tenant)s, %(alarm)s, %(kind)s, %(detected)s, %(who)s, %(priority)s, %(presence)s, %(params)s::jsonb, %(evidence)s::bytea),
       (%(tenant)s, %(alarm)s, 'sent', %(sent)s, %(who)s, null, null, '{}', null),
       (%(tenant)s, %(alarm)s, 'stored', clock_timestamp(), '', null, null, '{}', null)
returning event_id

-- name: seen
insert into alarm_event (tenant_id, alarm_id, kind, at, who, params)
values (%(tenant)s, %(alarm)s, 'acknowledged', %(seen_at)s, %(seen_by)s, jsonb_build_object('gateway', %(who)s::text))
returning event_id

-- name: note_seen
update alarm set acknowledged_at = %(seen_at)s, acknowledged_by = %(seen_by)s
 where tenant_id = %(tenant)s and alarm_id = %(alarm)s and acknowledged_at is null
