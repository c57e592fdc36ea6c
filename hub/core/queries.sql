-- name: append
select audit_append(%(instance)s, %(body)s)

-- name: heads
select writer, last_seq, last_hash from audit_writer order by writer

-- name: chain
select seq, prev_hash, hash, body, tenant_id, principal, action, target, outcome, at
  from audit
 where writer = %(writer)s and seq > %(after)s and seq <= %(until)s
 order by seq
 limit %(batch)s

-- name: bodies
select body from audit where action = %(action)s

-- name: server
select pg_postmaster_start_time(), (select oid from pg_database where datname = current_database()),
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint
