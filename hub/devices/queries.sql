-- The SQL of the ledger. A gateway tells of itself under its own name; that is no device.

-- name: devices
-- A page of those that match, and how many match in all; without a row of the page, one that has this number alone.
-- words: LIKE patterns, each to be found; wards, answers: the words of the search to which a ward answers by its name.
with matching as materialized (
    select d.device_id, d.admission, d.name
      from device d
      left join gateway g on g.gateway_id = d.gateway_id
      left join device_association a on a.device_id = d.device_id and a.during @> now()
      left join point_of_care p on p.point_of_care_id = a.point_of_care_id
      left join ward w on w.ward_id = p.ward_id
      left join unnest(%(wards)s::int[], %(answers)s::text[]) as s (ward_id, answers) on s.ward_id = p.ward_id
     where d.tenant_id = %(tenant)s
       and not exists (select from gateway o where o.tenant_id = d.tenant_id and o.name = d.name)
       and (cardinality(%(words)s::text[]) = 0
            or lower(concat_ws(' ', d.name, d.make, d.model, d.serial, p.bed, s.answers)) like all (%(words)s::text[]))
       and (%(door)s = '' or d.door = %(door)s)
       and (%(gateway)s = '' or g.name = %(gateway)s)
       and (%(ward)s = '' or w.slug = %(ward)s)
       and (%(battery)s = '' or d.battery_percent <= %(low)s)
       and (%(state)s = '' or (%(state)s = 'flooding' and d.flooding_since is not null) or %(state)s = case
                when d.admission <> 'admitted' then d.admission
                when d.last_seen is null then 'never'
                when d.last_seen >= now() - %(live)s then 'live'
                else 'silent' end)
), page as (
    select device_id from matching order by admission = 'waiting' desc, admission = 'retired', name limit %(limit)s offset %(offset)s
)
select (select count(*) from matching), d.device_id, d.name, d.admission, d.admitted_at, d.admitted_by, d.make, d.model, d.serial, d.firmware, d.door,
       d.battery_percent, d.battery_at, d.first_seen, d.last_seen, d.refused, coalesce(g.name, ''),
       coalesce(w.slug, ''), coalesce(w.name, ''), coalesce(p.bed, ''), d.flooding_since
  from (select) as always
  left join (page join device d using (device_id)) on true
  left join gateway g on g.gateway_id = d.gateway_id
  left join device_association a on a.device_id = d.device_id and a.during @> now()
  left join point_of_care p on p.point_of_care_id = a.point_of_care_id
  left join ward w on w.ward_id = p.ward_id
 order by d.admission = 'waiting' desc, d.admission = 'retired', d.name

-- name: counts
select count(*), count(*) filter (where admission = 'admitted' and last_seen >= now() - %(live)s),
       count(*) filter (where admission = 'waiting'),
       count(*) filter (where admission = 'admitted' and last_seen < now() - %(live)s),
       count(*) filter (where admission = 'admitted' and battery_percent <= %(low)s), count(*) filter (where flooding_since is not null)
  from device d
 where d.tenant_id = %(tenant)s and not exists (select from gateway o where o.tenant_id = d.tenant_id and o.name = d.name)

-- name: gateways
select name from gateway where tenant_id = %(tenant)s and revoked_at is null order by name

-- name: wards
select ward_id, slug, name from ward where tenant_id = %(tenant)s order by slug

-- name: device
select d.device_id, d.name, d.admission, d.admitted_at, d.admitted_by, d.make, d.model, d.serial, d.firmware, d.door,
       d.battery_percent, d.battery_at, d.first_seen, d.last_seen, d.refused, coalesce(g.name, ''),
       coalesce(w.slug, ''), coalesce(w.name, ''), coalesce(p.bed, ''), d.flooding_since
  from device d
  left join gateway g on g.gateway_id = d.gateway_id
  left join device_association a on a.device_id = d.device_id and a.during @> now()
  left join point_of_care p on p.point_of_care_id = a.point_of_care_id
  left join ward w on w.ward_id = p.ward_id
 where d.tenant_id = %(tenant)s and d.device_id = %(device)s

-- name: device_named
select device_id from device where tenant_id = %(tenant)s and name = %(name)s

-- name: measures
select o.path, s.code, s.site, s.unit from series s join source o using (source_id) where o.device_id = %(device)s
union
select o.path, lead, '', t.units[i]
  from stream t join source o using (source_id) cross join lateral unnest(t.leads) with ordinality as l (lead, i)
 where o.device_id = %(device)s
 order by 1, 2, 3

-- name: events
select e.time, e.code, e.text, e.params
  from device_event e join source o using (source_id)
 where o.device_id = %(device)s
 order by e.device_event_id desc
 limit %(limit)s

-- name: places
select lower(a.during), w.name, p.bed
  from device_association a join point_of_care p using (point_of_care_id) join ward w on w.ward_id = p.ward_id
 where a.device_id = %(device)s
 order by lower(a.during) desc
 limit %(limit)s

-- name: held
select count(*) from quarantine where tenant_id = %(tenant)s and device = %(name)s and state = 'held'

-- name: set_admission
update device set admission = %(admission)s, admitted_at = now(), admitted_by = %(who)s
 where tenant_id = %(tenant)s and device_id = %(device)s and admission <> %(admission)s
returning name

-- name: policy
select admission from tenant where tenant_id = %(tenant)s

-- name: set_policy
update tenant set admission = %(admission)s where tenant_id = %(tenant)s
