-- The SQL of ingest. Rows of time series go in by COPY (pgcopy.py).

-- name: gateway_of_certificate
select t.tenant_id, g.gateway_id, g.revoked_at is not null, c.revoked_at is not null, g.forwards
  from gateway_certificate c
  join gateway g using (gateway_id)
  join tenant t on t.tenant_id = g.tenant_id
 where c.fingerprint = %(fingerprint)s and t.name = %(tenant)s and g.name = %(gateway)s

-- name: standing
select c.fingerprint, g.revoked_at is not null, c.revoked_at is not null, c.not_after <= now()
  from gateway_certificate c
  join gateway g using (gateway_id)
 where c.fingerprint = any (%(fingerprints)s)

-- name: positions
select lane, cumulative, stored, newest, newest_closed_ns from lane_position where gateway_id = %(gateway)s and epoch = %(epoch)s

-- name: lock_position
select cumulative, stored, reopened from lane_position
 where gateway_id = %(gateway)s and epoch = %(epoch)s and lane = %(lane)s
   for update

-- name: lock_positions
select p.gateway_id, p.epoch, p.lane, p.cumulative, p.stored, p.reopened
  from unnest(%(gateways)s::int[], %(epochs)s::bytea[], %(lanes)s::smallint[]) as wanted (gateway_id, epoch, lane)
  join lane_position p using (gateway_id, epoch, lane)
 order by p.gateway_id, p.epoch, p.lane
   for update of p

-- name: make_positions
insert into lane_position (gateway_id, epoch, lane, tenant_id, cumulative, stored)
select gateway_id, epoch, lane, tenant_id, 0, '{}'
  from unnest(%(gateways)s::int[], %(epochs)s::bytea[], %(lanes)s::smallint[], %(tenants)s::int[]) as made (gateway_id, epoch, lane, tenant_id)
on conflict do nothing

-- name: write_position
update lane_position set cumulative = %(cumulative)s, stored = %(stored)s, reopened = %(reopened)s, updated_at = now()
 where gateway_id = %(gateway)s and epoch = %(epoch)s and lane = %(lane)s

-- name: write_positions
update lane_position p
   set cumulative = n.cumulative, stored = n.stored::int8multirange, reopened = n.reopened::int8multirange,
       newest = greatest(p.newest, n.newest), newest_closed_ns = case when n.newest > p.newest then n.newest_closed_ns else p.newest_closed_ns end,
       updated_at = now()
  from unnest(%(gateways)s::int[], %(epochs)s::bytea[], %(lanes)s::smallint[], %(cumulative)s::bigint[], %(stored)s::text[],
              %(reopened)s::text[], %(newest)s::bigint[], %(newest_closed_ns)s::bigint[])
       as n (gateway_id, epoch, lane, cumulative, stored, reopened, newest, newest_closed_ns)
 where p.gateway_id = n.gateway_id and p.epoch = n.epoch and p.lane = n.lane

-- name: resend_requests
select resend_request_id, gateway_id, lane, from_time, to_time from resend_request
 where answered_at is null and (%(gateway)s::int is null or gateway_id = %(gateway)s)
 order by resend_request_id

-- name: resend_answered
update resend_request set answered_at = now(), batches = %(batches)s, kept_from = %(kept_from)s
 where resend_request_id = %(request)s and gateway_id = %(gateway)s and lane = %(lane)s and answered_at is null
returning true

-- name: configurations
select distinct on (c.gateway_id) c.gateway_configuration_id, c.gateway_id, c.version, c.toml, c.state
  from gateway_configuration_now c
 where c.gateway_id = any(%(gateways)s) and c.state not in ('refused', 'rolled_back')
   and (c.state = 'applied'
        or c.version = (select max(n.version) from gateway_configuration n where n.gateway_id = c.gateway_id))
 order by c.gateway_id, c.version desc

-- name: configuration_state
insert into gateway_configuration_event (tenant_id, gateway_configuration_id, state, reason)
select tenant_id, gateway_configuration_id, %(state)s, %(reason)s from gateway_configuration
 where gateway_configuration_id = %(configuration)s

-- name: configuration_answered
insert into gateway_configuration_event (tenant_id, gateway_configuration_id, state, reason)
select c.tenant_id, c.gateway_configuration_id, %(state)s, %(reason)s from gateway_configuration_now c
 where c.gateway_id = %(gateway)s and c.version = %(version)s and c.state <> %(state)s
returning true

-- Where rows that come again may lie since they were moved (re-timing, decision 0137): of each segment among them every segment that its
-- rows went on to, with the sum of the moves as one line. A move that was taken back counts too: a later one may still hold its rows.
-- name: moves_again
with recursive move as (
    select r.clock_segment_id as segment, m.clock_segment_id as into_segment, r.base, r.shift_us::float8 as shift_us, r.drift_ppm
      from retiming r
      join clock_segment c using (clock_segment_id)
      join clock_segment m on m.device_id = c.device_id and m.gateway_id = c.gateway_id and m.epoch = c.epoch and m.number = -r.retiming_id::bigint),
path as (
    select segment, into_segment, base, shift_us, drift_ppm from move
     where segment in (select clock_segment_id from observation_again union select clock_segment_id from waveform_again)
    union all
    select p.segment, m.into_segment, p.base, p.shift_us + m.shift_us + m.drift_ppm * extract(epoch from p.base - m.base), p.drift_ppm + m.drift_ppm
      from path p join move m on m.segment = p.into_segment)
select segment, into_segment, base, shift_us, drift_ppm from path

-- Ten microseconds: each move has rounded to one.
-- name: known_moved_observations
with moved as (
    select a.ctid as id, a.series_id, a.value, a.text_value, a.comparator, m.into_segment,
           a.time + (m.shift_us + m.drift_ppm * extract(epoch from a.time + a.gateway_offset_ms * interval '1 millisecond' - m.base))
                  * interval '1 microsecond' as time
      from observation_again a
      join unnest(%(segments)s::int[], %(into)s::int[], %(bases)s::timestamptz[], %(shifts_us)s::float8[], %(drifts_ppm)s::float8[])
        as m (segment, into_segment, base, shift_us, drift_ppm) on m.segment = a.clock_segment_id),
place as (
    select *, time - interval '10 microseconds' as from_time, time + interval '10 microseconds' as to_time from moved)
delete from observation_again a using place p
 where a.ctid = p.id
   and (exists (
        select from observation o
         where o.series_id = p.series_id and o.time between p.from_time and p.to_time and o.clock_segment_id = p.into_segment
           and o.value is not distinct from p.value and o.text_value is not distinct from p.text_value
           and o.comparator is not distinct from p.comparator)
    or exists (
        select from observation_block b cross join lateral opened(b) o
         where b.series_id = p.series_id and b.hour in (date_trunc('hour', p.from_time, 'UTC'), date_trunc('hour', p.to_time, 'UTC'))
           and p.into_segment = any (b.clock_segment_ids)
           and o.time between p.from_time and p.to_time and o.clock_segment_id = p.into_segment
           and o.value is not distinct from p.value and o.text_value is not distinct from p.text_value
           and o.comparator is not distinct from p.comparator))

-- What another segment has at the same time is another row: a move may have put it there.
-- name: missing_observations
insert into observation (time, series_id, quality, gateway_offset_ms, uncertainty_ms, value, device_offset_ms, clock_segment_id, comparator, text_value)
select time, series_id, quality, gateway_offset_ms, uncertainty_ms, value, device_offset_ms, clock_segment_id, comparator, text_value from observation_again a
 where not exists (
    select from observation o
     where o.series_id = a.series_id and o.time = a.time and o.value is not distinct from a.value
       and o.text_value is not distinct from a.text_value and o.comparator is not distinct from a.comparator
       and o.clock_segment_id is not distinct from a.clock_segment_id)
   and not exists (
    select from observation_block b cross join lateral opened(b) o
     where b.series_id = a.series_id and b.hour = date_trunc('hour', a.time, 'UTC') and o.time = a.time and o.value is not distinct from a.value
       and o.text_value is not distinct from a.text_value and o.comparator is not distinct from a.comparator
       and o.clock_segment_id is not distinct from a.clock_segment_id)

-- The stretches of streams in which groups that come again may lie, where the gateway had them and where they were moved to.
-- name: streams_again
select stream_id, min(start), max(start) + interval '1 microsecond' from waveform_again group by stream_id
union all
select stream_id, min(start) - interval '10 microseconds', max(start) + interval '11 microseconds'
  from (
    select a.stream_id, m.into_segment,
           a.start + (m.shift_us + m.drift_ppm * extract(epoch from a.start + a.gateway_offset_ms * interval '1 millisecond' - m.base))
                   * interval '1 microsecond' as start
      from waveform_again a
      join unnest(%(segments)s::int[], %(into)s::int[], %(bases)s::timestamptz[], %(shifts_us)s::float8[], %(drifts_ppm)s::float8[])
        as m (segment, into_segment, base, shift_us, drift_ppm) on m.segment = a.clock_segment_id) as moved
 group by stream_id, into_segment
 order by stream_id

-- name: known_moved_waveforms
delete from waveform_again a
 using unnest(%(segments)s::int[], %(into)s::int[], %(bases)s::timestamptz[], %(shifts_us)s::float8[], %(drifts_ppm)s::float8[])
    as m (segment, into_segment, base, shift_us, drift_ppm)
 where m.segment = a.clock_segment_id and exists (
    select from waveform w
     where w.stream_id = a.stream_id and w.first_sample = a.first_sample and w.n = a.n and w.clock_segment_id = m.into_segment
       and w.start - (a.start + (m.shift_us + m.drift_ppm * extract(epoch from a.start + a.gateway_offset_ms * interval '1 millisecond' - m.base))
                              * interval '1 microsecond') between interval '-10 microseconds' and interval '10 microseconds')

-- name: missing_waveforms
insert into waveform (start, stream_id, n, first_sample, codec, gateway_offset_ms, uncertainty_ms, device_offset_ms, clock_segment_id, quality, samples)
select start, stream_id, n, first_sample, codec, gateway_offset_ms, uncertainty_ms, device_offset_ms, clock_segment_id, quality, samples from waveform_again a
 where not exists (
    select from waveform w
     where w.stream_id = a.stream_id and w.start = a.start and w.first_sample = a.first_sample and w.n = a.n
       and w.clock_segment_id is not distinct from a.clock_segment_id)

-- name: forget_observations_again
delete from observation_again

-- name: forget_waveforms_again
delete from waveform_again

-- A hole in samples is moved as a whole, by what the move is at the begin of what was moved; the moves tell which holes they took along.
-- name: has_gap
select from gap where source_id = %(source)s and gateway_id = %(gateway)s and from_time = %(from_time)s and to_time = %(to_time)s
   and from_sample is not distinct from %(from_sample)s and reason = %(reason)s
union all
select from source s
  join retiming r on r.device_id = s.device_id and r.undone_at is null
 cross join unnest(r.gaps) as taken (gap_id)
  join gap g on g.gap_id = taken.gap_id and g.source_id = s.source_id
 cross join lateral (
    select sum(a.shift_us + a.drift_ppm * extract(epoch from coalesce(a.from_time, a.base) - a.base)) * interval '1 microsecond' as moved
      from retiming a
     where a.device_id = s.device_id and a.undone_at is null and g.gap_id = any (a.gaps)) as by
 where s.source_id = %(source)s and g.gateway_id = %(gateway)s and g.from_sample = %(from_sample)s and g.reason = %(reason)s
   and g.to_time - g.from_time = %(to_time)s::timestamptz - %(from_time)s::timestamptz
   and g.from_time - by.moved - %(from_time)s::timestamptz between interval '-10 microseconds' and interval '10 microseconds'
 limit 1

-- name: has_device_event
select from device_event where source_id = %(source)s and gateway_id = %(gateway)s and time = %(time)s and code = %(code)s
   and params = %(params)s and text = %(text)s limit 1

-- name: has_subject_claim
select from subject_claim where source_id = %(source)s and gateway_id = %(gateway)s and time = %(time)s and sealed = %(sealed)s limit 1

-- name: has_document
select from document where source_id = %(source)s and gateway_id = %(gateway)s and time = %(time)s and sha256 = %(sha256)s limit 1

-- name: has_quarantine
select from quarantine where gateway_id = %(gateway)s and epoch = %(epoch)s and lane = %(lane)s and n = %(n)s and record_index = %(index)s
 limit 1

-- Ids are looked for before they are made: an insert that conflicts uses a number up, and there are two thousand million of them.

-- name: device
with known as (
    select device_id from device where tenant_id = %(tenant)s and name = %(name)s),
made as (
    insert into device (tenant_id, name, gateway_id) select %(tenant)s, %(name)s, %(gateway)s where not exists (select from known)
    on conflict (tenant_id, name) do nothing returning device_id),
moved as (
    update device set gateway_id = %(gateway)s
     where tenant_id = %(tenant)s and name = %(name)s and gateway_id is distinct from %(gateway)s)
select device_id from known union all select device_id from made

-- name: source
with known as (
    select source_id from source where tenant_id = %(tenant)s and path = %(path)s),
made as (
    insert into source (tenant_id, device_id, path) select %(tenant)s, %(device)s, %(path)s where not exists (select from known)
    on conflict (tenant_id, path) do nothing returning source_id)
select source_id from known union all select source_id from made

-- name: series
with known as (
    select series_id from series
     where source_id = %(source)s and code = %(code)s and site = %(site)s and unit = %(unit)s
       and averaging_ns = %(averaging)s and value_kind = %(kind)s),
made as (
    insert into series (tenant_id, source_id, code, site, unit, averaging_ns, value_kind)
    select %(tenant)s, %(source)s, %(code)s, %(site)s, %(unit)s, %(averaging)s, %(kind)s where not exists (select from known)
    on conflict (source_id, code, site, unit, averaging_ns, value_kind) do nothing returning series_id)
select series_id from known union all select series_id from made

-- name: stream
with known as (
    select stream_id from stream
     where source_id = %(source)s and leads = %(leads)s and fs_hz = %(fs_hz)s and dtype = %(dtype)s
       and gains = %(gains)s and offsets = %(offsets)s and units = %(units)s),
made as (
    insert into stream (tenant_id, source_id, leads, fs_hz, dtype, gains, offsets, units)
    select %(tenant)s, %(source)s, %(leads)s, %(fs_hz)s, %(dtype)s, %(gains)s, %(offsets)s, %(units)s where not exists (select from known)
    on conflict (source_id, leads, fs_hz, dtype, gains, offsets, units) do nothing returning stream_id)
select stream_id from known union all select stream_id from made

-- name: clock_segment
with known as (
    select clock_segment_id from clock_segment
     where device_id = %(device)s and gateway_id = %(gateway)s and epoch = %(epoch)s and number = %(number)s),
made as (
    insert into clock_segment (tenant_id, device_id, gateway_id, epoch, number)
    select %(tenant)s, %(device)s, %(gateway)s, %(epoch)s, %(number)s where not exists (select from known)
    on conflict (device_id, gateway_id, epoch, number) do nothing returning clock_segment_id)
select clock_segment_id from known union all select clock_segment_id from made

-- What a gateway that comes back will say again; a device without sources has one row.
-- name: known_series
select d.name, d.device_id, p.path, p.source_id, s.code, s.site, s.unit, s.averaging_ns, s.value_kind, s.series_id
  from device d
  left join source p using (device_id)
  left join series s using (source_id)
 where d.tenant_id = %(tenant)s and d.gateway_id = %(gateway)s
 limit %(most)s

-- name: known_segments
select d.name, c.number, c.clock_segment_id
  from device d
 cross join lateral (
    select number, clock_segment_id from clock_segment c
     where c.device_id = d.device_id and c.gateway_id = %(gateway)s and c.epoch = %(epoch)s
     order by number desc limit 1) c
 where d.tenant_id = %(tenant)s and d.gateway_id = %(gateway)s
 limit %(most)s

-- name: rollups_closed
select rollups_closed()

-- name: touch_rollups
select touch_rollups(%(series)s::int[], %(from)s::bigint[], %(to)s::bigint[])

-- name: gap
insert into gap (tenant_id, source_id, gateway_id, from_time, to_time, from_sample, to_sample, reason, recoverable)
values (%(tenant)s, %(source)s, %(gateway)s, %(from_time)s, %(to_time)s, %(from_sample)s, %(to_sample)s, %(reason)s, %(recoverable)s)

-- name: device_event
insert into device_event (tenant_id, source_id, gateway_id, time, device_time, code, params, text)
values (%(tenant)s, %(source)s, %(gateway)s, %(time)s, %(device_time)s, %(code)s, %(params)s, %(text)s)

-- name: subject_claim
insert into subject_claim (tenant_id, source_id, gateway_id, time, key_id, sealed)
values (%(tenant)s, %(source)s, %(gateway)s, %(time)s, %(key_id)s, %(sealed)s)

-- name: document
insert into document (tenant_id, source_id, gateway_id, time, sha256, media_type, content)
values (%(tenant)s, %(source)s, %(gateway)s, %(time)s, %(sha256)s, %(media_type)s, %(content)s)

-- name: quarantine
insert into quarantine (tenant_id, gateway_id, epoch, lane, n, record_index, reason, detail, said, bytes, device, source, kind, field)
values (%(tenant)s, %(gateway)s, %(epoch)s, %(lane)s, %(n)s, %(index)s, %(reason)s, %(detail)s, %(said)s, %(bytes)s,
        %(device)s, %(source)s, %(kind)s, %(field)s)

-- name: placement_version
select coalesce((select version from placement_version where tenant_id = %(tenant)s), 0)

-- name: placed_beds
select w.slug || '/' || p.bed, array_agg(d.name order by d.name), x.pseudonym::text, x.birth_date, coalesce(x.paced, false),
       coalesce((select jsonb_agg(jsonb_build_array(l.code, l.unit, l.low, l.high) order by l.code)
                   from limit_in_force l where l.point_of_care_id = p.point_of_care_id), '[]')
  from device_association a
  join device d using (device_id)
  join point_of_care p using (point_of_care_id)
  join ward w using (ward_id)
  left join patient_association pa on pa.point_of_care_id = p.point_of_care_id and pa.during @> now()
  left join patient x on x.patient_id = pa.patient_id
 where a.tenant_id = %(tenant)s and a.during @> now() and (d.gateway_id = %(gateway)s or d.gateway_id is null)
 group by w.slug, p.point_of_care_id, p.bed, x.patient_id
 order by w.slug, p.bed

-- name: critical_in_force
select version, items from critical_in_force where tenant_id = %(tenant)s and items is not null

-- name: critical_applied
insert into critical_applied (gateway_id, tenant_id, version, refused, refused_item)
values (%(gateway)s, %(tenant)s, %(version)s, %(refused)s, %(item)s)
on conflict (gateway_id) do update set version = excluded.version, refused = excluded.refused, refused_item = excluded.refused_item,
    applied_at = excluded.applied_at

-- An agent of an earlier version was put back.
-- name: critical_unknown
delete from critical_applied where gateway_id = %(gateway)s

-- name: limits_all_watched
delete from limit_refusal where gateway_id = %(gateway)s

-- name: limits_refused
insert into limit_refusal (gateway_id, point_of_care_id, code, tenant_id, reason)
select %(gateway)s, f.point_of_care_id, f.code, f.tenant_id, r.reason
  from unnest(%(points)s::text[], %(codes)s::text[], %(reasons)s::text[]) as r (point_of_care, code, reason)
  join ward w on w.tenant_id = %(tenant)s and w.slug = split_part(r.point_of_care, '/', 1)
  join point_of_care p on p.ward_id = w.ward_id and p.bed = substr(r.point_of_care, length(w.slug) + 2)
  join limit_in_force f on f.point_of_care_id = p.point_of_care_id and f.code = r.code
on conflict do nothing

-- name: acknowledged_alarms
select gateway_id, alarm_id from alarm
 where acknowledged_at is not null and presence <> 'ended' and (%(tenant)s::int is null or tenant_id = %(tenant)s)

-- name: admission
select admission = 'admitted',
       (select count(*) from quarantine where tenant_id = %(tenant)s and device = %(name)s and state in ('held', 'releasing')),
       gateway_id
  from device where device_id = %(device)s

-- name: told
update device set
       make = coalesce(nullif(%(make)s, ''), make), model = coalesce(nullif(%(model)s, ''), model),
       serial = coalesce(nullif(%(serial)s, ''), serial), firmware = coalesce(nullif(%(firmware)s, ''), firmware),
       door = coalesce(nullif(%(door)s, ''), door),
       admission = case when %(listed)s and admission = 'waiting' then 'admitted' else admission end,
       admitted_at = case when %(listed)s and admission = 'waiting' then now() else admitted_at end,
       admitted_by = case when %(listed)s and admission = 'waiting' then 'gateway settings' else admitted_by end
 where tenant_id = %(tenant)s and name = %(device)s

-- name: heard
with known as (
    select d.device_id, h.at
      from unnest(%(tenants)s::int[], %(devices)s::text[], %(at)s::timestamptz[]) as h (tenant_id, name, at)
      join device d using (tenant_id, name)
     order by d.tenant_id, d.name collate "C"
       for no key update of d)
update device d set last_seen = greatest(d.last_seen, known.at) from known where d.device_id = known.device_id and known.at is not null

-- name: battery
update device set battery_percent = %(percent)s, battery_at = %(at)s
 where tenant_id = %(tenant)s and name = %(device)s and (battery_at is null or battery_at <= %(at)s)

-- name: refused
update device set refused = refused + %(records)s, refused_at = now() where tenant_id = %(tenant)s and name = %(device)s

-- name: to_release
select q.quarantine_id, q.tenant_id, q.gateway_id, g.name, q.epoch, q.lane, q.n, q.record_index, q.bytes
  from quarantine q
  join gateway g using (gateway_id)
 where q.state = 'releasing'
    or (q.state = 'held' and q.reason = 'device_not_admitted'
        and exists (select from device d where d.tenant_id = q.tenant_id and d.name = q.device and d.admission = 'admitted'))
 order by q.quarantine_id
 limit %(limit)s
   for update of q skip locked

-- name: released
update quarantine set state = 'released', note = '', decided_at = coalesce(decided_at, now()), decided_by = coalesce(decided_by, 'admission')
 where quarantine_id = %(id)s

-- name: not_released
update quarantine set state = 'held', reason = %(reason)s, detail = %(note)s, said = %(said)s, note = %(note)s where quarantine_id = %(id)s

-- name: gateway_status
update gateway set status = %(status)s, status_at = %(at)s where gateway_id = %(gateway)s and (status_at is null or status_at <= %(at)s)

-- name: throttle
update gateway set throttled_since = case when %(holds)s then coalesce(throttled_since, now()) end,
                   throttled_until = case when %(holds)s then throttled_until else now() end
 where gateway_id = %(gateway)s

-- name: throttles_end
update gateway set throttled_since = null, throttled_until = now() where throttled_since is not null

-- name: throttle_event
insert into device_event (tenant_id, source_id, gateway_id, time, code, params, text)
values (%(tenant)s, %(source)s, %(gateway)s, now(), %(code)s, %(params)s, '')

-- name: flooding
update device set flooding_since = case when %(holds)s then %(at)s::timestamptz end, flooded_at = %(at)s
 where tenant_id = %(tenant)s and name = %(device)s and (flooded_at is null or flooded_at <= %(at)s)

-- name: traces_asked
select t.trace_id, t.tenant_id, t.device, extract(epoch from t.ends_at - now()), d.gateway_id
  from trace t left join device d on d.tenant_id = t.tenant_id and d.name = t.device
 where (t.told is null or not t.told ? 'kind') and t.ends_at > now() order by t.trace_id desc limit %(limit)s

-- name: trace_asked_of
update trace set told = jsonb_build_object('asked_of', %(version)s::text, 'tells', %(tells)s::bool)
 where trace_id = %(id)s and told is null

-- name: trace_told
update trace set told = coalesce(told, '{}') || %(told)s where trace_id = %(id)s and (told is null or not told ? 'kind')

-- name: trace_acknowledged
update trace set told = told || jsonb_build_object('acknowledged_ns', %(at)s::bigint)
 where trace_id = %(id)s and tenant_id = %(tenant)s and told ->> 'gateway' = %(gateway)s and not told ? 'acknowledged_ns'

-- name: offered
insert into gateway_offer (gateway_id, tenant_id, ledger, devices) values (%(gateway)s, %(tenant)s, %(ledger)s, %(devices)s)
on conflict (gateway_id) do update set ledger = excluded.ledger, devices = excluded.devices, told_at = clock_timestamp()

-- name: device_commands
-- What is not ended of these gateways, the eldest first; ms: how long it may still be begun.
select c.device_command_id, c.gateway_id, c.tenant_id, d.name, c.code, c.parameters, c.state, coalesce(c.ledger, ''::bytea),
       greatest(0, extract(epoch from c.deadline - clock_timestamp()) * 1000)::bigint as ms
  from device_command_now c
  join device d on d.device_id = c.device_id
 where c.gateway_id = any(%(gateways)s) and (c.state = 'asked' or (%(again)s and c.state = 'sent'))
 order by c.asked_at, c.device_command_id

-- name: device_command_state
insert into device_command_event (tenant_id, device_command_id, state, reason, details, seen, ledger)
select c.tenant_id, c.device_command_id, %(state)s, %(reason)s, %(details)s, %(seen)s, %(ledger)s
  from device_command c
 where c.device_command_id = %(command)s and c.gateway_id = %(gateway)s
on conflict do nothing
returning true

-- name: device_commands_overdue
-- What its gateway never got in time, and what a gateway that was revoked will never answer.
select c.device_command_id, c.gateway_id, c.tenant_id, c.state, g.revoked_at is not null
  from device_command_now c
  join gateway g on g.gateway_id = c.gateway_id
 where c.state in ('asked', 'sent') and ((c.state = 'asked' and c.deadline < clock_timestamp()) or g.revoked_at is not null)
   and c.asked_at > now() - interval '30 days'
 order by c.asked_at limit 1000
