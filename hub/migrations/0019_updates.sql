-- Releases of the agent, signed elsewhere, and how they are given to gateways: in stages, each when those before it are well.
-- What has happened is rows that are only added. Ingest hands out what a gateway's turn is and writes down what it answers.

create table release (
    release_id int generated always as identity primary key,
    tenant_id  int not null references tenant,
    digest     bytea not null check (octet_length(digest) = 32),   -- SHA-256 of the manifest
    version    text not null,
    python     text not null,
    machine    text not null,
    size       bigint not null check (size > 0),
    signers    text not null,   -- ids of keys, as the release names them
    added_by   text not null,
    added_at   timestamptz not null default clock_timestamp(),
    unique (tenant_id, digest)
);

-- 262144 bytes each, but for the last. Wheels are compressed already, and a part of one is cut out without reading the rest.
create table release_chunk (
    release_id int not null references release,
    n          int not null check (n >= 0),
    tenant_id  int not null references tenant,
    data       bytea not null check (octet_length(data) between 1 and 262144),
    primary key (release_id, n)
);
alter table release_chunk alter column data set storage external;

create table rollout (
    rollout_id int generated always as identity primary key,
    tenant_id  int not null references tenant,
    release_id int not null references release,
    stages     text not null,
    soak_s     int not null check (soak_s >= 0),
    made_by    text not null,
    made_at    timestamptz not null default clock_timestamp()
);

create table rollout_event (
    rollout_event_id int generated always as identity primary key,
    tenant_id  int not null references tenant,
    rollout_id int not null references rollout,
    state      text not null check (state in ('running', 'paused', 'halted', 'cancelled', 'finished')),
    reason     text not null default '',
    who        text not null,
    time       timestamptz not null default clock_timestamp()
);
create index on rollout_event (rollout_id, rollout_event_id desc);

create table rollout_gateway (
    rollout_id int not null references rollout,
    gateway_id int not null references gateway,
    tenant_id  int not null references tenant,
    stage      int not null check (stage >= 0),
    primary key (rollout_id, gateway_id)
);

create table rollout_gateway_event (
    rollout_gateway_event_id bigint generated always as identity primary key,
    tenant_id  int not null references tenant,
    rollout_id int not null,
    gateway_id int not null,
    state      text not null check (state in ('offered', 'sent', 'applied', 'refused', 'rolled_back', 'unwell', 'well')),
    reason     text not null default '',
    time       timestamptz not null default clock_timestamp(),
    foreign key (rollout_id, gateway_id) references rollout_gateway
);
create index on rollout_gateway_event (rollout_id, gateway_id, rollout_gateway_event_id desc);

create view rollout_now with (security_invoker = true) as
select r.rollout_id, r.tenant_id, r.release_id, r.stages, r.soak_s, r.made_by, r.made_at,
       e.state, e.reason, e.time as state_at,
       (select max(b.time) from rollout_event b where b.rollout_id = r.rollout_id and b.state = 'running') as running_since
  from rollout r
  join lateral (
    select state, reason, time from rollout_event e
     where e.rollout_id = r.rollout_id order by e.rollout_event_id desc limit 1) e on true;

-- state: how far a gateway has come; well: whether one that has applied it is well since then, and since when it is as it is.
create view rollout_gateway_now with (security_invoker = true) as
select g.rollout_id, g.gateway_id, g.tenant_id, g.stage,
       coalesce(e.state, 'waiting') as state, coalesce(e.reason, '') as reason, e.time as state_at,
       coalesce(w.state, 'applied') <> 'unwell' as well, coalesce(w.reason, '') as unwell_reason, w.time as well_at
  from rollout_gateway g
  left join lateral (
    select state, reason, time from rollout_gateway_event e
     where e.rollout_id = g.rollout_id and e.gateway_id = g.gateway_id and e.state not in ('unwell', 'well')
     order by e.rollout_gateway_event_id desc limit 1) e on true
  left join lateral (
    select state, reason, time from rollout_gateway_event w
     where w.rollout_id = g.rollout_id and w.gateway_id = g.gateway_id and w.state in ('applied', 'unwell', 'well')
     order by w.rollout_gateway_event_id desc limit 1) w on true;

create function rollout_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('update', '0');
    return null;
end $$;
create trigger rollout_changed after insert on rollout_event for each statement execute function rollout_changed();
create trigger rollout_offered after insert on rollout_gateway_event for each row when (new.state = 'offered')
    execute function rollout_changed();

grant select, insert on release, release_chunk, rollout, rollout_event, rollout_gateway to wardlink_web;
grant select on rollout_gateway_event, rollout_now, rollout_gateway_now to wardlink_web;
grant select on release, release_chunk, rollout, rollout_gateway, rollout_now, rollout_gateway_now to wardlink_ingest;
grant select, insert on rollout_event, rollout_gateway_event to wardlink_ingest;

do $$
declare one text;
begin
    foreach one in array array['release', 'release_chunk', 'rollout', 'rollout_event', 'rollout_gateway', 'rollout_gateway_event'] loop
        execute format('alter table %I enable row level security', one);
        execute format('create policy own_tenant on %I to wardlink_web using (tenant_id = current_tenant())', one);
        execute format('create policy all_tenants on %I to wardlink_ingest using (true)', one);
    end loop;
end $$;
