-- The bed page: notes of those who care for the patient, and readings gathered into buckets.

-- Append-only: a note that was wrong is followed by another. at: the moment that it is about; who: `user:12`.
create table note (
    note_id          bigint generated always as identity primary key,
    tenant_id        int not null references tenant,
    point_of_care_id int not null references point_of_care,
    patient_id       int references patient,
    at               timestamptz not null,
    who              text not null,
    text             text not null check (length(text) between 1 and 2000),
    written_at       timestamptz not null default clock_timestamp()
);
create index on note (tenant_id, patient_id, at);
create index on note (tenant_id, point_of_care_id, at);

grant select, insert on note to wardlink_web;
grant select on note to wardlink_worker;
alter table note enable row level security;
create policy own_tenant on note to wardlink_web using (tenant_id = current_tenant());
create policy all_tenants on note to wardlink_worker using (true);

-- Readings of each series within its own stretch of time (where its device was then), gathered into buckets of `width`.
-- What its device called unusable (quality above 2: lead off, flat, saturated, noise, unusable) is counted, not averaged.
create function observation_buckets(wanted int[], froms timestamptz[], tos timestamptz[], width interval)
returns table (series_id int, bucket timestamptz, lowest double precision, highest double precision, mean double precision, n bigint, unusable bigint)
language sql stable security definer set search_path = public, pg_temp
begin atomic
    select w.series_id, time_bucket(width, o.time),
           min(o.value) filter (where o.quality <= 2), max(o.value) filter (where o.quality <= 2), avg(o.value) filter (where o.quality <= 2),
           count(o.value) filter (where o.quality <= 2), count(*) filter (where o.quality > 2)
      from unnest(wanted, froms, tos) as w (series_id, from_time, to_time)
      join series s on s.series_id = w.series_id and s.tenant_id = current_tenant()
      join observation o on o.series_id = w.series_id and o.time >= w.from_time and o.time < w.to_time
     where o.value is not null and o.value <> 'NaN' and abs(o.value) <> 'Infinity'
     group by 1, 2
     order by 1, 2;
end;

-- The first group of each step of time: enough to tell how a patient lay, without reading every sample.
create function sample_waveforms(wanted int[], from_time timestamptz, to_time timestamptz, every interval)
returns setof waveform language sql stable security definer set search_path = public, pg_temp
begin atomic
    select w.*
      from stream s
     cross join generate_series(from_time, to_time - interval '1 microsecond', every) as step
     cross join lateral (
        select * from waveform x
         where x.stream_id = s.stream_id and x.start >= step and x.start < least(step + every, to_time)
         order by x.start limit 1) as w
     where s.stream_id = any (wanted) and s.tenant_id = current_tenant();
end;
revoke execute on function observation_buckets, sample_waveforms from public;
grant execute on function observation_buckets, sample_waveforms to wardlink_web;
