-- The SQL of what people do with alarms. Taking them in from gateways is in intake.sql.

-- name: lock_log
select lock_alarm_log(%(tenant)s)

-- name: last_event
select coalesce(max(event_id), 0) from alarm_event where tenant_id = %(tenant)s

-- name: open
select a.alarm_id
  from alarm a
  join source s using (source_id)
 where a.tenant_id = %(tenant)s
   and (a.presence <> 'ended' or a.acknowledged_at is null)
   and (a.acknowledged_at is null or a.presence = 'present')
   and (a.presence <> 'ended' or a.onset > now() - interval '24 hours')
   and place_at(s.device_id, a.onset) = any(%(points)s)
 order by a.onset desc
 limit 500

-- name: past
select a.alarm_id, s.device_id, a.onset
  from alarm a
  join source s using (source_id)
 where a.tenant_id = %(tenant)s and s.device_id = any(%(devices)s) and a.onset >= %(from)s and a.onset < %(to)s
 order by a.onset desc
 limit %(limit)s

-- name: heads
select a.alarm_id, s.path, a.code, a.kind, a.onset, a.stored_at, place_at(s.device_id, a.onset)
  from alarm a
  join source s using (source_id)
 where a.tenant_id = %(tenant)s and a.alarm_id = any(%(alarms)s)

-- name: states
select alarm_id, event_id, kind, at, who, priority, presence, params, epoch, n, record_index
  from alarm_event
 where tenant_id = %(tenant)s and alarm_id = any(%(alarms)s)
   and kind in ('detected', 'changed', 'latched', 'ended', 'acknowledged')
 order by event_id

-- name: visible_since
select event_id, alarm_id
  from alarm_event
 where tenant_id = %(tenant)s and event_id > %(after)s
   and kind in ('detected', 'changed', 'latched', 'ended', 'acknowledged')
 order by event_id
 limit %(limit)s

-- name: behind
select count(*) from (
    select from alarm_event where tenant_id = %(tenant)s and event_id > %(after)s limit %(limit)s) as x

-- name: history
select event_id, kind, at, who from alarm_event where tenant_id = %(tenant)s and alarm_id = %(alarm)s order by event_id limit 1000

-- name: evidence
select evidence from alarm_event
 where tenant_id = %(tenant)s and alarm_id = %(alarm)s and evidence is not null
 order by event_id
 limit 1

-- name: acknowledged
insert into alarm_event (tenant_id, alarm_id, kind, at, who)
values (%(tenant)s, %(alarm)s, 'acknowledged', clock_timestamp(), %(who)s)
returning event_id, at

-- name: note_acknowledged
update alarm set acknowledged_at = %(at)s, acknowledged_by = %(who)s
 where tenant_id = %(tenant)s and alarm_id = %(alarm)s and acknowledged_at is null

-- name: shown
insert into alarm_event (tenant_id, alarm_id, kind, at, who)
select %(tenant)s, %(alarm)s, 'shown', %(at)s, %(who)s
 where not exists (
    select from alarm_event where tenant_id = %(tenant)s and alarm_id = %(alarm)s and kind = 'shown' and who = %(who)s)
