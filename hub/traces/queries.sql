-- The SQL of traces. Ingest hears of a new row, and writes what it saw into it.

-- name: device
select d.last_seen, g.name, (select max(p.updated_at) from lane_position p where p.gateway_id = d.gateway_id)
  from device d left join gateway g using (gateway_id) where d.tenant_id = %(tenant)s and d.name = %(device)s

-- name: ask
insert into trace (tenant_id, device, ends_at) values (%(tenant)s, %(device)s, now() + make_interval(secs => %(within_s)s)) returning trace_id

-- name: told
select told from trace where tenant_id = %(tenant)s and trace_id = %(id)s

-- What web processes tell of it.
-- name: shown
select told from trace where tenant_id = %(tenant)s and trace_id > %(id)s and told ->> 'of' = %(id)s::text order by trace_id
