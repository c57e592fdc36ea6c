-- The hub's first tables: tenants, gateways and devices, time series, alarms, quarantine, audit; who may do what with them.
-- Apache edition of TimescaleDB only. Every relational table has tenant_id; row security keeps web and reporting to one tenant.

create function current_tenant() returns int language sql stable
return nullif(current_setting('wardlink.tenant', true), '')::int;

create table tenant (
    tenant_id  int generated always as identity primary key,
    name       text not null unique check (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    title      text not null default '',
    created_at timestamptz not null default now()
);
insert into tenant (name) values ('default');

-- Gateways, their certificates and the one-time tokens by which they enrol.
create table gateway (
    gateway_id     int generated always as identity primary key,
    tenant_id      int not null references tenant,
    name           text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),
    created_at     timestamptz not null default now(),
    revoked_at     timestamptz,
    revoked_reason text,
    unique (tenant_id, name)
);

-- Tells ingest, which cuts the gateway's streams off.
create function gateway_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('gateway', new.gateway_id::text);
    return null;
end $$;
create trigger gateway_changed after update of revoked_at on gateway for each row execute function gateway_changed();

create table gateway_certificate (
    serial      text primary key,
    tenant_id   int not null references tenant,
    gateway_id  int not null references gateway,
    fingerprint bytea not null unique check (length(fingerprint) = 32),
    not_before  timestamptz not null,
    not_after   timestamptz not null,
    issued_at   timestamptz not null default now(),
    revoked_at  timestamptz
);
create index on gateway_certificate (gateway_id);

create table enrolment_token (
    token_hash bytea primary key check (length(token_hash) = 32),
    tenant_id  int not null references tenant,
    gateway_id int not null references gateway,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at    timestamptz
);
create index on enrolment_token (gateway_id);

-- Devices and what they measure. A source is a device with its MDS/VMD/channel path.
create table device (
    device_id  int generated always as identity primary key,
    tenant_id  int not null references tenant,
    name       text not null,
    gateway_id int references gateway,
    first_seen timestamptz not null default now(),
    unique (tenant_id, name)
);

create table source (
    source_id int generated always as identity primary key,
    tenant_id int not null references tenant,
    device_id int not null references device,
    path      text not null,
    unique (tenant_id, path)
);
create index on source (device_id);

create table series (
    series_id    int generated always as identity primary key,
    tenant_id    int not null references tenant,
    source_id    int not null references source,
    code         text not null,
    site         text not null,
    unit         text not null,
    averaging_ns bigint not null,
    value_kind   text not null check (value_kind in ('number', 'text', 'coded')),
    unique (source_id, code, site, unit, averaging_ns, value_kind)
);

-- What samples mean: constant while a device measures in one way, so that a stored group need not repeat it.
create table stream (
    stream_id int generated always as identity primary key,
    tenant_id int not null references tenant,
    source_id int not null references source,
    leads     text[] not null,
    fs_hz     double precision not null,
    dtype     text not null check (dtype in ('<i2', '<i4')),
    gains     double precision[] not null,
    offsets   double precision[] not null,
    units     text[] not null,
    unique (source_id, leads, fs_hz, dtype, gains, offsets, units)
);

-- A stretch of a device's clock without a step, as the gateway numbered it.
create table clock_segment (
    clock_segment_id int generated always as identity primary key,
    tenant_id        int not null references tenant,
    device_id        int not null references device,
    gateway_id       int not null references gateway,
    epoch            bytea not null,
    number           bigint not null,
    first_seen       timestamptz not null default now(),
    unique (device_id, gateway_id, epoch, number)
);

-- Time series. No unique index: positions make it exactly once, so COPY goes straight in. `time` and `start` are the
-- corrected time, else the gateway's; what device and gateway clocks said is kept as the difference to it.
-- quality: 1 good, 2 questionable, 3 lead off, 4 flat, 5 saturated, 6 noise, 7 unusable (device_package.proto).
create table observation (
    time              timestamptz not null,
    series_id         int not null,
    quality           smallint not null,
    comparator        text,
    value             double precision,
    text_value        text,
    device_offset_ms  double precision,
    gateway_offset_ms double precision not null,
    uncertainty_ms    real not null,
    clock_segment_id  int
);
select create_hypertable('observation', by_range('time', interval '1 day'), create_default_indexes => false);
create index observation_series on observation (series_id, time desc);

-- samples: by `codec` (device_package.proto), little-endian, shape (leads, n); quality: one byte a lead, empty if not assessed.
create table waveform (
    start             timestamptz not null,
    stream_id         int not null,
    n                 int not null,
    first_sample      bigint not null,
    codec             smallint not null,
    quality           bytea not null,
    samples           bytea not null,
    device_offset_ms  double precision,
    gateway_offset_ms double precision not null,
    uncertainty_ms    real not null,
    clock_segment_id  int
);
alter table waveform alter column samples set storage external;
select create_hypertable('waveform', by_range('start', interval '6 hours'), create_default_indexes => false);
create index waveform_stream on waveform (stream_id, start desc);

create table gap (
    gap_id      bigint generated always as identity primary key,
    tenant_id   int not null references tenant,
    source_id   int not null references source,
    gateway_id  int not null references gateway,
    from_time   timestamptz not null,
    to_time     timestamptz not null check (to_time >= from_time),
    from_sample bigint,
    to_sample   bigint,
    reason      text not null,
    recoverable boolean not null,
    stored_at   timestamptz not null default clock_timestamp()
);
create index on gap (source_id, from_time);

create table device_event (
    device_event_id bigint generated always as identity primary key,
    tenant_id       int not null references tenant,
    source_id       int not null references source,
    gateway_id      int not null references gateway,
    time            timestamptz not null,
    device_time     timestamptz,
    code            text not null,
    params          jsonb not null,
    text            text not null,
    stored_at       timestamptz not null default clock_timestamp()
);
create index on device_event (source_id, time);

create table subject_claim (
    subject_claim_id bigint generated always as identity primary key,
    tenant_id        int not null references tenant,
    source_id        int not null references source,
    gateway_id       int not null references gateway,
    time             timestamptz not null,
    key_id           text not null,
    sealed           bytea not null
);

create table document (
    document_id bigint generated always as identity primary key,
    tenant_id   int not null references tenant,
    source_id   int not null references source,
    gateway_id  int not null references gateway,
    time        timestamptz not null,
    sha256      bytea not null check (length(sha256) = 32),
    media_type  text not null,
    content     bytea not null
);

-- What a gateway has handed over: everything up to `cumulative`, and the ranges stored above it.
create table lane_position (
    gateway_id int not null references gateway,
    epoch      bytea not null check (length(epoch) = 16),
    lane       smallint not null check (lane between 1 and 4),
    tenant_id  int not null references tenant,
    cumulative bigint not null,
    stored     int8multirange not null,
    updated_at timestamptz not null default now(),
    primary key (gateway_id, epoch, lane)
);

-- Where devices and patients are, by interval: joined by time, so that a wrong association is put right without touching a sample.
create table ward (
    ward_id   int generated always as identity primary key,
    tenant_id int not null references tenant,
    slug      text not null check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name      text not null,
    unique (tenant_id, slug)
);

create table point_of_care (
    point_of_care_id int generated always as identity primary key,
    tenant_id        int not null references tenant,
    ward_id          int not null references ward,
    bed              text not null,
    unique (ward_id, bed)
);

create table patient (
    patient_id      int generated always as identity primary key,
    tenant_id       int not null references tenant,
    pseudonym       uuid not null unique default gen_random_uuid(),
    hospital_number text not null,
    name            text not null,
    sex             text not null default 'unknown' check (sex in ('female', 'male', 'other', 'unknown')),
    birth_date      date,
    paced           boolean not null default false,
    unique (tenant_id, hospital_number)
);

create table device_association (
    device_association_id bigint generated always as identity primary key,
    tenant_id             int not null references tenant,
    device_id             int not null references device,
    point_of_care_id      int not null references point_of_care,
    during                tstzrange not null check (not isempty(during)),
    constraint a_device_is_at_one_point_of_care exclude using gist (device_id with =, during with &&)
);
create index on device_association using gist (point_of_care_id, during);

create table patient_association (
    patient_association_id bigint generated always as identity primary key,
    tenant_id              int not null references tenant,
    patient_id             int not null references patient,
    point_of_care_id       int not null references point_of_care,
    during                 tstzrange not null check (not isempty(during)),
    constraint a_patient_is_at_one_point_of_care exclude using gist (patient_id with =, during with &&),
    constraint a_point_of_care_has_one_patient exclude using gist (point_of_care_id with =, during with &&)
);

create table alarm_limit (
    point_of_care_id int not null references point_of_care,
    code             text not null,
    tenant_id        int not null references tenant,
    unit             text not null,
    low              double precision,
    high             double precision,
    primary key (point_of_care_id, code)
);

-- Whatever changes who is where counts the tenant's placement up and tells ingest, which sends it to the gateways.
create table placement_version (
    tenant_id int primary key references tenant,
    version   bigint not null
);

create function placement_changed() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
declare
    changed int := coalesce(new.tenant_id, old.tenant_id);
begin
    insert into placement_version as p (tenant_id, version) values (changed, 1)
    on conflict (tenant_id) do update set version = p.version + 1;
    perform pg_notify('placement', changed::text);
    return null;
end $$;

create trigger placement_changed after insert or update or delete on device_association for each row execute function placement_changed();
create trigger placement_changed after insert or update or delete on patient_association for each row execute function placement_changed();
create trigger placement_changed after insert or update or delete on alarm_limit for each row execute function placement_changed();
create trigger placement_changed after update on patient for each row execute function placement_changed();
create trigger placement_changed after update of gateway_id on device for each row
    when (old.gateway_id is distinct from new.gateway_id) execute function placement_changed();

-- Alarms. `alarm` is who and what, with its latest state for lists; `alarm_event` is the log that nobody changes.
create table alarm (
    tenant_id       int not null references tenant,
    alarm_id        uuid not null,
    source_id       int not null references source,
    gateway_id      int not null references gateway,
    code            text not null,
    kind            text not null check (kind in ('physiological', 'technical')),
    onset           timestamptz not null,
    priority        text not null check (priority in ('high', 'medium', 'low')),
    presence        text not null check (presence in ('present', 'latched', 'ended')),
    params          jsonb not null,
    detected_at     timestamptz not null,
    changed_at      timestamptz not null,
    stored_at       timestamptz not null,
    acknowledged_at timestamptz,
    acknowledged_by text,
    primary key (tenant_id, alarm_id)
);
create index alarm_open on alarm (tenant_id, source_id) where presence <> 'ended' or acknowledged_at is null;
create index on alarm (tenant_id, onset desc);

-- at: when the hop happened (detected: decided at the edge; sent: its batch was closed; stored: written here; shown: painted ...).
-- who: `user:12`, `gateway:ward3`, a client's id; evidence: wardlink.v1.Evidence, with the events that brought one.
create table alarm_event (
    event_id  bigint generated always as identity primary key,
    tenant_id int not null,
    alarm_id  uuid not null,
    kind      text not null check (kind in ('detected', 'changed', 'latched', 'ended', 'sent', 'stored', 'shown', 'heard', 'acknowledged', 'escalated', 'paused')),
    at        timestamptz not null,
    who       text not null default '',
    priority  text,
    presence  text,
    params    jsonb not null default '{}',
    evidence  bytea,
    stored_at timestamptz not null default clock_timestamp(),
    foreign key (tenant_id, alarm_id) references alarm
);
alter table alarm_event alter column evidence set storage external;
create index on alarm_event (tenant_id, event_id);
create index on alarm_event (tenant_id, alarm_id, event_id);

-- Call before inserting events: their ids are then in the order of commits, and a reader that resumes after an id misses none.
create function lock_alarm_log(tenant int) returns void language sql volatile
return pg_advisory_xact_lock(1465011273, tenant);

-- Tells every reader that the tenant's log has grown; the id is read from the log.
create function alarm_log_grew() returns trigger language plpgsql as $$
begin
    perform pg_notify('alarm_event', tenant_id::text) from (select distinct tenant_id from fresh) as t;
    return null;
end $$;
create trigger alarm_log_grew after insert on alarm_event referencing new table as fresh
    for each statement execute function alarm_log_grew();

-- What could not be stored, with its bytes and the reason, until somebody decides.
create table quarantine (
    quarantine_id bigint generated always as identity primary key,
    tenant_id     int not null references tenant,
    gateway_id    int not null references gateway,
    epoch         bytea not null,
    lane          smallint not null,
    n             bigint not null,
    record_index  int not null,
    reason        text not null,
    detail        text not null,
    bytes         bytea not null,
    state         text not null default 'held' check (state in ('held', 'released', 'discarded')),
    received_at   timestamptz not null default clock_timestamp()
);
create index on quarantine (tenant_id, received_at);

-- Audit: append-only by rights (only the function writes), and chained, so that a change behind the rights' back shows.
create table audit_writer (
    writer    text primary key,
    last_seq  bigint not null,
    last_hash bytea not null
);

create table audit (
    writer      text not null references audit_writer,
    seq         bigint not null,
    prev_hash   bytea not null,
    hash        bytea not null,
    body        text not null,
    tenant_id   int,
    at          timestamptz not null,
    principal   text not null,
    action      text not null,
    target      text not null,
    outcome     text not null,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (writer, seq)
);
create index on audit (tenant_id, at);
create index on audit (tenant_id, target, at);

create function audit_append(instance text, body text) returns bigint language plpgsql security definer set search_path = public, pg_temp as $$
declare
    head   audit_writer;
    parsed jsonb := body::jsonb;
    digest bytea;
begin
    insert into audit_writer values (session_user || ':' || instance, 0, decode(repeat('00', 32), 'hex')) on conflict do nothing;
    select * into head from audit_writer where writer = session_user || ':' || instance for update;
    digest := sha256(head.last_hash || int8send(head.last_seq + 1) || convert_to(head.writer || E'\n' || body, 'UTF8'));
    insert into audit (writer, seq, prev_hash, hash, body, tenant_id, at, principal, action, target, outcome)
    values (head.writer, head.last_seq + 1, head.last_hash, digest, body, (parsed->>'tenant')::int,
            to_timestamp((parsed->>'at_ns')::bigint / 1e9), parsed->>'principal', parsed->>'action', parsed->>'target', parsed->>'outcome');
    update audit_writer set last_seq = head.last_seq + 1, last_hash = digest where writer = head.writer;
    return head.last_seq + 1;
end $$;
revoke execute on function audit_append from public;
grant execute on function audit_append to wardlink_ingest, wardlink_web, wardlink_worker;

-- Time series have no tenant column and no row security (it excludes the columnstore): web and reporting read them through
-- these functions, which look at the tenant of the transaction.
create function read_observations(wanted int[], from_time timestamptz, to_time timestamptz)
returns setof observation language sql stable security definer set search_path = public, pg_temp
begin atomic
    select o.* from observation o
      join series s using (series_id)
     where o.series_id = any (wanted) and s.tenant_id = current_tenant() and o.time >= from_time and o.time < to_time
     order by o.series_id, o.time;
end;

create function latest_observations(wanted int[], since timestamptz)
returns setof observation language sql stable security definer set search_path = public, pg_temp
begin atomic
    select o.* from series s
     cross join lateral (
        select * from observation o
         where o.series_id = s.series_id and o.time >= since
         order by o.time desc limit 1) as o
     where s.series_id = any (wanted) and s.tenant_id = current_tenant();
end;

-- A group may begin before from_time and reach into the range; groups are at most 10 s long.
create function read_waveforms(wanted int[], from_time timestamptz, to_time timestamptz)
returns setof waveform language sql stable security definer set search_path = public, pg_temp
begin atomic
    select w.* from waveform w
      join stream s using (stream_id)
     where w.stream_id = any (wanted) and s.tenant_id = current_tenant()
       and w.start >= from_time - interval '10 seconds' and w.start < to_time
       and w.start + make_interval(secs => w.n / s.fs_hz) > from_time
     order by w.stream_id, w.start, w.first_sample;
end;
revoke execute on function read_observations, latest_observations, read_waveforms from public;
grant execute on function read_observations, latest_observations, read_waveforms to wardlink_web, wardlink_reporting;

-- Rights. Nobody but the owner may truncate, alter, or delete where it is not said here.
grant select on tenant, gateway, gateway_certificate, enrolment_token, device, source, series, stream, clock_segment, gap, device_event,
    lane_position, ward, point_of_care, patient, device_association, patient_association, alarm_limit, placement_version, alarm, alarm_event
    to wardlink_ingest, wardlink_worker;
grant insert on device, source, series, stream, clock_segment, gap, device_event, subject_claim, document, lane_position,
    alarm, alarm_event, quarantine, gateway_certificate to wardlink_ingest;
grant insert, select on observation, waveform to wardlink_ingest;
grant update (gateway_id) on device to wardlink_ingest;
grant update on lane_position to wardlink_ingest;
grant update (priority, presence, params, detected_at, changed_at) on alarm to wardlink_ingest;
grant update (used_at) on enrolment_token to wardlink_ingest;

grant select on tenant, gateway, gateway_certificate, device, source, series, stream, clock_segment, gap, device_event, document,
    lane_position, ward, point_of_care, patient, device_association, patient_association, alarm_limit, placement_version, alarm, alarm_event, quarantine, audit
    to wardlink_web;
grant insert on alarm_event, ward, point_of_care, patient, device, device_association, patient_association, alarm_limit, gateway, enrolment_token to wardlink_web;
grant update (acknowledged_at, acknowledged_by) on alarm to wardlink_web;
grant update (during) on device_association, patient_association to wardlink_web;
grant update (unit, low, high), delete on alarm_limit to wardlink_web;
grant update (hospital_number, name, sex, birth_date, paced) on patient to wardlink_web;
grant update (revoked_at, revoked_reason) on gateway to wardlink_web;
grant update (revoked_at) on gateway_certificate to wardlink_web;
grant update (state) on quarantine to wardlink_web;

grant select on quarantine, audit, audit_writer to wardlink_worker;
grant select, insert, update, delete on observation, waveform to wardlink_worker;
grant delete on enrolment_token to wardlink_worker;
grant insert on alarm_event to wardlink_worker;

grant select on tenant, gateway, device, source, series, stream, gap, device_event, ward, point_of_care, device_association, alarm, alarm_event to wardlink_reporting;

-- Row security: web and reporting see the tenant of their transaction; ingest and worker serve all tenants.
do $$
declare
    name text;
begin
    foreach name in array array['gateway', 'gateway_certificate', 'enrolment_token', 'device', 'source', 'series', 'stream',
        'clock_segment', 'gap', 'device_event', 'subject_claim', 'document', 'lane_position', 'ward', 'point_of_care', 'patient',
        'device_association', 'patient_association', 'alarm_limit', 'placement_version', 'alarm', 'alarm_event', 'quarantine', 'audit'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy own_tenant on %I to wardlink_web, wardlink_reporting using (tenant_id = current_tenant())', name);
        execute format('create policy all_tenants on %I to wardlink_ingest, wardlink_worker using (true)', name);
    end loop;
end $$;
