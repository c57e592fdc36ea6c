-- The SQL of traces. Ingest hears of a new row, and writes what it saw into it.

-- name: device
select last_seen from device where tenant_id = %(tenant)s and name = %(device)s

-- name: ask
insert into trace (tenant_id, device, ends_at) values (%(tenant)s, %(device)s, now() + make_interval(secs => %(within_s)s)) returning trace_id

-- name: told
select told from trace where tenant_id = %(tenant)s and trace_id = %(id)s
