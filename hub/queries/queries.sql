-- The SQL of queries for measurements and names. Time series are read through the functions of the database, which look at the tenant.

-- name: devices
select device_id, name from device where tenant_id = %(tenant)s and name = any(%(names)s)

-- name: series
select s.series_id, so.device_id, so.path, s.code, s.site, s.unit
  from series s
  join source so using (source_id)
 where s.tenant_id = %(tenant)s and so.device_id = any(%(devices)s)
   and (cardinality(%(codes)s::text[]) = 0 or s.code = any(%(codes)s)) and (not %(numbers)s or s.value_kind = 'number')
 order by so.device_id, s.code, so.path, s.series_id
 limit %(limit)s

-- name: latest
select series_id, time, value, text_value, comparator, quality from latest_observations(%(series)s, %(since)s)

-- name: buckets
select series_id, bucket, lowest, highest, mean, n, unusable
  from observation_buckets(%(series)s, %(froms)s, %(tos)s, make_interval(secs => %(width_s)s))

-- name: unspelt
select kind, ref_id, label from search_entry
 where spelt is null and (%(tenant)s::int is null or tenant_id = %(tenant)s) limit %(limit)s for update skip locked

-- name: spell
update search_entry e set spelt = u.spelt
  from unnest(%(kinds)s::text[], %(ids)s::int[], %(labels)s::text[], %(spelt)s::text[]) as u (kind, ref_id, label, spelt)
 where e.kind = u.kind and e.ref_id = u.ref_id and e.label = u.label

-- name: search
select kind, ref_id, label, score from search_entries(%(words)s, %(patterns)s, %(kinds)s, %(patients)s, %(limit)s)
