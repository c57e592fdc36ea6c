-- name: rules
select tenant_id, class, code, share from sharing_rule order by tenant_id, class, code

-- name: rules_of_tenant
select class, code, share from sharing_rule where tenant_id = %(tenant)s order by class, code

-- name: set_rule
insert into sharing_rule (tenant_id, class, code, share) values (%(tenant)s, %(class)s, %(code)s, %(share)s)
on conflict (tenant_id, class, code) do update set share = excluded.share, made_at = now()

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

-- name: done
delete from upstream_outbox where outbox_id = any (%(done)s)
