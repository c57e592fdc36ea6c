-- name: tenant
select tenant_id from tenant where name = %(name)s

-- name: gateway
select gateway_id from gateway where tenant_id = %(tenant)s and name = %(name)s

-- name: add
insert into gateway (tenant_id, name) values (%(tenant)s, %(name)s)
on conflict (tenant_id, name) do nothing
returning gateway_id

-- name: bring_back
update gateway set revoked_at = null, revoked_reason = null where gateway_id = %(gateway)s and revoked_at is not null

-- name: set_addresses
update gateway set addresses = %(addresses)s where gateway_id = %(gateway)s

-- name: set_forwards
update gateway set forwards = %(forwards)s where gateway_id = %(gateway)s

-- name: add_token
insert into enrolment_token (token_hash, tenant_id, gateway_id, expires_at)
values (%(hash)s, %(tenant)s, %(gateway)s, now() + make_interval(secs => %(seconds)s))

-- name: list
select g.name, g.created_at, g.revoked_at,
       (select max(c.not_after) from gateway_certificate c where c.gateway_id = g.gateway_id and c.revoked_at is null),
       (select max(p.updated_at) from lane_position p where p.gateway_id = g.gateway_id), g.status, g.status_at,
       (select count(*) from device d where d.gateway_id = g.gateway_id and d.name <> g.name and d.admission <> 'retired'),
       g.throttled_since, g.throttled_until, c.version, c.state, c.reason
  from gateway g
  left join lateral (
    select n.version, n.state, n.reason from gateway_configuration_now n
     where n.gateway_id = g.gateway_id order by n.version desc limit 1) c on true
 where g.tenant_id = %(tenant)s order by g.name

-- name: revoke
update gateway set revoked_at = now(), revoked_reason = %(reason)s
 where tenant_id = %(tenant)s and name = %(name)s and revoked_at is null
returning gateway_id

-- name: revoke_certificates
update gateway_certificate set revoked_at = now() where gateway_id = %(gateway)s and revoked_at is null

-- name: token
select k.tenant_id, t.name, k.gateway_id, g.name, k.used_at is not null, k.expires_at <= now(), g.revoked_at is not null, g.addresses
  from enrolment_token k
  join gateway g using (gateway_id)
  join tenant t on t.tenant_id = k.tenant_id
 where k.token_hash = %(hash)s

-- name: use_token
update enrolment_token set used_at = now()
 where token_hash = %(hash)s and used_at is null and expires_at > now()
returning true

-- name: add_certificate
insert into gateway_certificate (serial, tenant_id, gateway_id, fingerprint, not_before, not_after)
values (%(serial)s, %(tenant)s, %(gateway)s, %(fingerprint)s, %(not_before)s, %(not_after)s)

-- name: add_renewed
insert into gateway_certificate (serial, tenant_id, gateway_id, fingerprint, not_before, not_after, renewed_from)
select %(serial)s, c.tenant_id, c.gateway_id, %(fingerprint)s, %(not_before)s, %(not_after)s, c.serial
  from gateway_certificate c
  join gateway g using (gateway_id)
 where c.fingerprint = %(shown)s and c.revoked_at is null and g.revoked_at is null
   and (select count(*) from gateway_certificate o
         where o.gateway_id = c.gateway_id and o.renewed_from is not null and o.issued_at > now() - interval '1 hour') < %(most)s
returning renewed_from, (select addresses from gateway g where g.gateway_id = gateway_certificate.gateway_id)

-- name: revoke_certificate
with recursive fallen as (
    select c.serial from gateway_certificate c
      join gateway g using (gateway_id)
     where c.tenant_id = %(tenant)s and g.name = %(name)s and c.serial = %(serial)s
    union
    select c.serial from gateway_certificate c join fallen f on c.renewed_from = f.serial)
update gateway_certificate c set revoked_at = now()
  from fallen f where c.serial = f.serial and c.revoked_at is null
returning c.serial

-- name: certificates
select c.serial, c.issued_at, c.not_after, c.revoked_at, c.renewed_from
  from gateway_certificate c
  join gateway g using (gateway_id)
 where c.tenant_id = %(tenant)s and g.name = %(name)s and c.not_after > now()
 order by c.issued_at desc, c.serial

-- name: ask_again
insert into resend_request (tenant_id, gateway_id, lane, from_time, to_time)
select g.tenant_id, g.gateway_id, %(lane)s, %(begin)s, %(end)s from gateway g
 where g.tenant_id = %(tenant)s and g.name = %(name)s and g.revoked_at is null
returning resend_request_id

-- name: asked_again
select answered_at, batches, kept_from from resend_request where resend_request_id = %(request)s

-- name: configurable
select gateway_id from gateway
 where tenant_id = %(tenant)s and name = %(name)s and revoked_at is null and not forwards
   for update

-- name: configure
insert into gateway_configuration (tenant_id, gateway_id, version, toml, made_by)
select %(tenant)s, %(gateway)s, coalesce(max(version), 0) + 1, %(toml)s, %(by)s from gateway_configuration
 where gateway_id = %(gateway)s
returning version

-- name: configuration_versions
select c.version, c.toml, c.made_by, c.made_at, c.state, c.reason, c.state_at
  from gateway_configuration_now c
  join gateway g using (gateway_id)
 where g.tenant_id = %(tenant)s and g.name = %(name)s
 order by c.version desc
