-- The SQL of releases and rollouts for people and commands, as the role web.

-- name: add
insert into release (tenant_id, digest, version, python, machine, size, signers, added_by)
values (%(tenant)s, %(digest)s, %(version)s, %(python)s, %(machine)s, %(size)s, %(signers)s, %(by)s)
on conflict (tenant_id, digest) do nothing
returning release_id

-- name: add_chunk
insert into release_chunk (release_id, n, tenant_id, data) values (%(release)s, %(n)s, %(tenant)s, %(data)s)

-- name: releases
select release_id, digest, version, python, machine, size, signers, added_by, added_at from release
 where tenant_id = %(tenant)s order by release_id desc

-- name: in_turn
-- Two plans at once would each see no other. Ingest takes the same before a step (turns.sql).
select pg_advisory_xact_lock(hashtext('rollouts of a tenant'), %(tenant)s)

-- name: candidates
-- Gateways that a release may go to: enrolled, no hubs. version: what each said last.
select g.gateway_id, g.name, coalesce(g.status ->> 'agent_version', '') from gateway g
 where g.tenant_id = %(tenant)s and g.revoked_at is null and not g.forwards
   and exists (select from gateway_certificate c where c.gateway_id = g.gateway_id and c.revoked_at is null)
 order by g.name

-- name: plan
insert into rollout (tenant_id, release_id, stages, soak_s, made_by)
values (%(tenant)s, %(release)s, %(stages)s, %(soak_s)s, %(by)s)
returning rollout_id

-- name: plan_gateway
insert into rollout_gateway (rollout_id, gateway_id, tenant_id, stage) values (%(rollout)s, %(gateway)s, %(tenant)s, %(stage)s)

-- name: event
insert into rollout_event (tenant_id, rollout_id, state, reason, who)
values (%(tenant)s, %(rollout)s, %(state)s, %(reason)s, %(by)s)

-- name: rollouts
select r.rollout_id, e.version, r.stages, r.soak_s, r.made_by, r.made_at, r.state, r.reason, r.state_at
  from rollout_now r
  join release e using (release_id)
 where r.tenant_id = %(tenant)s
 order by r.rollout_id desc limit %(most)s

-- name: rollout_gateways
select g.rollout_id, g.gateway_id, w.name, g.stage, g.state, g.reason, g.state_at, g.well, g.well_at, w.revoked_at is not null
  from rollout_gateway_now g
  join gateway w using (gateway_id)
 where g.tenant_id = %(tenant)s and g.rollout_id = any(%(rollouts)s)
 order by g.rollout_id desc, g.stage, w.name
