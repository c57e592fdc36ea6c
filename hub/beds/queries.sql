-- The SQL of the bed page. Whose data a bed shows is told by hub.placement as stretches of time of devices.

-- name: series
select s.series_id, so.device_id, so.path, s.code, s.site, s.unit
  from series s
  join source so using (source_id)
 where s.tenant_id = %(tenant)s and so.device_id = any(%(devices)s) and s.value_kind = 'number'
 order by s.code, so.path, s.series_id

-- name: buckets
select series_id, bucket, lowest, highest, mean, n, unusable
  from observation_buckets(%(series)s, %(froms)s, %(tos)s, make_interval(secs => %(width_s)s))

-- name: looked_at
select pg_notify('looked_at', gateway_id::text)
  from (select distinct gateway_id from device where tenant_id = %(tenant)s and device_id = any(%(devices)s) and gateway_id is not null) g

-- name: holes
select s.path, s.device_id, g.source_id, g.from_time, g.to_time, g.reason, g.recoverable, g.from_sample, g.to_sample
  from gap g
  join source s using (source_id)
 where g.tenant_id = %(tenant)s and s.device_id = any(%(devices)s) and g.to_time > %(from)s and g.from_time < %(to)s
 order by g.from_time
 limit 2000

-- name: events
select e.time, s.device_id, s.path, e.code, e.params
  from device_event e
  join source s using (source_id)
 where s.tenant_id = %(tenant)s and s.device_id = any(%(devices)s) and e.code = any(%(codes)s)
   and e.time >= %(from)s and e.time < %(to)s
 order by e.time desc
 limit 2000

-- name: notes
select note_id, at, written_at, who, text
  from note
 where tenant_id = %(tenant)s and at >= %(from)s and at < %(to)s
   and (patient_id = %(patient)s or (%(patient)s::int is null and patient_id is null and point_of_care_id = %(point)s))
 order by at desc
 limit 500

-- name: write_note
insert into note (tenant_id, point_of_care_id, patient_id, at, who, text)
values (%(tenant)s, %(point)s, %(patient)s, %(at)s, %(who)s, %(text)s)
returning note_id, at, written_at, who, text
