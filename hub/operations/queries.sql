-- The SQL of operations: what each process writes of itself every minute, and how it is summed up.

-- name: write_process
insert into operation_process (minute, role, instance, up_s, figures) values (%(minute)s, %(role)s, %(instance)s, %(up_s)s, %(figures)s)
on conflict do nothing

-- name: write_function
insert into operation_function (minute, role, instance, function, calls, failed, buckets)
values (%(minute)s, %(role)s, %(instance)s, %(function)s, %(calls)s, %(failed)s, %(buckets)s)
on conflict do nothing

-- name: roles
-- The first minute of a role is left out: it began within it. Figures are those of the newest minute that has ended, of all copies of the
-- role: what they counted is added up; a size or a ratio is of the one store that each of them sees.
with first as (
    select role, greatest(min(minute) + interval '1 minute', %(from)s) as minute from operation_process group by role
), up as (
    select role, minute from operation_process where minute >= %(from)s and minute < %(to)s
     group by role, minute having sum(up_s) >= %(half)s
), newest as (
    select role, max(minute) as minute, max(minute) filter (where minute < %(to)s) as ended from operation_process group by role
), summed as (
    select p.role, f.key, case when f.key ~ '_(bytes|ratio)$' then max(f.value::float8) else sum(f.value::float8) end as value
      from newest n join operation_process p on p.role = n.role and p.minute = n.ended cross join lateral jsonb_each_text(p.figures) as f
     group by p.role, f.key
)
select f.role, greatest(0, extract(epoch from %(to)s - f.minute) / 60)::int,
       (select count(*) from up where up.role = f.role and up.minute >= f.minute),
       extract(epoch from now() - n.minute) - 60,
       (select coalesce(jsonb_object_agg(s.key, s.value), '{}') from summed s where s.role = f.role)
  from first f join newest n using (role)
 order by f.role

-- name: functions
-- Every function that was ever called in the time that is kept; without calls in the span with none.
with recursive known (function) as (
    (select function from operation_function order by function limit 1)
    union all
    select (select o.function from operation_function o where o.function > k.function order by o.function limit 1)
      from known k where k.function is not null
), summed as (
    select function, i, sum(n) as total, sum(calls) as calls, sum(failed) as failed
      from operation_function cross join lateral unnest(buckets) with ordinality as u (n, i)
     where minute >= %(from)s and minute < %(to)s
     group by function, i
)
select k.function, coalesce(max(s.calls), 0), coalesce(max(s.failed), 0), coalesce(array_agg(s.total order by s.i) filter (where s.i is not null), '{}')
  from known k left join summed s using (function)
 where k.function is not null
 group by k.function
 order by k.function

-- name: failing
-- Minutes in which a function failed while its process was up: the others count as down already.
select function, count(*)
  from (select function, role, minute from operation_function
         where failed > 0 and minute >= %(from)s and minute < %(to)s
         group by function, role, minute having 2 * sum(failed) >= sum(calls)) as down
 where (select coalesce(sum(p.up_s), 0) from operation_process p where p.role = down.role and p.minute = down.minute) >= %(half)s
 group by function

-- name: storage
select hypertable_size('observation') + hypertable_size('observation_block') as reading_bytes,
       approximate_row_count('observation') as hot_readings, approximate_row_count('observation_block') as reading_blocks,
       hypertable_size('waveform') + hypertable_size('waveform_block') as wave_bytes,
       approximate_row_count('waveform') as hot_groups, approximate_row_count('waveform_block') as wave_blocks

-- name: newest_blocks
-- All of them would be minutes of reading in a year's store.
select r.blocks, r.readings, w.blocks, w.raw
  from (select count(*) as blocks, coalesce(sum(n), 0) as readings
          from (select n from observation_block order by hour desc limit %(most)s) as b) as r,
       (select count(*) as blocks, coalesce(sum(b.n::bigint * cardinality(t.leads) * case t.dtype when '<i2' then 2 else 4 end), 0) as raw
          from (select stream_id, n from waveform_block order by slot desc limit %(most)s) as b join stream t using (stream_id)) as w

-- name: samples
select coalesce(sum(h.raw) filter (where h.is_hot), 0), count(*) filter (where h.is_hot), coalesce(sum(h.raw), 0), coalesce(sum(h.stored), 0)
  from (select true as is_hot, w.n::bigint * cardinality(t.leads) * case t.dtype when '<i2' then 2 else 4 end as raw, length(w.samples) as stored
          from (select stream_id, n, samples from waveform where start > now() - interval '1 hour' and start <= now() order by start desc limit 2000) as w
          join stream t using (stream_id)
         union all
        select false, b.n::bigint * cardinality(t.leads) * case t.dtype when '<i2' then 2 else 4 end, length(b.samples) + length(b.marks)
          from (select stream_id, n, samples, marks from waveform_block
                 where slot > now() - interval '1 hour' and slot <= now() order by slot desc limit 2000) as b
          join stream t using (stream_id)) as h
