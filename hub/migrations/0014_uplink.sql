-- The uplink: certificates that renew themselves and can be revoked one by one.

-- renewed_from: the certificate with which this one was asked for. Who revokes one revokes what was made of it.
alter table gateway_certificate add column renewed_from text references gateway_certificate;
create index on gateway_certificate (renewed_from) where renewed_from is not null;

-- Tells ingest, which cuts off the streams that were opened with it.
create trigger gateway_certificate_changed after update of revoked_at on gateway_certificate
    for each row execute function gateway_changed();
