-- Settings that the hub gives a gateway, above the gateway's own file: what was given when by whom, and what became of it.
-- Both tables only grow. The newest version is what a gateway is sent; what was refused or rolled back is not sent again.

create table gateway_configuration (
    gateway_configuration_id bigint generated always as identity primary key,
    tenant_id  int not null references tenant,
    gateway_id int not null references gateway,
    version    int not null check (version >= 1),
    toml       text not null check (octet_length(toml) <= 65536),
    made_by    text not null,
    made_at    timestamptz not null default clock_timestamp(),
    unique (gateway_id, version)
);

create table gateway_configuration_event (
    gateway_configuration_event_id bigint generated always as identity primary key,
    tenant_id  int not null references tenant,
    gateway_configuration_id bigint not null references gateway_configuration,
    state      text not null check (state in ('sent', 'applied', 'refused', 'rolled_back')),
    reason     text not null default '',
    time       timestamptz not null default clock_timestamp()
);
create index on gateway_configuration_event (gateway_configuration_id, gateway_configuration_event_id desc);

create view gateway_configuration_now with (security_invoker = true) as
select c.*, coalesce(e.state, 'waiting') as state, coalesce(e.reason, '') as reason, e.time as state_at
  from gateway_configuration c
  left join lateral (
    select e.state, e.reason, e.time from gateway_configuration_event e
     where e.gateway_configuration_id = c.gateway_configuration_id
     order by e.gateway_configuration_event_id desc limit 1) e on true;

create function gateway_configured() returns trigger language plpgsql as $$
begin
    perform pg_notify('configuration', new.gateway_id::text);
    return null;
end $$;
create trigger gateway_configured after insert on gateway_configuration for each row execute function gateway_configured();

grant select, insert on gateway_configuration to wardlink_web;
grant select on gateway_configuration to wardlink_ingest;
grant select on gateway_configuration_event to wardlink_web;
grant select, insert on gateway_configuration_event to wardlink_ingest;
grant select on gateway_configuration_now to wardlink_web, wardlink_ingest;
alter table gateway_configuration enable row level security;
create policy own_tenant on gateway_configuration to wardlink_web using (tenant_id = current_tenant());
create policy all_tenants on gateway_configuration to wardlink_ingest using (true);
alter table gateway_configuration_event enable row level security;
create policy own_tenant on gateway_configuration_event to wardlink_web using (tenant_id = current_tenant());
create policy all_tenants on gateway_configuration_event to wardlink_ingest using (true);
