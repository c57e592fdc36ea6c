-- Critical-value items as people of a tenant made them, which of these tables is in force, and which each gateway goes by.

-- Both only grow. Version 0 is what ships with the product and has no row here.
create table critical_table (
    tenant_id int not null references tenant,
    version   int not null check (version >= 1),
    items     jsonb not null check (jsonb_typeof(items) = 'array'),
    based_on  int not null check (based_on < version),   -- the version that was edited
    reason    text not null check (reason <> ''),
    made_by   text not null,
    made_at   timestamptz not null default clock_timestamp(),
    primary key (tenant_id, version)
);

create table critical_activation (
    critical_activation_id bigint generated always as identity primary key,
    tenant_id int not null references tenant,
    version   int not null check (version >= 0),
    reason    text not null check (reason <> ''),
    set_by    text not null,
    set_at    timestamptz not null default clock_timestamp()
);
create index on critical_activation (tenant_id, critical_activation_id desc);

-- The newest activation of a tenant; one without any goes by what ships.
create view critical_in_force with (security_invoker = true) as
select t.tenant_id, coalesce(a.version, 0) as version, c.items, a.set_by, a.set_at, a.reason
  from tenant t
  left join lateral (
    select n.* from critical_activation n where n.tenant_id = t.tenant_id order by n.critical_activation_id desc limit 1) a on true
  left join critical_table c on c.tenant_id = t.tenant_id and c.version = a.version;

-- As a gateway last answered; one of an earlier version knows no tables and has no row.
create table critical_applied (
    gateway_id   int primary key references gateway,
    tenant_id    int not null references tenant,
    version      int not null,
    refused      text not null default '',   -- a word of models/screening/critical_check.py, or of a later version
    refused_item text not null default '',
    applied_at   timestamptz not null default clock_timestamp()
);

create trigger placement_changed after insert on critical_activation for each row execute function placement_changed();

grant select, insert on critical_table, critical_activation to wardlink_web;
grant select on critical_table, critical_activation to wardlink_ingest;
grant select on critical_in_force to wardlink_web, wardlink_ingest;
grant select on critical_applied to wardlink_web;
grant select, insert, update, delete on critical_applied to wardlink_ingest;
do $$
declare
    name text;
begin
    foreach name in array array['critical_table', 'critical_activation', 'critical_applied'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy own_tenant on %I to wardlink_web using (tenant_id = current_tenant())', name);
        execute format('create policy all_tenants on %I to wardlink_ingest using (true)', name);
    end loop;
end $$;
