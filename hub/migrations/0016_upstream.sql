-- Two tiers: what a hub hands on to the hub above it, by rules that are data, and which gateways may hand on what others took in.

alter table gateway add forwards boolean not null default false;
grant update (forwards) on gateway to wardlink_web;

-- What goes up. Without a rule nothing does. A rule with a code is stronger than the rule of its class.
create table sharing_rule (
    sharing_rule_id int generated always as identity primary key,
    tenant_id       int not null references tenant,
    class           text not null check (class in ('alarm', 'event', 'numeric', 'waveform', 'document')),
    code            text not null default '',   -- '': every code of the class
    share           boolean not null,
    made_at         timestamptz not null default now(),
    unique (tenant_id, class, code)
);

-- Batches as gateways sent them, without what does not go up; written with the data, taken away when the way up has them on disk.
-- records is a Batch of uplink.proto whose envelopes name their origin; empty: nothing of these numbers goes up.
create table upstream_outbox (
    outbox_id bigint generated always as identity primary key,
    tenant_id int not null references tenant,
    gateway   text not null,
    epoch     bytea not null,
    lane      smallint not null check (lane between 1 and 4),
    first     bigint not null,
    last      bigint not null check (last >= first),
    records   bytea not null
);
create index on upstream_outbox (outbox_id) where lane = 1;
alter table upstream_outbox alter column records set storage external;

create function sharing_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('sharing', '0');
    return null;
end $$;
create trigger sharing_changed after insert or update or delete on sharing_rule for each statement execute function sharing_changed();

grant select, insert, update, delete on sharing_rule to wardlink_web;
grant select on sharing_rule to wardlink_ingest, wardlink_worker;
grant insert on upstream_outbox to wardlink_ingest;
grant select, delete on upstream_outbox to wardlink_worker;

alter table sharing_rule enable row level security;
create policy own_tenant on sharing_rule to wardlink_web using (tenant_id = current_tenant());
create policy all_tenants on sharing_rule to wardlink_ingest, wardlink_worker using (true);
alter table upstream_outbox enable row level security;
create policy all_tenants on upstream_outbox to wardlink_ingest, wardlink_worker using (true);
