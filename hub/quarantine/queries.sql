-- The SQL of the quarantine. Ingest puts records in and stores what is released; the rest is decided here.

-- name: groups
select q.device, q.reason, coalesce(g.name, ''), count(*), min(q.received_at), max(q.received_at), max(q.quarantine_id),
       coalesce(d.admission, '')
  from quarantine q
  left join gateway g on g.gateway_id = q.gateway_id
  left join device d on d.tenant_id = q.tenant_id and d.name = q.device
 where q.tenant_id = %(tenant)s and q.state = 'held'
 group by q.device, q.reason, g.name, d.admission
 order by max(q.received_at) desc
 limit 100

-- name: items
select q.quarantine_id, q.state, q.reason, q.detail, q.said, q.field, q.device, q.source, q.kind, coalesce(g.name, ''), length(q.bytes),
       q.received_at, q.note, q.decided_at, q.decided_by, count(*) over () as found
  from quarantine q
  left join gateway g on g.gateway_id = q.gateway_id
 where q.tenant_id = %(tenant)s
   and (%(state)s = '' or q.state = %(state)s)
   and (%(reason)s = '' or q.reason = %(reason)s)
   and (%(device)s = '' or q.device = %(device)s)
   and (%(gateway)s = '' or g.name = %(gateway)s)
 order by q.quarantine_id desc
 limit %(limit)s offset %(offset)s

-- name: item
select q.quarantine_id, q.state, q.reason, q.detail, q.said, q.field, q.device, q.source, q.kind, coalesce(g.name, ''), length(q.bytes),
       q.received_at, q.note, q.decided_at, q.decided_by, q.bytes
  from quarantine q
  left join gateway g on g.gateway_id = q.gateway_id
 where q.tenant_id = %(tenant)s and q.quarantine_id = %(id)s

-- name: decide
update quarantine set state = %(state)s, note = '', decided_at = now(), decided_by = %(who)s
 where tenant_id = %(tenant)s and quarantine_id = %(id)s and state = 'held'
returning quarantine_id

-- name: decide_group
update quarantine set state = %(state)s, note = '', decided_at = now(), decided_by = %(who)s
 where tenant_id = %(tenant)s and device = %(device)s and reason = %(reason)s and state = 'held'
returning quarantine_id

-- name: discarded_with
select count(*) from quarantine q join quarantine one using (tenant_id, decided_at, decided_by)
 where q.tenant_id = %(tenant)s and q.state = 'discarded' and one.quarantine_id = %(id)s and one.state = 'discarded'

-- name: put_back
update quarantine q set state = 'held', note = '', decided_at = null, decided_by = null
  from quarantine one
 where q.tenant_id = %(tenant)s and q.state = 'discarded' and one.tenant_id = q.tenant_id and one.quarantine_id = %(id)s
   and one.state = 'discarded' and (q.decided_at, q.decided_by) = (one.decided_at, one.decided_by)

-- name: counts
select state, count(*) from quarantine where tenant_id = %(tenant)s group by state
