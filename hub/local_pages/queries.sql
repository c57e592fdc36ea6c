-- name: pages
select g.name, g.addresses, coalesce(g.status ->> 'local_page', ''), array_agg(distinct p.bed order by p.bed), t.name
  from gateway g
  join tenant t using (tenant_id)
  join device d on d.gateway_id = g.gateway_id
  join device_association a on a.device_id = d.device_id and a.during @> now()
  join point_of_care p on p.point_of_care_id = a.point_of_care_id
 where g.tenant_id = %(tenant)s and p.ward_id = %(ward)s and g.revoked_at is null
 group by g.gateway_id, t.name
 order by g.name

-- name: untold
-- Gateways whose page, or whose devices, are not known yet; more at once are not being set up.
select addresses
  from gateway g
 where tenant_id = %(tenant)s and revoked_at is null and cardinality(addresses) > 0
   and (coalesce(status ->> 'local_page', '') = '' or not exists (select from device d where d.gateway_id = g.gateway_id))
 order by gateway_id desc
 limit 16
