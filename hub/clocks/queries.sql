-- The SQL of clocks. Rows of time series are moved by functions of the database (migration 0012), which look at the tenant.

-- name: device
select device_id from device where tenant_id = %(tenant)s and name = %(name)s

-- name: segments
select c.clock_segment_id, g.name, c.number, c.first_seen, c.moved_from, x.observations, x.waveforms, x.from_time, x.to_time
  from clock_segment c
  join gateway g on g.gateway_id = c.gateway_id
  left join lateral (
    select coalesce(sum(r.rows) filter (where not r.waveform), 0)::bigint as observations,
           coalesce(sum(r.rows) filter (where r.waveform), 0)::bigint as waveforms,
           min(r.from_time) as from_time, max(r.to_time) as to_time
      from segment_rows(c.clock_segment_id) r) as x on true
 where c.tenant_id = %(tenant)s and c.device_id = %(device)s and (%(segment)s::int is null or c.clock_segment_id = %(segment)s)
   and (c.moved_from is null or x.observations + x.waveforms > 0)
 order by c.first_seen desc, c.clock_segment_id desc
 limit %(limit)s

-- name: lock_device
select pg_advisory_xact_lock(1465011278, %(device)s)

-- name: open_segment
select open_segment(%(segment)s)

-- name: clocks
select gateway_time, device_behind_ms, corrected_by_ms from segment_clocks(%(segment)s, %(most)s)

-- name: alarms
select a.alarm_id
  from alarm a join source s using (source_id)
 where a.tenant_id = %(tenant)s and s.device_id = %(device)s and a.onset between %(from)s and %(to)s

-- name: lock_alarms
select lock_alarm_log(%(tenant)s)

-- name: mark_alarms
insert into alarm_event (tenant_id, alarm_id, kind, at, who)
select %(tenant)s, unnest(%(alarms)s::uuid[]), %(kind)s, clock_timestamp(), %(who)s

-- name: retiming
insert into retiming (tenant_id, device_id, clock_segment_id, base, shift_us, drift_ppm, model, reason, who)
values (%(tenant)s, %(device)s, %(segment)s, %(base)s, %(shift_us)s, %(drift_ppm)s, %(model)s, %(reason)s, %(who)s)
returning retiming_id

-- name: moved_segment
insert into clock_segment (tenant_id, device_id, gateway_id, epoch, number, moved_from)
select tenant_id, device_id, gateway_id, epoch, -%(retiming)s::bigint, clock_segment_id
  from clock_segment where clock_segment_id = %(segment)s
returning clock_segment_id

-- name: moved_segment_of
select m.clock_segment_id
  from retiming r
  join clock_segment c on c.clock_segment_id = r.clock_segment_id
  join clock_segment m on m.device_id = r.device_id and m.gateway_id = c.gateway_id and m.epoch = c.epoch and m.number = -r.retiming_id
 where r.tenant_id = %(tenant)s and r.retiming_id = %(retiming)s

-- name: touched
select id, from_time, to_time from segment_rows(%(segment)s) where not waveform

-- name: tell_touched
select observations_moved(array[%(series)s]::int[], %(from)s, %(to)s)

-- name: move
select observations, waveforms
  from move_segment(%(segment)s, %(into)s, %(base)s, %(shift_us)s, %(drift_ppm)s, %(sign)s)

-- name: move_gaps
select move_gaps(%(device)s, %(only)s::bigint[], %(from)s, %(to)s, %(by_us)s)

-- name: note_moved
update retiming set observations = %(observations)s, waveforms = %(waveforms)s, gaps = %(gaps)s, from_time = %(from)s, to_time = %(to)s
 where tenant_id = %(tenant)s and retiming_id = %(retiming)s

-- name: note_undone
update retiming set undone_at = clock_timestamp(), undone_by = %(who)s, undone_reason = %(reason)s
 where tenant_id = %(tenant)s and retiming_id = %(retiming)s and undone_at is null
returning retiming_id

-- name: retimings
select retiming_id, clock_segment_id, base, shift_us, drift_ppm, model, reason, who, at, observations, waveforms,
       undone_at, undone_by, undone_reason
  from retiming
 where tenant_id = %(tenant)s and device_id = %(device)s
 order by retiming_id desc
 limit %(limit)s

-- name: one_retiming
select retiming_id, clock_segment_id, base, shift_us, drift_ppm, model, reason, who, at, observations, waveforms,
       undone_at, undone_by, undone_reason, device_id, from_time, to_time, gaps
  from retiming
 where tenant_id = %(tenant)s and retiming_id = %(retiming)s
