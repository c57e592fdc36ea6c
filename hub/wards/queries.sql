-- The SQL of the ward view: what the devices at its beds measure, and the newest of it.

-- name: streams
select s.stream_id, s.source_id, d.device_id, so.path, s.leads, s.fs_hz, s.dtype, s.gains, s.offsets, s.units
  from stream s
  join source so using (source_id)
  join device d using (device_id)
 where s.tenant_id = %(tenant)s and d.device_id = any(%(devices)s)
 order by so.path, s.stream_id

-- name: last_waveforms
select stream_id, start from last_waveforms(%(streams)s)

-- name: numerics
select so.device_id, so.path, s.code, s.unit, s.averaging_ns, o.time, o.value, o.quality
  from series s
  join source so using (source_id)
  join latest_observations(
      array(select series_id from series x join source y using (source_id)
             where x.tenant_id = %(tenant)s and y.device_id = any(%(devices)s) and x.value_kind = 'number'),
      %(since)s) o using (series_id)
 order by o.time

-- name: gaps
select s.path, g.from_time, g.to_time, g.reason
  from gap g
  join source s using (source_id)
 where g.tenant_id = %(tenant)s and s.path = any(%(sources)s) and g.to_time > %(from)s and g.from_time < %(to)s
 order by g.from_time

-- What became of a followed message in this process: a row of its own, which names the trace that it belongs to.
-- name: traced
insert into trace (tenant_id, device, ends_at, told) values (%(tenant)s, %(device)s, now(), %(told)s)
