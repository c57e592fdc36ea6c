-- Putting a device's times right afterwards: what a segment's rows were moved by, by whom and why, and the way back.

-- Of rows that were moved: the segment as the gateway numbered it. Their own has the number of the move, negative, so that rows which
-- come late under the old one are told from those that were moved.
alter table clock_segment add column moved_from int references clock_segment;

-- A model is a correction that stands added to the times as the gateway gave them: seconds at `base`, and drift from there on.
create table retiming (
    retiming_id      int generated always as identity primary key,
    tenant_id        int not null references tenant,
    device_id        int not null references device,
    clock_segment_id int not null references clock_segment,
    base             timestamptz not null,
    shift_us         bigint not null,
    drift_ppm        double precision not null,
    model            text not null check (model in ('stated', 'learned')),
    reason           text not null check (length(reason) between 1 and 400),
    who              text not null,
    at               timestamptz not null default clock_timestamp(),
    observations     bigint not null default 0,
    waveforms        bigint not null default 0,
    gaps             bigint[] not null default '{}',
    from_time        timestamptz,
    to_time          timestamptz,
    undone_at        timestamptz,
    undone_by        text,
    undone_reason    text check (length(undone_reason) between 1 and 400)
);
create index on retiming (device_id);

-- What was concluded from times that were then moved keeps its times, and says so.
alter table alarm_event drop constraint alarm_event_kind_check;
alter table alarm_event add constraint alarm_event_kind_check check (kind in ('detected', 'changed', 'latched', 'ended', 'sent', 'stored',
    'shown', 'heard', 'acknowledged', 'escalated', 'paused', 'retimed', 'retiming_undone'));

-- Called in the transaction of a move, once for where rows of a series were and once for where they are. What is made of observations
-- and kept (rollups) is made anew for that range; trends that are computed when they are asked for need nothing.
create function observations_moved(series int[], from_time timestamptz, to_time timestamptz) returns void
language sql volatile security definer set search_path = public, pg_temp
begin atomic
    select mark_dirty(series, from_time, to_time + interval '1 microsecond');
end;

-- Readies a segment for a move, until the end of the transaction: nothing of its device is sealed meanwhile, and its sealed readings are
-- among the hot ones. Returns how many blocks of samples still hold groups of it: these are opened by hub/store/sealing.py.
create function open_segment(segment int) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    owner  int;
    series int[];
    rates  int[];
begin
    select c.device_id into strict owner from clock_segment c
     where c.clock_segment_id = segment and c.tenant_id = current_tenant();
    select coalesce(array_agg(e.series_id order by e.series_id), '{}') into series
      from source s join series e using (source_id) where s.device_id = owner;
    select coalesce(array_agg(e.stream_id order by e.stream_id), '{}') into rates
      from source s join stream e using (source_id) where s.device_id = owner;
    perform pg_advisory_xact_lock(1465011276, one) from unnest(series) as one;
    perform pg_advisory_xact_lock(1465011277, one) from unnest(rates) as one;
    perform open_observations(b.series_id, b.hour) from observation_block b
      where b.series_id = any (series) and segment = any (b.clock_segment_ids);
    return (select count(*) from waveform_block b where b.stream_id = any (rates) and segment = any (b.clock_segment_ids));
end $$;

-- The series and streams of a device. Rows are found through these: an index by segment would cost each row for a rare act.
create function segment_rows(segment int)
returns table (waveform boolean, id int, rows bigint, from_time timestamptz, to_time timestamptz)
language sql stable security definer set search_path = public, pg_temp as $$
    select false, e.series_id, count(*), min(o.time), max(o.time)
      from clock_segment c join source s using (device_id) join series e using (source_id)
      join lateral (
        select h.time from observation h where h.series_id = e.series_id and h.clock_segment_id = segment
        union all
        select h.time from observation_block b cross join lateral opened(b) h
         where b.series_id = e.series_id and segment = any (b.clock_segment_ids) and h.clock_segment_id = segment) as o on true
     where c.clock_segment_id = segment and c.tenant_id = current_tenant()
     group by e.series_id
    union all
    -- A block that the clock was set in counts as a whole.
    select true, e.stream_id, sum(w.groups), min(w.from_time), max(w.to_time)
      from clock_segment c join source s using (device_id) join stream e using (source_id)
      join lateral (
        select 1 as groups, h.start as from_time, h.start + make_interval(secs => h.n / e.fs_hz) as to_time
          from waveform h where h.stream_id = e.stream_id and h.clock_segment_id = segment
        union all
        select b.groups, b.start, b.until from waveform_block b
         where b.stream_id = e.stream_id and segment = any (b.clock_segment_ids)) as w on true
     where c.clock_segment_id = segment and c.tenant_id = current_tenant()
     group by e.stream_id
$$;

-- Readings of a segment as both clocks showed them, the newest `most`: for learning what the device's clock was worth.
create function segment_clocks(segment int, most int)
returns table (gateway_time timestamptz, device_behind_ms double precision, corrected_by_ms double precision)
language sql stable security definer set search_path = public, pg_temp as $$
    select t.at, t.behind, t.by from (
        select o.time + o.gateway_offset_ms * interval '1 millisecond' as at,
               o.gateway_offset_ms - o.device_offset_ms as behind, -o.device_offset_ms as by
          from clock_segment c join source s using (device_id) join series e using (source_id)
          join lateral (
            select h.* from observation h where h.series_id = e.series_id and h.clock_segment_id = segment
            union all
            select h.* from observation_block b cross join lateral opened(b) h
             where b.series_id = e.series_id and segment = any (b.clock_segment_ids) and h.clock_segment_id = segment) as o on true
         where c.clock_segment_id = segment and c.tenant_id = current_tenant() and o.device_offset_ms is not null
         order by 1 desc limit most) as t
     order by 1
$$;

-- Delete the rows of a segment and insert them with other times and under another segment, in the transaction of the caller; what device
-- and gateway clocks said stays as it was. `sign` 1: by the correction, -1: back.
create function move_segment(segment int, into_segment int, base timestamptz, shift_us bigint, drift_ppm double precision, sign int)
returns table (observations bigint, waveforms bigint)
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    owner  int;
    series int[];
    rates  int[];
begin
    select c.device_id into strict owner from clock_segment c
     where c.clock_segment_id = segment and c.tenant_id = current_tenant();
    perform from clock_segment c where c.clock_segment_id = into_segment and c.device_id = owner and c.tenant_id = current_tenant();
    if not found then
        raise exception 'segment % belongs to another device', into_segment;
    end if;
    select coalesce(array_agg(e.series_id), '{}') into series from source s join series e using (source_id) where s.device_id = owner;
    select coalesce(array_agg(e.stream_id), '{}') into rates from source s join stream e using (source_id) where s.device_id = owner;
    with gone as (
        delete from observation o where o.series_id = any (series) and o.clock_segment_id = segment returning o.*
    ), moved as (
        select gone.*, sign * (shift_us + round(drift_ppm * extract(epoch from
                   gone.time + gone.gateway_offset_ms * interval '1 millisecond' - base))::bigint) as by_us
          from gone
    )
    insert into observation (time, series_id, quality, comparator, value, text_value, device_offset_ms, gateway_offset_ms,
                             uncertainty_ms, clock_segment_id)
    select m.time + m.by_us * interval '1 microsecond', m.series_id, m.quality, m.comparator, m.value, m.text_value,
           m.device_offset_ms - m.by_us / 1000.0, m.gateway_offset_ms - m.by_us / 1000.0, m.uncertainty_ms, into_segment
      from moved m;
    get diagnostics observations = row_count;
    with gone as (
        delete from waveform w where w.stream_id = any (rates) and w.clock_segment_id = segment returning w.*
    ), moved as (
        select gone.*, sign * (shift_us + round(drift_ppm * extract(epoch from
                   gone.start + gone.gateway_offset_ms * interval '1 millisecond' - base))::bigint) as by_us
          from gone
    )
    insert into waveform (start, stream_id, n, first_sample, codec, quality, samples, device_offset_ms, gateway_offset_ms,
                          uncertainty_ms, clock_segment_id)
    select m.start + m.by_us * interval '1 microsecond', m.stream_id, m.n, m.first_sample, m.codec, m.quality, m.samples,
           m.device_offset_ms - m.by_us / 1000.0, m.gateway_offset_ms - m.by_us / 1000.0, m.uncertainty_ms, into_segment
      from moved m;
    get diagnostics waveforms = row_count;
    return next;
end $$;

-- Holes in samples lie between groups of samples, and move with them.
create function move_gaps(device int, known bigint[], from_time timestamptz, to_time timestamptz, by_us bigint)
returns bigint[] language plpgsql security definer set search_path = public, pg_temp as $$
declare
    moved bigint[];
begin
    with done as (
        update gap g set from_time = g.from_time + by_us * interval '1 microsecond', to_time = g.to_time + by_us * interval '1 microsecond'
          from source s
         where s.source_id = g.source_id and s.device_id = device and g.tenant_id = current_tenant() and g.from_sample is not null
           and case when known is null then g.from_time >= move_gaps.from_time and g.to_time <= move_gaps.to_time else g.gap_id = any (known) end
        returning g.gap_id)
    select coalesce(array_agg(done.gap_id), '{}') into moved from done;
    return moved;
end $$;

revoke execute on function observations_moved, open_segment, segment_rows, segment_clocks, move_segment, move_gaps from public;
grant execute on function observations_moved, open_segment, segment_rows, segment_clocks, move_segment, move_gaps to wardlink_web;
grant insert on clock_segment to wardlink_web;
grant select, insert, update (observations, waveforms, gaps, from_time, to_time, undone_at, undone_by, undone_reason) on retiming to wardlink_web;
grant select on retiming to wardlink_ingest, wardlink_worker, wardlink_reporting;
alter table retiming enable row level security;
create policy own_tenant on retiming to wardlink_web, wardlink_reporting using (tenant_id = current_tenant());
create policy all_tenants on retiming to wardlink_ingest, wardlink_worker using (true);
