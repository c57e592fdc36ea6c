-- The SQL of accounts.

-- name: tenant_of_name
select tenant_id from tenant where name = %(name)s

-- name: account_of_name
select account_id, state, display_name, roles, password_hash from account where tenant_id = %(tenant)s and name = %(name)s

-- name: accounts
select a.account_id, a.name, a.display_name, a.roles, a.state,
       array(select w.slug from account_ward x join ward w using (ward_id) where x.account_id = a.account_id order by w.slug)
  from account a
 where a.tenant_id = %(tenant)s
 order by a.name

-- name: names
select account_id, display_name from account where account_id = any(%(ids)s)

-- name: add
insert into account (tenant_id, name, display_name, roles) values (%(tenant)s, %(name)s, %(display_name)s, %(roles)s)
returning account_id

-- name: change
update account set display_name = %(display_name)s, roles = %(roles)s where account_id = %(account)s

-- name: forget_wards
delete from account_ward where account_id = %(account)s

-- name: assign_ward
insert into account_ward (account_id, ward_id, tenant_id)
select %(account)s, ward_id, tenant_id from ward where tenant_id = %(tenant)s and slug = %(ward)s

-- name: wards
select ward_id from account_ward where account_id = %(account)s

-- name: withdraw_invitations
update account_invitation set used_at = now() where account_id = %(account)s and used_at is null

-- name: invite
insert into account_invitation (token_hash, tenant_id, account_id, expires_at)
values (%(hash)s, %(tenant)s, %(account)s, now() + %(life)s)

-- name: find_invitation
select tenant_id, account_id, name, display_name, state, expires_at <= now(), used_at is not null from find_invitation(%(hash)s)

-- name: use_invitation
update account_invitation set used_at = now() where token_hash = %(hash)s and used_at is null and expires_at > now()

-- name: set_password
update account set password_hash = %(password_hash)s, password_set_at = now(), state = 'active'
 where account_id = %(account)s and state <> 'disabled'
returning display_name, roles

-- name: disable
update account set state = 'disabled' where account_id = %(account)s

-- name: open_session
insert into account_session (session_hash, tenant_id, account_id, ends_at)
values (%(hash)s, %(tenant)s, %(account)s, now() + %(life)s)
returning session_id::text

-- name: find_session
select session_id::text, tenant_id, account_id, display_name, roles, seen_at < now() - %(touch)s::interval
  from find_session(%(hash)s, %(idle)s)

-- name: touch_session
update account_session set seen_at = now() where session_id = %(session)s

-- name: end_session
update account_session set ended_at = now() where session_id = %(session)s and ended_at is null

-- name: end_sessions
update account_session set ended_at = now() where account_id = %(account)s and ended_at is null

-- name: blocked
select failures, extract(epoch from blocked_until - now())::float8 from sign_in_failure where key = %(key)s

-- name: failed
insert into sign_in_failure as f (key, tenant_id, failures, failed_at, blocked_until)
values (%(key)s, %(tenant)s, 1, now(), now())
on conflict (key) do update set
    failures = case when f.failed_at < now() - %(forgotten)s::interval then 1 else f.failures + 1 end,
    failed_at = now()
returning failures

-- name: hold_back
update sign_in_failure set blocked_until = now() + %(wait)s where key = %(key)s

-- name: forgive
delete from sign_in_failure where key = %(key)s
