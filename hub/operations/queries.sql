-- The SQL of operations: what each process writes of itself every minute, and how it is summed up.

-- name: write_process
insert into operation_process (minute, role, instance, up_s, figures) values (%(minute)s, %(role)s, %(instance)s, %(up_s)s, %(figures)s)
on conflict do nothing

-- name: write_function
insert into operation_function (minute, role, instance, function, calls, failed, buckets)
values (%(minute)s, %(role)s, %(instance)s, %(function)s, %(calls)s, %(failed)s, %(buckets)s)
on conflict do nothing

-- name: roles
-- The first minute of a role is left out: it began within it.
with first as (
    select role, greatest(min(minute) + interval '1 minute', %(from)s) as minute from operation_process group by role
), up as (
    select role, minute from operation_process where minute >= %(from)s and minute < %(to)s
     group by role, minute having sum(up_s) >= %(half)s
), newest as (
    select distinct on (role) role, minute, figures from operation_process order by role, minute desc, instance
)
select f.role, greatest(0, extract(epoch from %(to)s - f.minute) / 60)::int,
       (select count(*) from up where up.role = f.role and up.minute >= f.minute),
       extract(epoch from now() - n.minute) - 60, n.figures
  from first f join newest n using (role)
 order by f.role

-- name: functions
select function, sum(calls), sum(failed), array_agg(total order by i)
  from (select function, i, sum(n) as total, case when i = 1 then sum(calls) end as calls, case when i = 1 then sum(failed) end as failed
          from operation_function cross join lateral unnest(buckets) with ordinality as u (n, i)
         where minute >= %(from)s and minute < %(to)s
         group by function, i) as summed
 group by function
 order by function

-- name: failing
select function, count(*)
  from (select function, minute from operation_function
         where failed > 0 and minute >= %(from)s and minute < %(to)s
         group by function, minute having 2 * sum(failed) >= sum(calls)) as down
 group by function

-- name: storage
select hypertable_size('observation') + hypertable_size('observation_block') as reading_bytes,
       approximate_row_count('observation') + (select coalesce(sum(n), 0) from observation_block) as readings,
       hypertable_size('waveform') + hypertable_size('waveform_block') as wave_bytes,
       approximate_row_count('waveform') as hot_groups,
       (select coalesce(sum(b.n::bigint * cardinality(t.leads) * case t.dtype when '<i2' then 2 else 4 end), 0)
          from waveform_block b join stream t using (stream_id)) as sealed_bytes

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
