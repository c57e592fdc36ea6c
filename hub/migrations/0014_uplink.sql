-- The uplink: certificates that renew themselves and can be revoked one by one.

-- renewed_from: the certificate with which this one was asked for. Who revokes one revokes what was made of it.
alter table gateway_certificate add column renewed_from text references gateway_certificate;
create index on gateway_certificate (renewed_from) where renewed_from is not null;

-- Tells ingest, which cuts off the streams that were opened with it.
create trigger gateway_certificate_changed after update of revoked_at on gateway_certificate
    for each row execute function gateway_changed();

-- Stretches of time that a gateway is asked for again: what it still keeps of them is opened in its positions, comes again and is stored
-- where it is not there yet. answered_at: its answer came; batches: how many were opened; kept_from: before it the gateway keeps nothing.
create table resend_request (
    resend_request_id bigint generated always as identity primary key,
    tenant_id   int not null references tenant,
    gateway_id  int not null references gateway,
    lane        smallint not null check (lane between 2 and 4),
    from_time   timestamptz not null,
    to_time     timestamptz not null check (to_time > from_time),
    asked_at    timestamptz not null default clock_timestamp(),
    answered_at timestamptz,
    batches     bigint,
    kept_from   timestamptz
);
create index on resend_request (gateway_id) where answered_at is null;
create function resend_requested() returns trigger language plpgsql as $$
begin
    perform pg_notify('resend', new.gateway_id::text);
    return null;
end $$;
create trigger resend_requested after insert on resend_request for each row execute function resend_requested();

-- Batches that were opened again and have not come: of these only what is missing is stored.
alter table lane_position add column reopened int8multirange not null default '{}';

-- Where such a batch is compared with what is there; empty outside of its transaction.
create unlogged table observation_again (like observation);
create unlogged table waveform_again (like waveform including storage);

grant select, insert on resend_request to wardlink_web;
grant select, update (answered_at, batches, kept_from) on resend_request to wardlink_ingest;
grant select, insert, delete on observation_again, waveform_again to wardlink_ingest;
grant select (source_id, gateway_id, time, sealed) on subject_claim to wardlink_ingest;
grant select (source_id, gateway_id, time, sha256) on document to wardlink_ingest;
alter table resend_request enable row level security;
create policy own_tenant on resend_request to wardlink_web using (tenant_id = current_tenant());
create policy all_tenants on resend_request to wardlink_ingest using (true);
