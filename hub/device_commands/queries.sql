-- The SQL of commands to devices. What became of them is written by ingest.

-- name: device
select d.device_id, d.name, d.admission, g.gateway_id, g.name, g.revoked_at is not null,
       (select o.devices -> d.name from gateway_offer o where o.gateway_id = g.gateway_id),
       exists (select from gateway_offer o where o.gateway_id = g.gateway_id)
  from device d
  left join gateway g on g.gateway_id = d.gateway_id
 where d.tenant_id = %(tenant)s and d.device_id = %(device)s

-- name: device_named
select device_id from device where tenant_id = %(tenant)s and name = %(name)s

-- name: open_commands
select count(*) from device_command_now where gateway_id = %(gateway)s and state in ('asked', 'sent')

-- name: ask
insert into device_command (device_command_id, tenant_id, gateway_id, device_id, code, parameters, asked_by, deadline)
values (%(command)s, %(tenant)s, %(gateway)s, %(device)s, %(code)s, %(values)s, %(by)s,
        clock_timestamp() + make_interval(secs => %(within)s))
on conflict (device_command_id) do nothing
returning true

-- name: command
select c.device_command_id, c.code, c.parameters, c.asked_by, c.asked_at, c.deadline, c.state, c.reason, c.details, c.seen, c.sent_at, c.ended_at,
       coalesce(a.display_name, c.asked_by)
  from device_command_now c
  left join account a on a.tenant_id = c.tenant_id and 'user:' || a.account_id = split_part(c.asked_by, '/', 1)
 where c.device_id = %(device)s and c.tenant_id = %(tenant)s and c.device_command_id = %(command)s

-- name: commands
select c.device_command_id, c.code, c.parameters, c.asked_by, c.asked_at, c.deadline, c.state, c.reason, c.details, c.seen, c.sent_at, c.ended_at,
       coalesce(a.display_name, c.asked_by)
  from device_command_now c
  left join account a on a.tenant_id = c.tenant_id and 'user:' || a.account_id = split_part(c.asked_by, '/', 1)
 where c.device_id = %(device)s and c.tenant_id = %(tenant)s
 order by c.asked_at desc, c.device_command_id limit %(limit)s
