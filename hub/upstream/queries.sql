-- name: rules
select tenant_id, class, code, share from sharing_rule order by tenant_id, class, code

-- name: rules_of_tenant
select class, code, share from sharing_rule where tenant_id = %(tenant)s order by class, code

-- name: set_rule
insert into sharing_rule (tenant_id, class, code, share) values (%(tenant)s, %(class)s, %(code)s, %(share)s)
on conflict (tenant_id, class, code) do update set share = excluded.share, made_at = now()

-- name: lock_rules
select pg_advisory_xact_lock(1465011279)

-- name: another_tenant_shares
select another_tenant_shares()

-- name: remove_rule
delete from sharing_rule where tenant_id = %(tenant)s and class = %(class)s and code = %(code)s returning sharing_rule_id

-- name: put
insert into upstream_outbox (tenant_id, gateway, epoch, lane, first, last, records)
values (%(tenant)s, %(gateway)s, %(epoch)s, %(lane)s, %(first)s, %(last)s, %(records)s)

-- name: alarms
select outbox_id, gateway, epoch, lane, first, last, records from upstream_outbox
 where lane = 1
 order by outbox_id limit %(most)s

-- name: others
select outbox_id, gateway, epoch, lane, first, last, records from upstream_outbox
 where lane > 1
 order by outbox_id limit %(most)s

-- name: outbox_size
select coalesce(sum(octet_length(records)), 0)::bigint from upstream_outbox

-- name: oldest_samples
-- A row that holds gaps only is small; the way up may be taking any of them.
select outbox_id, records from upstream_outbox
 where lane = 4 and not thinned and octet_length(records) > 0
 order by outbox_id limit %(most)s
   for update skip locked

-- name: thin
update upstream_outbox set records = %(records)s, thinned = true where outbox_id = %(id)s

-- name: done
delete from upstream_outbox where outbox_id = any (%(done)s)
