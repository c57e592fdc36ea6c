-- Views of the tables that people keep for themselves: a name and what stands in the address behind `?`.

-- removed_at: deleted, or replaced by a newer one of its name; it can be put back for a while.
create table saved_view (
    saved_view_id int generated always as identity primary key,
    tenant_id     int not null references tenant,
    account_id    int not null references account,
    room          text not null check (room in ('devices', 'quarantine')),
    name          text not null check (length(name) between 1 and 60),
    query         text not null check (length(query) <= 2000),
    saved_at      timestamptz not null default clock_timestamp(),
    removed_at    timestamptz
);
create unique index on saved_view (account_id, room, name) where removed_at is null;

grant select, insert, update (removed_at), delete on saved_view to wardlink_web;
alter table saved_view enable row level security;
create policy own_tenant on saved_view to wardlink_web using (tenant_id = current_tenant());
