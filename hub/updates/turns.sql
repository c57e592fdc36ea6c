-- The SQL of rollouts as ingest needs it: whose turn it is, what they answer, when the next stage opens.

-- name: due
-- A rollout that stands still offers nothing.
select r.rollout_id, g.gateway_id, e.digest, e.version, g.state
  from rollout_now r
  join rollout_gateway_now g using (rollout_id)
  join release e using (release_id)
 where r.state = 'running' and g.gateway_id = any(%(gateways)s) and g.state in ('offered', 'sent')

-- name: gateway_event
insert into rollout_gateway_event (tenant_id, rollout_id, gateway_id, state, reason)
select tenant_id, rollout_id, gateway_id, %(state)s, %(reason)s from rollout_gateway
 where rollout_id = %(rollout)s and gateway_id = %(gateway)s

-- name: answered
-- Once, and only by a gateway that it was sent to; also while the rollout stands still.
insert into rollout_gateway_event (tenant_id, rollout_id, gateway_id, state, reason)
select g.tenant_id, g.rollout_id, g.gateway_id, %(state)s, %(reason)s
  from rollout_gateway_now g
  join rollout r using (rollout_id)
  join release e using (release_id)
 where g.rollout_id = %(rollout)s and g.gateway_id = %(gateway)s and e.digest = %(digest)s and g.state = 'sent'
returning true

-- name: chunk
select substring(c.data from %(offset)s %% 262144 + 1 for %(length)s)
  from rollout_now r
  join rollout_gateway_now g using (rollout_id)
  join release_chunk c on c.release_id = r.release_id and c.n = %(offset)s / 262144
 where r.rollout_id = %(rollout)s and r.state = 'running' and g.gateway_id = %(gateway)s and g.state = 'sent'

-- name: running
select rollout_id, tenant_id from rollout_now where state = 'running' order by rollout_id

-- name: in_turn
-- Two processes of ingest would both see a stage ripe, and a person who cancels it (queries.sql) would not be the last.
select pg_try_advisory_xact_lock(hashtext('rollouts of a tenant'), %(tenant)s)

-- name: still_running
select r.soak_s, r.running_since, e.version
  from rollout_now r
  join release e using (release_id)
 where r.rollout_id = %(rollout)s and r.state = 'running'

-- name: gateways
-- heard: when something of it was last stored; told: which version it says that it runs, and when.
select g.gateway_id, w.name, g.stage, g.state, g.reason, g.state_at, g.well, g.well_at, w.revoked_at is not null,
       (select max(p.updated_at) from lane_position p where p.gateway_id = g.gateway_id),
       w.status ->> 'agent_version', w.status_at, clock_timestamp()
  from rollout_gateway_now g
  join gateway w using (gateway_id)
 where g.rollout_id = %(rollout)s
 order by g.stage, w.name

-- name: offer
insert into rollout_gateway_event (tenant_id, rollout_id, gateway_id, state)
select g.tenant_id, g.rollout_id, g.gateway_id, 'offered' from rollout_gateway_now g
  join gateway w using (gateway_id)
 where g.rollout_id = %(rollout)s and g.stage <= %(stage)s and g.state = 'waiting' and w.revoked_at is null

-- name: event
insert into rollout_event (tenant_id, rollout_id, state, reason, who)
select tenant_id, rollout_id, %(state)s, %(reason)s, %(who)s from rollout where rollout_id = %(rollout)s
