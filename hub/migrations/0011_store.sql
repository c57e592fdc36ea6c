-- The store: sealed blocks beside hot rows and groups, one way of reading both, and rollups that late data keep right.

-- What was measured long enough ago that little more of it will come, in blocks. A row or a group is either hot or in a block: what
-- seals or opens moves it in one transaction, and every function below reads both in one statement, that is, in one snapshot.

-- Groups of one stream that begin within `slot` and the five minutes behind it. samples: those of all groups, one behind the other,
-- by `codec`; marks: the other columns of the groups (hub/store/blocks.py). part: of a slot too large for one block, from 0.
create table waveform_block (
    slot       timestamptz not null,
    stream_id  int not null,
    part       smallint not null,
    start      timestamptz not null,
    last_start timestamptz not null,
    until      timestamptz not null,
    groups     int not null,
    n          int not null,
    codec      smallint not null,
    marks      bytea not null,
    samples    bytea not null,
    clock_segment_ids int[] not null   -- of its groups, each once
);
alter table waveform_block alter column samples set storage external;
select create_hypertable('waveform_block', by_range('slot', interval '1 day'), create_default_indexes => false);
create unique index waveform_block_slot on waveform_block (stream_id, slot desc, part);

-- Readings of one series in an hour, a column an array (null: null in each), in order of time. times: microseconds from the middle of the hour.
create table observation_block (
    hour               timestamptz not null,
    series_id          int not null,
    n                  int not null,
    times              int[] not null,
    qualities          smallint[] not null,
    comparators        text[],
    numbers            double precision[],
    texts              text[],
    device_offsets_ms  double precision[],
    gateway_offsets_ms double precision[],
    uncertainties_ms   real[],
    clock_segment_ids  int[]
);
select create_hypertable('observation_block', by_range('hour', interval '7 days'), create_default_indexes => false);
create unique index observation_block_hour on observation_block (series_id, hour desc);

create function opened(b observation_block) returns setof observation language sql immutable
begin atomic
    select b.hour + (u.t::bigint + 1800000000) * interval '1 microsecond', b.series_id, u.quality, u.comparator, u.number, u.words,
           u.device_ms, coalesce(u.gateway_ms, 0), coalesce(u.uncertainty_ms, 0), u.segment
      from unnest(b.times, b.qualities, b.comparators, b.numbers, b.texts, b.device_offsets_ms, b.gateway_offsets_ms,
                  b.uncertainties_ms, b.clock_segment_ids)
           as u (t, quality, comparator, number, words, device_ms, gateway_ms, uncertainty_ms, segment);
end;

-- The readings of series in a stretch, hot and sealed. No tenant is asked for: only what asks for it may call this.
create function readings(wanted int[], from_time timestamptz, to_time timestamptz) returns setof observation language sql stable
begin atomic
    select o.* from observation o
     where o.series_id = any (wanted) and o.time >= from_time and o.time < to_time
    union all
    select o.* from observation_block b cross join lateral opened(b) o
     where b.series_id = any (wanted) and b.hour > from_time - interval '1 hour' and b.hour < to_time
       and o.time >= from_time and o.time < to_time;
end;

-- Puts the hour of a series back among the hot rows; returns how many there were.
create function open_observations(series int, wanted timestamptz) returns int language plpgsql as $$
declare
    block observation_block;
begin
    delete from observation_block where series_id = series and hour = wanted returning * into block;
    if not found then
        return 0;
    end if;
    insert into observation select * from opened(block);
    return block.n;
end $$;

-- Seals the hot readings of a series in an hour, together with those that are sealed already; returns how many the block has.
create function seal_observations(series int, wanted timestamptz) returns int language plpgsql as $$
declare
    sealed int;
begin
    if not pg_try_advisory_xact_lock(1465011276, series) then
        return 0;
    end if;
    perform open_observations(series, wanted);
    with gone as (
        delete from observation where series_id = series and time >= wanted and time < wanted + interval '1 hour' returning *)
    insert into observation_block
    select wanted, series, count(*),
           array_agg((extract(epoch from time - wanted) * 1000000 - 1800000000)::int order by time, value, ctid_order),
           array_agg(quality order by time, value, ctid_order),
           case when count(comparator) > 0 then array_agg(comparator order by time, value, ctid_order) end,
           case when count(value) > 0 then array_agg(value order by time, value, ctid_order) end,
           case when count(text_value) > 0 then array_agg(text_value order by time, value, ctid_order) end,
           case when count(device_offset_ms) > 0 then array_agg(device_offset_ms order by time, value, ctid_order) end,
           case when bool_or(gateway_offset_ms <> 0) then array_agg(gateway_offset_ms order by time, value, ctid_order) end,
           case when bool_or(uncertainty_ms <> 0) then array_agg(uncertainty_ms order by time, value, ctid_order) end,
           case when count(clock_segment_id) > 0 then array_agg(clock_segment_id order by time, value, ctid_order) end
      from (select *, row_number() over () as ctid_order from gone) as g
    having count(*) > 0
    returning n into sealed;
    return coalesce(sealed, 0);
end $$;

create or replace function read_observations(wanted int[], from_time timestamptz, to_time timestamptz)
returns setof observation language sql stable security definer set search_path = public, pg_temp
begin atomic
    select o.* from readings(array(select series_id from series where series_id = any (wanted) and tenant_id = current_tenant()), from_time, to_time) o
     order by o.series_id, o.time;
end;

create or replace function latest_observations(wanted int[], since timestamptz)
returns setof observation language sql stable security definer set search_path = public, pg_temp
begin atomic
    select o.* from series s
     cross join lateral (
        select * from (
            (select * from observation h
              where h.series_id = s.series_id and h.time >= since
              order by h.time desc limit 1)
            union all
            select o.* from (
                select * from observation_block b
                 where b.series_id = s.series_id and b.hour > since - interval '1 hour'
                 order by b.hour desc limit 1) as b
             cross join lateral opened(b.*::observation_block) o
             where o.time >= since) as either
         order by time desc limit 1) as o
     where s.series_id = any (wanted) and s.tenant_id = current_tenant();
end;

-- Groups of streams that reach into a stretch: hot ones as they are, of a block the block (`marks` is then not null, and hub/store/reading.py
-- takes the groups out of it). A group may begin before from_time and reach into the range; groups are at most 10 s long.
drop function read_waveforms, sample_waveforms;
create function read_waveforms(wanted int[], from_time timestamptz, to_time timestamptz)
returns table (stream_id int, start timestamptz, n int, first_sample bigint, codec smallint, quality bytea, samples bytea,
    device_offset_ms double precision, gateway_offset_ms double precision, uncertainty_ms real, clock_segment_id int, groups int, marks bytea)
language sql stable security definer set search_path = public, pg_temp
begin atomic
    select w.stream_id, w.start, w.n, w.first_sample, w.codec, w.quality, w.samples,
           w.device_offset_ms, w.gateway_offset_ms, w.uncertainty_ms, w.clock_segment_id, 1, null::bytea
      from waveform w
      join stream s using (stream_id)
     where w.stream_id = any (wanted) and s.tenant_id = current_tenant()
       and w.start >= from_time - interval '10 seconds' and w.start < to_time
       and w.start + make_interval(secs => w.n / s.fs_hz) > from_time
    union all
    select b.stream_id, b.start, b.n, null, b.codec, ''::bytea, b.samples, null, null, null, null, b.groups, b.marks
      from waveform_block b
      join stream s using (stream_id)
     where b.stream_id = any (wanted) and s.tenant_id = current_tenant()
       and b.slot > from_time - interval '5 minutes 10 seconds' and b.slot < to_time
       and b.start < to_time and b.until > from_time
     order by 1, 2, 4;
end;

-- The first hot group of each step of time, and the blocks that may have an earlier one.
create function sample_waveforms(wanted int[], from_time timestamptz, to_time timestamptz, every interval)
returns table (stream_id int, start timestamptz, n int, first_sample bigint, codec smallint, quality bytea, samples bytea, groups int, marks bytea)
language sql stable security definer set search_path = public, pg_temp
begin atomic
    select w.stream_id, w.start, w.n, w.first_sample, w.codec, w.quality, w.samples, 1, null::bytea
      from stream s
     cross join generate_series(from_time, to_time - interval '1 microsecond', every) as step
     cross join lateral (
        select * from waveform x
         where x.stream_id = s.stream_id and x.start >= step and x.start < least(step + every, to_time)
         order by x.start limit 1) as w
     where s.stream_id = any (wanted) and s.tenant_id = current_tenant()
    union all
    select b.stream_id, b.start, b.n, null, b.codec, ''::bytea, b.samples, b.groups, b.marks
      from waveform_block b
      join stream s using (stream_id)
     where b.stream_id = any (wanted) and s.tenant_id = current_tenant()
       and b.slot > from_time - interval '5 minutes' and b.slot < to_time and b.start < to_time and b.last_start >= from_time;
end;

create or replace function last_waveforms(wanted int[])
returns table (stream_id int, start timestamptz)
language sql stable security definer set search_path = public, pg_temp
begin atomic
    select s.stream_id, w.start
      from stream s
     cross join lateral (
        select max(newest.start) as start from (
            (select x.start from waveform x where x.stream_id = s.stream_id order by x.start desc limit 1)
            union all
            (select b.last_start from waveform_block b where b.stream_id = s.stream_id order by b.slot desc, b.part desc limit 1)) as newest) as w
     where s.stream_id = any (wanted) and s.tenant_id = current_tenant() and w.start is not null;
end;
revoke execute on function readings, open_observations, seal_observations, read_waveforms, sample_waveforms from public;
grant execute on function read_waveforms to wardlink_web, wardlink_reporting;
grant execute on function sample_waveforms to wardlink_web;

-- What a sealer finds next: of each stream or series the eldest hot row between two times, for which two looks at the index are enough.
create function eldest_waveforms(from_time timestamptz, to_time timestamptz) returns table (stream_id int, start timestamptz) language sql stable
begin atomic
    select s.stream_id, w.start
      from stream s
     cross join lateral (
        select x.start from waveform x
         where x.stream_id = s.stream_id and x.start >= from_time and x.start < to_time
         order by x.start limit 1) as w;
end;

create function eldest_observations(from_time timestamptz, to_time timestamptz) returns table (series_id int, "time" timestamptz) language sql stable
begin atomic
    select s.series_id, o.time
      from series s
     cross join lateral (
        select x.time from observation x
         where x.series_id = s.series_id and x.time >= from_time and x.time < to_time
         order by x.time limit 1) as o;
end;

-- Chunks that hold nothing any more go with their files. A row that comes for one meanwhile waits, fails and is sent again.
create function drop_empty_chunks(hypertable regclass, before timestamptz) returns int
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    chunk record;
    full_  boolean;
    dropped int := 0;
begin
    if hypertable not in ('waveform'::regclass, 'observation'::regclass, 'waveform_block'::regclass, 'observation_block'::regclass) then
        raise exception 'drop_empty_chunks: % is no table of the store', hypertable;
    end if;
    for chunk in
        select c.chunk_schema, c.chunk_name, c.range_start, c.range_end
          from timescaledb_information.chunks c
         where c.hypertable_schema = 'public' and c.hypertable_name = hypertable::text and c.range_end <= before
         order by c.range_start
    loop
        execute format('select exists (select from %I.%I)', chunk.chunk_schema, chunk.chunk_name) into full_;
        continue when full_;
        begin
            execute format('lock table %I.%I in access exclusive mode nowait', chunk.chunk_schema, chunk.chunk_name);
        exception when lock_not_available then
            continue;
        end;
        execute format('select exists (select from %I.%I)', chunk.chunk_schema, chunk.chunk_name) into full_;
        continue when full_;
        perform drop_chunks(hypertable, older_than => chunk.range_end, newer_than => chunk.range_start);
        dropped := dropped + 1;
    end loop;
    return dropped;
end $$;
revoke execute on function eldest_waveforms, eldest_observations, drop_empty_chunks from public;
grant execute on function open_observations, seal_observations, eldest_waveforms, eldest_observations, drop_empty_chunks to wardlink_worker;
grant select, insert, delete on waveform_block, observation_block to wardlink_worker;
-- What a gateway is asked for again is compared with what is there: sealed readings as they lie, sealed groups among the hot ones.
grant select on observation_block to wardlink_ingest;
grant select, delete on waveform_block to wardlink_ingest;

-- Rollups. total / n is the mean; what its device called unusable (quality above 2) is counted in `qualities` (by quality, from 1), and in
-- nothing else. Sums are taken in order of time, then value, so that the same readings give the same bits, whenever they came.
create table rollup_1m (
    bucket    timestamptz not null,
    series_id int not null,
    lowest    double precision,
    highest   double precision,
    total     double precision,
    n         int not null,
    first     double precision,
    last      double precision,
    qualities int[] not null
);
create table rollup_1h (like rollup_1m);
select create_hypertable('rollup_1m', by_range('bucket', interval '7 days'), create_default_indexes => false);
select create_hypertable('rollup_1h', by_range('bucket', interval '90 days'), create_default_indexes => false);
create unique index rollup_1m_series on rollup_1m (series_id, bucket desc);
create unique index rollup_1h_series on rollup_1h (series_id, bucket desc);

-- closed_until: readings that come for a time before it are late, and marked. rolled_until: up to here every minute was made.
create table rollup_state (
    only_row     boolean primary key default true check (only_row),
    closed_until timestamptz not null default '-infinity',
    rolled_until timestamptz not null default '-infinity'
);
insert into rollup_state default values;

-- Stretches behind closed_until that late data have touched since they were rolled up. A row is written in the transaction of its data and
-- never merged with another (decision 0141): whoever sees the mark sees the data.
create table rollup_dirty (
    series_id int not null,
    from_time timestamptz not null,
    to_time   timestamptz not null check (to_time > from_time)
);
create index rollup_dirty_series on rollup_dirty (series_id, from_time);

-- Ingest calls it behind its COPY: series with the minutes (since 1970) that were touched. The lock is shared among writers; who moves
-- closed_until waits for all of them, so that a reading is either marked here or seen by what closes its minute.
create function touch_rollups(series int[], from_minutes bigint[], to_minutes bigint[]) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    closed timestamptz;
begin
    perform pg_advisory_xact_lock_shared(1465011274, 0);
    select closed_until into closed from rollup_state;
    insert into rollup_dirty
    select t.series_id, to_timestamp(t.from_minute * 60), least(to_timestamp(t.to_minute * 60), closed)
      from unnest(series, from_minutes, to_minutes) as t (series_id, from_minute, to_minute)
     where to_timestamp(t.from_minute * 60) < closed;
end $$;

-- Marks stretches of series whose readings are put in, taken out or moved by something else than ingest (re-timing), in its transaction.
create function mark_dirty(series int[], from_time timestamptz, to_time timestamptz) returns void
language sql volatile security definer set search_path = public, pg_temp
begin atomic
    select touch_rollups(series, array(select floor(extract(epoch from from_time) / 60)::bigint from unnest(series)),
                         array(select ceil(extract(epoch from to_time) / 60)::bigint from unnest(series)));
end;

-- Writers wait behind who waits for them, so it waits two seconds at most (SQLSTATE 55P03): what is not closed now is by the next run.
create function close_rollups(until_time timestamptz) returns timestamptz
language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '2s' as $$
declare
    closed timestamptz;
begin
    select closed_until into closed from rollup_state;
    if closed >= date_trunc('minute', until_time) then
        return closed;
    end if;
    perform pg_advisory_xact_lock(1465011274, 0);
    update rollup_state set closed_until = greatest(closed_until, date_trunc('minute', until_time)) returning closed_until into closed;
    return closed;
end $$;

-- The one place where readings become minutes, and minutes hours. `+ 0`: minus nought is nought.
create function minutes_of(wanted int[], from_time timestamptz, to_time timestamptz) returns setof rollup_1m language sql stable
begin atomic
    select date_trunc('minute', o.time), o.series_id,
           min(o.value) filter (where o.quality <= 2), max(o.value) filter (where o.quality <= 2),
           sum(o.value order by o.time, o.value) filter (where o.quality <= 2), (count(*) filter (where o.quality <= 2))::int,
           (array_agg(o.value order by o.time, o.value) filter (where o.quality <= 2))[1],
           (array_agg(o.value order by o.time desc, o.value desc) filter (where o.quality <= 2))[1],
           array[count(*) filter (where o.quality = 1), count(*) filter (where o.quality = 2), count(*) filter (where o.quality = 3),
                 count(*) filter (where o.quality = 4), count(*) filter (where o.quality = 5), count(*) filter (where o.quality = 6),
                 count(*) filter (where o.quality = 7)]::int[]
      from (select r.time, r.series_id, r.quality, r.value + 0 as value from readings(wanted, from_time, to_time) r
             where r.value is not null and r.value <> 'NaN' and abs(r.value) <> 'Infinity') as o
     group by 2, 1;
end;

create function hours_of(wanted int[], from_time timestamptz, to_time timestamptz) returns setof rollup_1h language sql stable
begin atomic
    select date_trunc('hour', m.bucket, 'UTC'), m.series_id, min(m.lowest), max(m.highest), sum(m.total order by m.bucket), sum(m.n)::int,
           (array_agg(m.first order by m.bucket) filter (where m.n > 0))[1],
           (array_agg(m.last order by m.bucket desc) filter (where m.n > 0))[1],
           array[sum(m.qualities[1]), sum(m.qualities[2]), sum(m.qualities[3]), sum(m.qualities[4]), sum(m.qualities[5]),
                 sum(m.qualities[6]), sum(m.qualities[7])]::int[]
      from rollup_1m m
     where m.series_id = any (wanted) and m.bucket >= from_time and m.bucket < to_time
     group by 2, 1;
end;

create function roll_up(wanted int[], from_time timestamptz, to_time timestamptz, hours_until timestamptz) returns void language plpgsql as $$
declare
    first_hour timestamptz := date_trunc('hour', from_time, 'UTC');
    last_hour  timestamptz := least(date_trunc('hour', to_time + interval '1 hour' - interval '1 microsecond', 'UTC'),
                                    date_trunc('hour', hours_until, 'UTC'));
begin
    delete from rollup_1m where series_id = any (wanted) and bucket >= from_time and bucket < to_time;
    insert into rollup_1m select m.* from minutes_of(wanted, from_time, to_time) m order by m.series_id, m.bucket;
    delete from rollup_1h where series_id = any (wanted) and bucket >= first_hour and bucket < last_hour;
    insert into rollup_1h select h.* from hours_of(wanted, first_hour, last_hour) h order by h.series_id, h.bucket;
end $$;

-- Makes the minutes that were closed since the last call, a day of them at most; true when there are more.
create function roll_up_closed() returns boolean language plpgsql security definer set search_path = public, pg_temp as $$
declare
    state rollup_state;
    begin_ timestamptz;
    end_   timestamptz;
    every_ int[];
begin
    perform pg_advisory_xact_lock(1465011275, 0);
    select * into state from rollup_state;
    begin_ := state.rolled_until;
    if begin_ = '-infinity' then
        select min(range_start) into begin_ from timescaledb_information.chunks
         where hypertable_schema = 'public' and hypertable_name in ('observation', 'observation_block');
        begin_ := least(coalesce(begin_, state.closed_until), state.closed_until);
    end if;
    end_ := least(begin_ + interval '1 day', state.closed_until);
    if begin_ < end_ then
        select coalesce(array_agg(series_id), '{}') into every_ from series where value_kind = 'number';
        perform roll_up(every_, begin_, end_, end_);
    end if;
    update rollup_state set rolled_until = end_ where rolled_until is distinct from end_;
    return end_ < state.closed_until;
end $$;

-- From when on the readings and minutes of a series are all there; retention says otherwise (0013).
create function rollups_kept_from(series int) returns timestamptz language sql stable return '-infinity'::timestamptz;

-- Makes anew what late data have touched: `most` marks at most, in order of their keys; returns how many it took.
create function roll_up_late(most int) returns int language plpgsql security definer set search_path = public, pg_temp as $$
declare
    rolled timestamptz;
    late   record;
    taken  int := 0;
begin
    perform pg_advisory_xact_lock(1465011275, 0);
    select rolled_until into rolled from rollup_state;
    for late in
        with eldest as (select ctid from rollup_dirty order by series_id, from_time limit most),
             gone as (delete from rollup_dirty d using eldest e where d.ctid = e.ctid returning d.*)
        select series_id, range_agg(tstzrange(from_time, to_time)) as touched, count(*) as marks from gone group by series_id order by series_id
    loop
        taken := taken + late.marks;
        declare
            stretch tstzrange;
            begin_  timestamptz;
            end_    timestamptz;
        begin
            foreach stretch in array array(select unnest(late.touched)) loop
                begin_ := greatest(lower(stretch), rollups_kept_from(late.series_id));
                continue when begin_ >= upper(stretch);
                end_ := least(upper(stretch), begin_ + interval '1 day');
                perform roll_up(array[late.series_id], begin_, end_, rolled);
                insert into rollup_dirty select late.series_id, end_, upper(stretch) where end_ < upper(stretch);
            end loop;
        end;
    end loop;
    return taken;
end $$;
revoke execute on function touch_rollups, mark_dirty, close_rollups, minutes_of, hours_of, rollups_kept_from, roll_up, roll_up_closed, roll_up_late from public;
grant execute on function touch_rollups to wardlink_ingest, wardlink_worker;
grant execute on function mark_dirty to wardlink_ingest, wardlink_worker;
grant execute on function close_rollups, roll_up_closed, roll_up_late to wardlink_worker;
grant select on rollup_1m, rollup_1h, rollup_state, rollup_dirty to wardlink_worker;

-- Readings of each series within its own stretch of time (where its device was then), gathered into buckets of `width`: from hours and
-- minutes where these are whole, made and not touched since, from the readings themselves elsewhere.
create or replace function observation_buckets(wanted int[], froms timestamptz[], tos timestamptz[], width interval)
returns table (series_id int, bucket timestamptz, lowest double precision, highest double precision, mean double precision, n bigint, unusable bigint)
language sql stable security definer set search_path = public, pg_temp
begin atomic
    with asked as (
        select w.series_id, w.from_time, w.to_time,
               date_trunc('minute', w.from_time + interval '1 minute' - interval '1 microsecond') as from_minute,
               least(date_trunc('minute', w.to_time), (select rolled_until from rollup_state)) as to_minute
          from unnest(wanted, froms, tos) as w (series_id, from_time, to_time)
          join series s on s.series_id = w.series_id and s.tenant_id = current_tenant()
         where w.from_time < w.to_time),
    made as (
        select a.series_id, tstzmultirange(tstzrange(a.from_time, a.to_time)) as whole,
               case when a.from_minute < a.to_minute and extract(epoch from width) % 60 = 0
                    then tstzmultirange(tstzrange(a.from_minute, a.to_minute)) else '{}'::tstzmultirange end
               - coalesce((select range_agg(tstzrange(d.from_time, d.to_time)) from rollup_dirty d
                            where d.series_id = a.series_id and d.from_time < a.to_time and d.to_time > a.from_time), '{}') as minutes
          from asked a),
    pieces as (
        select m.series_id, p.piece, lower(p.piece) as lower_minute, upper(p.piece) as upper_minute,
               date_trunc('hour', lower(p.piece) + interval '1 hour' - interval '1 microsecond', 'UTC') as from_hour,
               date_trunc('hour', upper(p.piece), 'UTC') as to_hour
          from made m cross join lateral unnest(m.minutes) as p (piece)),
    levels as (
        select p.series_id, p.piece,
               case when p.from_hour < p.to_hour and extract(epoch from width) % 3600 = 0
                    then tstzmultirange(tstzrange(p.from_hour, p.to_hour)) else '{}'::tstzmultirange end as hours
          from pieces p),
    gathered as (
        select r.series_id, r.bucket as at, r.lowest, r.highest, r.total, r.n::bigint as n,
               (r.qualities[3] + r.qualities[4] + r.qualities[5] + r.qualities[6] + r.qualities[7])::bigint as unusable
          from levels l cross join lateral unnest(l.hours) as h (piece)
          join rollup_1h r on r.series_id = l.series_id and r.bucket >= lower(h.piece) and r.bucket < upper(h.piece)
        union all
        select r.series_id, r.bucket, r.lowest, r.highest, r.total, r.n,
               r.qualities[3] + r.qualities[4] + r.qualities[5] + r.qualities[6] + r.qualities[7]
          from levels l cross join lateral unnest(tstzmultirange(l.piece) - l.hours) as m (piece)
          join rollup_1m r on r.series_id = l.series_id and r.bucket >= lower(m.piece) and r.bucket < upper(m.piece)
        union all
        select o.series_id, o.time, o.value, o.value, o.value, (o.quality <= 2)::int, (o.quality > 2)::int
          from made m cross join lateral unnest(m.whole - m.minutes) as raw (piece)
         cross join lateral readings(array[m.series_id], lower(raw.piece), upper(raw.piece)) o
         where o.value is not null and o.value <> 'NaN' and abs(o.value) <> 'Infinity')
    select g.series_id, time_bucket(width, g.at),
           min(g.lowest) filter (where g.n > 0), max(g.highest) filter (where g.n > 0),
           sum(g.total) filter (where g.n > 0) / nullif(sum(g.n), 0), sum(g.n)::bigint, sum(g.unusable)::bigint
      from gathered g
     group by 1, 2
     order by 1, 2;
end;
