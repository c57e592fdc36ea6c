-- People of the hub: accounts, their wards, one-time invitations, sessions, and what holds back guessing of passwords.
-- Secrets are never stored: of tokens and session ids only the SHA-256, of passwords the argon2id hash.

create table account (
    account_id      int generated always as identity primary key,
    tenant_id       int not null references tenant,
    name            text not null check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    display_name    text not null check (length(display_name) between 1 and 200),
    roles           text[] not null check (roles <@ array['nurse', 'administrator'] and cardinality(roles) > 0),
    state           text not null default 'invited' check (state in ('invited', 'active', 'disabled')),
    password_hash   text,
    password_set_at timestamptz,
    created_at      timestamptz not null default now(),
    unique (tenant_id, name),
    check (state <> 'active' or password_hash is not null)
);

-- Which wards a nurse sees. Somebody without a row sees none; an administrator sees all of the tenant, without patients.
create table account_ward (
    account_id int not null references account,
    ward_id    int not null references ward,
    tenant_id  int not null references tenant,
    primary key (account_id, ward_id)
);

create table account_invitation (
    token_hash bytea primary key check (length(token_hash) = 32),
    tenant_id  int not null references tenant,
    account_id int not null references account,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at    timestamptz
);
create index on account_invitation (account_id);

-- id is public (audit, events); the cookie's value is known here by its hash only.
create table account_session (
    session_hash bytea primary key check (length(session_hash) = 32),
    session_id   uuid not null unique default gen_random_uuid(),
    tenant_id    int not null references tenant,
    account_id   int not null references account,
    created_at   timestamptz not null default now(),
    seen_at      timestamptz not null default now(),
    ends_at      timestamptz not null,
    ended_at     timestamptz
);
create index on account_session (account_id);

-- By the hash of tenant and name, whether or not such an account exists: nothing can be learnt from being held back.
create table sign_in_failure (
    key           bytea primary key check (length(key) = 32),
    tenant_id     int not null references tenant,
    failures      int not null,
    failed_at     timestamptz not null,
    blocked_until timestamptz not null
);

-- A session or an invitation is found by its secret before the tenant is known; the secret is the authority.
create function find_session(wanted bytea, idle interval)
returns table (session_id uuid, tenant_id int, account_id int, display_name text, roles text[], seen_at timestamptz)
language sql stable security definer set search_path = public, pg_temp
begin atomic
    select s.session_id, s.tenant_id, s.account_id, a.display_name, a.roles, s.seen_at
      from account_session s
      join account a using (account_id)
     where s.session_hash = wanted and s.ended_at is null and s.ends_at > now() and s.seen_at > now() - idle
       and a.state = 'active';
end;

create function find_invitation(wanted bytea)
returns table (tenant_id int, account_id int, name text, display_name text, state text, expires_at timestamptz, used_at timestamptz)
language sql stable security definer set search_path = public, pg_temp
begin atomic
    select i.tenant_id, i.account_id, a.name, a.display_name, a.state, i.expires_at, i.used_at
      from account_invitation i
      join account a using (account_id)
     where i.token_hash = wanted;
end;
revoke execute on function find_session, find_invitation from public;
grant execute on function find_session, find_invitation to wardlink_web;

-- Where a device was: the point of care at that moment, else the one it is at now.
create function place_at(device int, moment timestamptz) returns int language sql stable
begin atomic
    select point_of_care_id from device_association
     where device_id = device and (during @> moment or during @> now())
     order by during @> moment desc
     limit 1;
end;

-- When each stream has its last group. Web has no right on the table itself.
create function last_waveforms(wanted int[])
returns table (stream_id int, start timestamptz)
language sql stable security definer set search_path = public, pg_temp
begin atomic
    select s.stream_id, w.start
      from stream s
     cross join lateral (
        select x.start from waveform x where x.stream_id = s.stream_id order by x.start desc limit 1) as w
     where s.stream_id = any (wanted) and s.tenant_id = current_tenant();
end;
revoke execute on function last_waveforms from public;
grant execute on function last_waveforms to wardlink_web;

grant select, insert on account, account_ward, account_invitation, account_session, sign_in_failure to wardlink_web;
grant update (display_name, roles, state, password_hash, password_set_at) on account to wardlink_web;
grant delete on account_ward, sign_in_failure to wardlink_web;
grant update (used_at) on account_invitation to wardlink_web;
grant update (seen_at, ended_at) on account_session to wardlink_web;
grant update (failures, failed_at, blocked_until) on sign_in_failure to wardlink_web;
grant select on account, account_ward, account_invitation, account_session, sign_in_failure to wardlink_worker;
grant delete on account_invitation, account_session, sign_in_failure to wardlink_worker;

do $$
declare
    name text;
begin
    foreach name in array array['account', 'account_ward', 'account_invitation', 'account_session', 'sign_in_failure'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy own_tenant on %I to wardlink_web using (tenant_id = current_tenant())', name);
        execute format('create policy all_tenants on %I to wardlink_worker using (true)', name);
    end loop;
end $$;
