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
select device_command_id, code, parameters, asked_by, asked_at, deadline, state, reason, details, seen, sent_at, ended_at
  from device_command_now
 where device_id = %(device)s and tenant_id = %(tenant)s and device_command_id = %(command)s

-- name: commands
select device_command_id, code, parameters, asked_by, asked_at, deadline, state, reason, details, seen, sent_at, ended_at
  from device_command_now
 where device_id = %(device)s and tenant_id = %(tenant)s
 order by asked_at desc, device_command_id limit %(limit)s
