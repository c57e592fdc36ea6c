-- The SQL of kept views.

-- name: one_at_a_time
select pg_advisory_xact_lock(hashtext('saved_view'), %(account)s)

-- name: views
select saved_view_id, name, query
  from saved_view
 where account_id = %(account)s and room = %(room)s and removed_at is null
 order by lower(name), name

-- name: removed
select saved_view_id, name, query
  from saved_view
 where saved_view_id = %(view)s and account_id = %(account)s and room = %(room)s and removed_at is not null

-- name: remove_named
update saved_view set removed_at = clock_timestamp()
 where account_id = %(account)s and room = %(room)s and name = %(name)s and removed_at is null
returning saved_view_id

-- name: remove
update saved_view set removed_at = clock_timestamp()
 where account_id = %(account)s and room = %(room)s and saved_view_id = %(view)s and removed_at is null
returning saved_view_id

-- name: put_back
update saved_view set removed_at = null
 where account_id = %(account)s and room = %(room)s and saved_view_id = %(view)s

-- name: add
insert into saved_view (tenant_id, account_id, room, name, query)
values (%(tenant)s, %(account)s, %(room)s, %(name)s, %(query)s)
returning saved_view_id

-- name: forget
delete from saved_view where account_id = %(account)s and removed_at < now() - interval '1 day'
