-- The SQL of accounts.

-- name: tenant_of_name
select tenant_id from tenant where name = %(name)s

-- name: account_of_name
select account_id, state = 'active' and (valid_until is null or valid_until > now()), password_hash
  from account
 where tenant_id = %(tenant)s and name = %(name)s

-- name: account_of_id
select name, display_name, coalesce(staff_number, ''), roles, password_hash, now() - password_set_at,
       exists (select from account_factor f where f.account_id = a.account_id)
  from account a
 where account_id = %(account)s

-- name: accounts
select a.account_id, a.name, a.display_name, coalesce(a.staff_number, ''), a.roles, a.state,
       array(select w.slug from account_ward x join ward w using (ward_id) where x.account_id = a.account_id order by w.slug),
       exists (select from account_factor f where f.account_id = a.account_id),
       a.valid_until, a.reviewed_at, s.seen_at, coalesce(s.is_live, false)
  from account a
  left join lateral (
    select max(seen_at) as seen_at, bool_or(ended_at is null and ends_at > now() and seen_at > now() - %(idle)s::interval) as is_live
      from account_session x where x.account_id = a.account_id) s on true
 where a.tenant_id = %(tenant)s
 order by a.name

-- name: locked
select key, blocked_until from sign_in_failure where tenant_id = %(tenant)s and blocked_until > now() + interval '1 minute'

-- name: wards_there
select slug, name from ward where tenant_id = %(tenant)s order by slug

-- name: name_of
select name, state from account where tenant_id = %(tenant)s and account_id = %(account)s

-- name: review
update account set reviewed_at = now() where account_id = %(account)s

-- name: names
select account_id, display_name from account where account_id = any(%(ids)s)

-- name: add
insert into account (tenant_id, name, display_name, roles) values (%(tenant)s, %(name)s, %(display_name)s, %(roles)s)
returning account_id

-- name: change
update account
   set display_name = %(display_name)s, roles = %(roles)s, reviewed_at = now(), valid_until = %(valid_until)s,
       staff_number = coalesce(%(staff_number)s, staff_number), state = case state when 'disabled' then 'invited' else state end
 where account_id = %(account)s and state <> 'closed'

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
 where account_id = %(account)s and state in ('invited', 'active')

-- name: remember_password
insert into account_password (account_id, tenant_id, password_hash) values (%(account)s, %(tenant)s, %(password_hash)s)

-- name: passwords_before
select password_hash from account_password where account_id = %(account)s order by set_at desc limit %(n)s

-- name: forget_passwords
delete from account_password p
 where account_id = %(account)s
   and set_at not in (select set_at from account_password where account_id = %(account)s order by set_at desc limit %(n)s)

-- name: disable
update account set state = %(state)s where account_id = %(account)s and state <> 'closed'

-- name: over
update account set state = 'disabled' where valid_until <= now() and state in ('invited', 'active')
returning account_id, tenant_id

-- name: open_session
insert into account_session (session_hash, tenant_id, account_id, ends_at, address, device)
values (%(hash)s, %(tenant)s, %(account)s, now() + %(life)s, %(address)s, %(device)s)
returning session_id::text, proved_at

-- name: find_session
select session_id::text, tenant_id, account_id, display_name, roles, proved_at, address, device, coalesce(staff_number, ''), seen_at < now() - %(touch)s::interval
  from find_session(%(hash)s, %(idle)s)

-- name: touch_session
update account_session set seen_at = now() where session_id = %(session)s

-- name: end_session
update account_session set ended_at = now(), ended_why = %(why)s
 where session_id = %(session)s and account_id = %(account)s and ended_at is null

-- name: end_sessions
update account_session set ended_at = now(), ended_why = %(why)s where account_id = %(account)s and ended_at is null

-- name: end_other_sessions
update account_session set ended_at = now(), ended_why = %(why)s
 where account_id = %(account)s and ended_at is null and session_id <> %(session)s

-- name: live_sessions
select session_id::text, created_at, seen_at, address, device
  from account_session
 where account_id = %(account)s and ended_at is null and ends_at > now() and seen_at > now() - %(idle)s::interval
 order by created_at desc

-- name: why_ended
select why_ended(%(hash)s)

-- name: begin_attempt
insert into sign_in_failure as f (key, tenant_id, failures, failed_at, blocked_until)
values (%(key)s, %(tenant)s, 1, now(), now())
on conflict (key) do update set
    failures = case when f.blocked_until > now() then f.failures
                    when f.failed_at < now() - %(forgotten)s::interval then 1
                    else f.failures + 1 end,
    failed_at = case when f.blocked_until > now() then f.failed_at else now() end
returning failures, extract(epoch from blocked_until - now())::float8

-- name: hold_back
update sign_in_failure set blocked_until = now() + %(wait)s where key = %(key)s

-- name: take_back_attempt
update sign_in_failure set failures = failures - 1, blocked_until = now() where key = %(key)s

-- name: forgive
delete from sign_in_failure where key = %(key)s

-- name: begin_step
insert into sign_in_step (step_hash, tenant_id, account_id, passed, expires_at)
values (%(hash)s, %(tenant)s, %(account)s, %(passed)s, now() + %(life)s)

-- name: find_step
select tenant_id, account_id, passed, sealed, challenge from find_step(%(hash)s)

-- name: pass_step
update sign_in_step set passed = %(passed)s where step_hash = %(hash)s

-- name: keep_sealed
update sign_in_step set sealed = %(sealed)s where step_hash = %(hash)s

-- name: end_steps
delete from sign_in_step where account_id = %(account)s

-- name: totp
select factor_id, sealed, last_step from account_factor where account_id = %(account)s and kind = 'totp' for update

-- name: factors
select kind, name, created_at, used_at, factor_id from account_factor where account_id = %(account)s order by factor_id

-- name: add_totp
insert into account_factor (tenant_id, account_id, kind, name, sealed, last_step, used_at)
values (%(tenant)s, %(account)s, 'totp', %(name)s, %(sealed)s, %(step)s, now())

-- name: use_totp
update account_factor set last_step = %(step)s, used_at = now() where factor_id = %(factor)s

-- name: passkeys
select credential, public_key, sign_count from account_factor where account_id = %(account)s and kind = 'passkey' order by factor_id

-- name: passkey
select factor_id, public_key, sign_count from account_factor
 where account_id = %(account)s and credential = %(credential)s and kind = 'passkey'
   for update

-- name: add_passkey
insert into account_factor (tenant_id, account_id, kind, name, credential, public_key, sign_count)
values (%(tenant)s, %(account)s, 'passkey', %(name)s, %(credential)s, %(public_key)s, %(sign_count)s)
on conflict (credential) do nothing

-- name: use_passkey
update account_factor set sign_count = %(sign_count)s, used_at = now() where factor_id = %(factor)s

-- name: forget_passkey
delete from account_factor where account_id = %(account)s and factor_id = %(factor)s and kind = 'passkey'

-- name: ask_step
update sign_in_step set challenge = %(challenge)s where step_hash = %(hash)s

-- name: ask_session
update account_session set challenge = %(challenge)s where session_id = %(session)s and account_id = %(account)s

-- name: asked_of_session
select challenge from account_session where session_id = %(session)s and account_id = %(account)s for update

-- name: forget_totp
delete from account_factor where account_id = %(account)s and kind = 'totp'

-- name: forget_factors
delete from account_factor where account_id = %(account)s

-- name: forget_recovery
delete from account_recovery where account_id = %(account)s

-- name: add_recovery
insert into account_recovery (account_id, code_hash, tenant_id) values (%(account)s, %(hash)s, %(tenant)s)

-- name: use_recovery
update account_recovery set used_at = now() where account_id = %(account)s and code_hash = %(hash)s and used_at is null

-- name: recovery_left
select count(*) from account_recovery where account_id = %(account)s and used_at is null

-- name: prove
update account_session set proved_at = now() where session_id = %(session)s and account_id = %(account)s
