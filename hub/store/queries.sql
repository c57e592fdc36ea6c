-- The SQL of the store; what it rests on is in migration 0011.

-- name: groups
select stream_id, start, n, first_sample, codec, quality, samples, groups, marks
  from read_waveforms(%(streams)s, %(from)s, %(to)s)

-- name: samples
select stream_id, start, n, first_sample, codec, quality, samples, groups, marks
  from sample_waveforms(%(streams)s, %(from)s, %(to)s, make_interval(secs => %(step_s)s))

-- Which samples of some sources are there at some times.
-- name: spans
select a.source_id, w.first_sample, w.n, w.groups, w.marks, cardinality(s.leads)
  from unnest(%(sources)s::int[], %(froms)s::timestamptz[], %(tos)s::timestamptz[]) as a (source_id, from_time, to_time)
  join stream s using (source_id)
 cross join lateral read_spans(array[s.stream_id], a.from_time, a.to_time) w

-- name: eldest_waveforms
select stream_id, start from eldest_waveforms(%(from)s, %(to)s)

-- name: lock_stream
select pg_try_advisory_xact_lock(1465011277, %(stream)s)

-- name: wait_for_stream
select pg_advisory_xact_lock(1465011277, %(stream)s)

-- name: stream
select cardinality(leads), dtype, fs_hz from stream where stream_id = %(stream)s

-- name: take_blocks
delete from waveform_block where stream_id = %(stream)s and slot = %(slot)s
returning start, groups, n, codec, marks, samples

-- name: take_some_blocks
delete from waveform_block where stream_id = %(stream)s and slot > %(slot)s and slot < %(end)s
returning start, groups, n, codec, marks, samples

-- name: take_groups
delete from waveform where stream_id = %(stream)s and start >= %(slot)s and start < %(end)s
returning start, n, first_sample, codec, quality, samples, device_offset_ms, gateway_offset_ms, uncertainty_ms, clock_segment_id

-- name: write_block
insert into waveform_block (slot, stream_id, part, start, last_start, until, groups, n, codec, marks, samples, clock_segment_ids)
values (%(slot)s, %(stream)s, %(part)s, %(start)s, %(last_start)s, %(until)s, %(groups)s, %(n)s, %(codec)s, %(marks)s, %(samples)s, %(segments)s)

-- name: blocks_of_segment
select b.stream_id, min(b.slot), max(b.slot)
  from clock_segment c
  join source s on s.device_id = c.device_id
  join stream e on e.source_id = s.source_id
  join waveform_block b on b.stream_id = e.stream_id and %(segment)s = any (b.clock_segment_ids)
 where c.clock_segment_id = %(segment)s
 group by b.stream_id

-- name: write_group
insert into waveform (start, stream_id, n, first_sample, codec, quality, samples, device_offset_ms, gateway_offset_ms, uncertainty_ms, clock_segment_id)
values (%(start)s, %(stream)s, %(n)s, %(first_sample)s, %(codec)s, %(quality)s, %(samples)s,
        %(device_ms)s, %(gateway_ms)s, %(uncertainty_ms)s, %(segment)s)

-- name: eldest_observations
select series_id, time from eldest_observations(%(from)s, %(to)s)

-- name: seal_hour
select seal_observations(%(series)s, %(hour)s)

-- name: drop_empty_chunks
select drop_empty_chunks(%(table)s::regclass, %(before)s)

-- name: close_rollups
select close_rollups(%(until)s)

-- name: roll_up_closed
select roll_up_closed()

-- name: roll_up_late
select roll_up_late(%(most)s)

-- name: rules
select class, keep_days from retention_rule where tenant_id = %(tenant)s

-- name: destroyed
select at, tenant_id, class, kind, from_time, to_time, rows, keep_days, whole_chunk
  from destruction
 where tenant_id = %(tenant)s
 order by destruction_id desc
 limit 1000

-- name: set_rule
insert into retention_rule (tenant_id, class, keep_days, set_by) values (%(tenant)s, %(class)s, %(days)s, %(who)s)
on conflict (tenant_id, class) do update set keep_days = excluded.keep_days, set_by = excluded.set_by, set_at = clock_timestamp()

-- name: drop_rule
delete from retention_rule where tenant_id = %(tenant)s and class = %(class)s

-- name: holds
select h.legal_hold_id, d.name, h.from_time, h.to_time, h.reason
  from legal_hold h
  left join device d using (device_id)
 where h.tenant_id = %(tenant)s and h.lifted_at is null
 order by h.legal_hold_id

-- name: hold
insert into legal_hold (tenant_id, device_id, from_time, to_time, reason, placed_by)
select %(tenant)s, d.device_id, %(from)s, %(to)s, %(reason)s, %(who)s
  from (select) as one
  left join device d on d.tenant_id = %(tenant)s and d.name = %(device)s
 where %(device)s::text is null or d.device_id is not null
returning legal_hold_id

-- name: lift
update legal_hold set lifted_at = clock_timestamp(), lifted_by = %(who)s
 where tenant_id = %(tenant)s and legal_hold_id = %(hold)s and lifted_at is null

-- name: destroy
select tenant, of_class, of_kind, from_at, to_at, gone, kept_days, chunk_whole from destroy_expired(%(dry)s, %(tenant)s)

-- name: whole_spans
select w.first_sample, w.n, w.groups, w.marks, cardinality(s.leads)
  from read_waveforms(array(select stream_id from stream join source using (source_id) where path = %(path)s), '-infinity', 'infinity') w
  join stream s using (stream_id)

-- name: whole_groups
select w.start, w.n, w.first_sample, w.codec, w.samples, w.groups, w.marks, cardinality(s.leads), s.dtype
  from read_waveforms(array(select stream_id from stream join source using (source_id) where path = %(path)s), '-infinity', 'infinity') w
  join stream s using (stream_id)

-- name: whole_readings
select p.path, e.code, extract(epoch from o.time)::float8 * 1000 + coalesce(o.device_offset_ms, 0), o.value::float8
  from readings(array(select series_id from series join source using (source_id) where path like any (%(paths)s)), '-infinity', 'infinity') o
  join series e using (series_id) join source p using (source_id)

-- name: whole_counts
select split_part(p.path, '/', 1), count(*)
  from readings(array(select series_id from series), '-infinity', 'infinity') o
  join series e using (series_id) join source p using (source_id) group by 1
