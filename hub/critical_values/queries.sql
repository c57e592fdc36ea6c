-- The SQL of critical-value items. A trigger on the activation counts the placement up; ingest then sends it to the gateways.

-- name: in_force
select version, items, set_by, set_at, reason from critical_in_force where tenant_id = %(tenant)s

-- name: versions
select c.version, c.based_on, c.reason, c.made_by, c.made_at
  from critical_table c
 where c.tenant_id = %(tenant)s
 order by c.version desc
 limit %(most)s

-- name: items
select items from critical_table where tenant_id = %(tenant)s and version = %(version)s

-- name: newest
select coalesce(max(version), 0) from critical_table where tenant_id = %(tenant)s

-- name: one_at_a_time
select pg_advisory_xact_lock(hashtext('critical_values'), %(tenant)s)

-- name: keep
insert into critical_table (tenant_id, version, items, based_on, reason, made_by)
values (%(tenant)s, %(version)s, %(items)s, %(based_on)s, %(reason)s, %(by)s)

-- name: activate
insert into critical_activation (tenant_id, version, reason, set_by) values (%(tenant)s, %(version)s, %(reason)s, %(by)s)

-- name: activations
select version, reason, set_by, set_at
  from critical_activation
 where tenant_id = %(tenant)s
 order by critical_activation_id desc
 limit %(most)s

-- name: gateways
select g.name, a.version, coalesce(a.refused, ''), coalesce(a.refused_item, ''), a.applied_at
  from gateway g
  left join critical_applied a using (gateway_id)
 where g.tenant_id = %(tenant)s and g.revoked_at is null
   and exists (select from gateway_certificate c where c.gateway_id = g.gateway_id)
 order by g.name
