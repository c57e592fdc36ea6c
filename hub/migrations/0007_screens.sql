-- The open ward pages and whether they can sound: a page that is mute is a technical alarm for engineers (IEC 60601-1-8, 6.3.3: an
-- alarm that is meant to be heard). One row a page; a page tells every few seconds that it is there.
create table screen (
    tenant_id   int not null references tenant,
    screen_id   uuid not null,
    ward_id     int not null references ward,
    who         text not null,
    sound       text not null check (sound in ('on', 'off', 'none')),
    sound_since timestamptz not null default clock_timestamp(),
    opened_at   timestamptz not null default clock_timestamp(),
    seen_at     timestamptz not null default clock_timestamp(),
    primary key (tenant_id, screen_id)
);
create index on screen (tenant_id, seen_at);

grant select, insert, update (ward_id, sound, sound_since, seen_at), delete on screen to wardlink_web;
alter table screen enable row level security;
create policy own_tenant on screen to wardlink_web using (tenant_id = current_tenant());
