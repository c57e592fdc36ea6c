-- Functions that nobody called lately are told of as well: their names by a walk over this index, without reading every minute.
create index operation_function_name on operation_function (function);

-- What waits for the way up has a bound: beyond it the worker makes Gaps of the oldest samples (hub/upstream/bound.py).
alter table upstream_outbox add thinned boolean not null default false;
grant update (records, thinned) on upstream_outbox to wardlink_worker;

-- What goes up belongs to one tenant of the hub above, where devices of the same name would become one.
create function another_tenant_shares() returns boolean language sql stable security definer set search_path = public, pg_temp
begin atomic
    select exists (select from sharing_rule where share and tenant_id <> current_tenant());
end;
revoke execute on function another_tenant_shares from public;
grant execute on function another_tenant_shares to wardlink_web;

-- Ingest asks it behind its COPY, and marks by touch_rollups what lies before: nearly all is live, and a list of every series in every
-- transaction cost more than the rows of a gateway with many (docs/reference/figures/growth.md). The minute since 1970 before which
-- everything is closed, which nobody moves while this transaction goes on.
create function rollups_closed() returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform pg_advisory_xact_lock_shared(1465011274, 0);
    return (select case when isfinite(closed_until) then ceil(extract(epoch from closed_until) / 60)::bigint else 0 end from rollup_state);
end $$;
revoke execute on function rollups_closed from public;
grant execute on function rollups_closed to wardlink_ingest;
