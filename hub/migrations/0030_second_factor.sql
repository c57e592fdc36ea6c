-- Signing in with two factors: what people prove themselves with, the steps of a sign-in that is under way, passwords used before, and
-- accounts that end by themselves. Secrets of one-time codes are sealed with a key that the database does not hold.

alter table account
    add staff_number text check (staff_number ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,31}$'),
    add valid_until  timestamptz,
    add reviewed_at  timestamptz not null default now(),
    add unique (tenant_id, staff_number),
    drop constraint account_roles_check,
    add constraint account_roles_check
        check (roles <@ array['nurse', 'doctor', 'engineer', 'bureau', 'administrator'] and cardinality(roles) > 0),
    drop constraint account_state_check,
    add constraint account_state_check check (state in ('invited', 'active', 'disabled', 'closed'));

-- The newest is the account's own; the others may not be chosen again.
create table account_password (
    account_id    int not null references account,
    tenant_id     int not null references tenant,
    password_hash text not null,
    set_at        timestamptz not null default now(),
    primary key (account_id, set_at)
);
insert into account_password (account_id, tenant_id, password_hash, set_at)
select account_id, tenant_id, password_hash, coalesce(password_set_at, created_at) from account where password_hash is not null;

-- last_step: the newest time step of which a code was taken, so that none is taken twice (RFC 6238, 5.2).
create table account_factor (
    factor_id    int generated always as identity primary key,
    tenant_id    int not null references tenant,
    account_id   int not null references account,
    kind         text not null check (kind in ('totp', 'passkey')),
    name         text not null check (length(name) between 1 and 60),
    sealed       bytea,
    credential   bytea unique,
    public_key   bytea,
    sign_count   bigint not null default 0,
    last_step    bigint not null default 0,
    created_at   timestamptz not null default now(),
    used_at      timestamptz,
    check ((kind = 'totp') = (sealed is not null)),
    check ((kind = 'passkey') = (credential is not null and public_key is not null))
);
create index on account_factor (account_id);
create unique index one_totp_an_account on account_factor (account_id) where kind = 'totp';

create table account_recovery (
    account_id int not null references account,
    code_hash  bytea not null check (length(code_hash) = 32),
    tenant_id  int not null references tenant,
    used_at    timestamptz,
    primary key (account_id, code_hash)
);

-- A sign-in between its password and its end. challenge: what the browser's authenticator was asked; sealed: the secret that is being set up.
create table sign_in_step (
    step_hash  bytea primary key check (length(step_hash) = 32),
    tenant_id  int not null references tenant,
    account_id int not null references account,
    passed     text[] not null,
    sealed     bytea,
    challenge  bytea,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index on sign_in_step (account_id);

-- proved_at: when its person showed who sits there for the last time, by all factors that are set up. ended_why: what the next page tells who comes with the old cookie.
alter table account_session
    add address   text not null default '',
    add device    text not null default '',
    add proved_at timestamptz not null default now(),
    add challenge bytea,
    add ended_why text check (ended_why in ('signed-out', 'elsewhere', 'ended', 'link', 'password', 'disabled', 'over', 'moved'));

drop function find_session(bytea, interval);
create function find_session(wanted bytea, idle interval)
returns table (session_id uuid, tenant_id int, account_id int, display_name text, roles text[], seen_at timestamptz, proved_at timestamptz,
    address text, device text, staff_number text)
language sql stable security definer set search_path = public, pg_temp
begin atomic
    select s.session_id, s.tenant_id, s.account_id, a.display_name, a.roles, s.seen_at, s.proved_at, s.address, s.device, a.staff_number
      from account_session s
      join account a using (account_id)
     where s.session_hash = wanted and s.ended_at is null and s.ends_at > now() and s.seen_at > now() - idle
       and a.state = 'active' and (a.valid_until is null or a.valid_until > now());
end;

create function why_ended(wanted bytea) returns text language sql stable security definer set search_path = public, pg_temp
begin atomic
    select s.ended_why from account_session s where s.session_hash = wanted;
end;

create function find_step(wanted bytea)
returns table (tenant_id int, account_id int, passed text[], sealed bytea, challenge bytea)
language sql stable security definer set search_path = public, pg_temp
begin atomic
    select s.tenant_id, s.account_id, s.passed, s.sealed, s.challenge
      from sign_in_step s
      join account a using (account_id)
     where s.step_hash = wanted and s.expires_at > now() and a.state = 'active' and (a.valid_until is null or a.valid_until > now());
end;
revoke execute on function find_session, why_ended, find_step from public;
grant execute on function find_session, why_ended, find_step to wardlink_web;

grant select, insert, delete on account_password, account_factor, account_recovery, sign_in_step to wardlink_web;
grant update (staff_number, valid_until, reviewed_at) on account to wardlink_web;
grant update (name, sign_count, last_step, used_at) on account_factor to wardlink_web;
grant update (used_at) on account_recovery to wardlink_web;
grant update (passed, sealed, challenge) on sign_in_step to wardlink_web;
grant update (ended_why, proved_at, challenge) on account_session to wardlink_web;
grant select, delete on sign_in_step to wardlink_worker;
grant update (state) on account to wardlink_worker;
grant update (ended_at, ended_why) on account_session to wardlink_worker;
grant update (used_at) on account_invitation to wardlink_worker;

do $$
declare
    name text;
begin
    foreach name in array array['account_password', 'account_factor', 'account_recovery', 'sign_in_step'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy own_tenant on %I to wardlink_web using (tenant_id = current_tenant())', name);
        execute format('create policy all_tenants on %I to wardlink_worker using (true)', name);
    end loop;
end $$;
