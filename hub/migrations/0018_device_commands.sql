-- Commands to devices: what gateways offer for their devices, what somebody asked for, and what became of it.
-- Both tables of commands only grow; one is sent once and ends once.

create table gateway_offer (
    gateway_id int primary key references gateway,
    tenant_id  int not null references tenant,
    ledger     bytea not null check (octet_length(ledger) = 16),   -- of the agent, in which it writes what it did
    devices    jsonb not null,   -- device name to its commands
    told_at    timestamptz not null default clock_timestamp()
);

create table device_command (
    device_command_id uuid primary key,
    tenant_id  int not null references tenant,
    gateway_id int not null references gateway,
    device_id  int not null references device,
    code       text not null check (length(code) between 1 and 64),
    parameters json not null check (octet_length(parameters::text) <= 4096),   -- in the order in which they were given
    asked_by   text not null,
    asked_at   timestamptz not null default clock_timestamp(),
    deadline   timestamptz not null
);
create index on device_command (device_id, asked_at desc);
create index on device_command (gateway_id, asked_at desc);

create table device_command_event (
    device_command_event_id bigint generated always as identity primary key,
    tenant_id  int not null references tenant,
    device_command_id uuid not null references device_command,
    state      text not null check (state in ('sent', 'confirmed', 'unconfirmed', 'refused', 'expired')),
    reason     text not null default '',   -- a word of protocols/device_command.py
    details    text not null default '',
    seen       json not null default '{}',
    ledger     bytea,   -- to which it was sent
    time       timestamptz not null default clock_timestamp()
);
create unique index on device_command_event (device_command_id, (state = 'sent'));

create view device_command_now with (security_invoker = true) as
select c.*, coalesce(ended.state, sent.state, 'asked') as state, coalesce(ended.reason, '') as reason,
       coalesce(ended.details, '') as details, coalesce(ended.seen, '{}') as seen, sent.time as sent_at, sent.ledger, ended.time as ended_at
  from device_command c
  left join device_command_event sent on sent.device_command_id = c.device_command_id and (sent.state = 'sent') = true
  left join device_command_event ended on ended.device_command_id = c.device_command_id and (ended.state = 'sent') = false;

create function device_commanded() returns trigger language plpgsql as $$
begin
    perform pg_notify('device_command', new.gateway_id::text);
    return null;
end $$;
create trigger device_commanded after insert on device_command for each row execute function device_commanded();

grant select on gateway_offer, device_command_event, device_command_now to wardlink_web;
grant select, insert on device_command to wardlink_web;
grant select on device_command, device_command_now to wardlink_ingest;
grant select, insert on device_command_event to wardlink_ingest;
grant select, insert, update on gateway_offer to wardlink_ingest;
alter table gateway_offer enable row level security;
create policy own_tenant on gateway_offer to wardlink_web using (tenant_id = current_tenant());
create policy all_tenants on gateway_offer to wardlink_ingest using (true);
alter table device_command enable row level security;
create policy own_tenant on device_command to wardlink_web using (tenant_id = current_tenant());
create policy all_tenants on device_command to wardlink_ingest using (true);
alter table device_command_event enable row level security;
create policy own_tenant on device_command_event to wardlink_web using (tenant_id = current_tenant());
create policy all_tenants on device_command_event to wardlink_ingest using (true);
