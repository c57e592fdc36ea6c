-- Retention: how long each class of data of a tenant is kept, what may not go whatever its age, and a record of all that went.

-- Without a rule a class is kept for ever. Alarms, their evidence (copied samples) and the audit are no class: nothing here deletes them.
create table retention_rule (
    tenant_id int not null references tenant,
    class     text not null check (class in ('waveform', 'numeric', 'minute', 'hour', 'document', 'event', 'quarantine')),
    keep_days int not null check (keep_days between 1 and 36500),
    set_by    text not null,
    set_at    timestamptz not null default clock_timestamp(),
    primary key (tenant_id, class)
);

-- What lies in a hold stays: of a device, or of all of the tenant (device null).
create table legal_hold (
    legal_hold_id int generated always as identity primary key,
    tenant_id     int not null references tenant,
    device_id     int references device,
    from_time     timestamptz not null,
    to_time       timestamptz not null check (to_time > from_time),
    reason        text not null check (length(reason) between 1 and 500),
    placed_by     text not null,
    placed_at     timestamptz not null default clock_timestamp(),
    lifted_by     text,
    lifted_at     timestamptz
);

-- Append-only: what was destroyed, of when, how much, by which rule.
create table destruction (
    destruction_id bigint generated always as identity primary key,
    tenant_id      int not null references tenant,
    class          text not null,
    kind           text not null,
    from_time      timestamptz not null,
    to_time        timestamptz not null,
    rows           bigint not null,
    keep_days      int not null,
    whole_chunk    boolean not null,
    at             timestamptz not null default clock_timestamp()
);
create index on destruction (tenant_id, class, to_time desc);

create function destruction_is_kept() returns trigger language plpgsql as $$
begin
    raise exception 'what was destroyed is not to be changed or deleted' using errcode = 'insufficient_privilege';
end $$;
create trigger destruction_is_kept before update or delete or truncate on destruction for each statement execute function destruction_is_kept();

-- The tables of each class: kind, what tells its time, and the extent behind it.
create function retained() returns table (class text, kind text, time_column text, id_column text, extent interval) language sql immutable
begin atomic
    values ('waveform', 'waveform_block', 'slot', 'stream_id', interval '5 minutes 10 seconds'), ('waveform', 'waveform', 'start', 'stream_id', interval '10 seconds'),
           ('numeric', 'observation_block', 'hour', 'series_id', interval '1 hour'), ('numeric', 'observation', 'time', 'series_id', interval '0'),
           ('minute', 'rollup_1m', 'bucket', 'series_id', interval '1 minute'), ('hour', 'rollup_1h', 'bucket', 'series_id', interval '1 hour'),
           ('document', 'document', 'time', 'source_id', interval '0'), ('event', 'device_event', 'time', 'source_id', interval '0'),
           ('event', 'gap', 'to_time', 'source_id', interval '0'), ('quarantine', 'quarantine', 'received_at', '', interval '0');
end;

create function is_held(tenant int, device int, first_moment timestamptz, last_moment timestamptz) returns boolean language sql stable
begin atomic
    select exists (
        select from legal_hold h
         where h.tenant_id = tenant and h.lifted_at is null and (h.device_id is null or h.device_id = device)
           and h.from_time <= last_moment and h.to_time > first_moment);
end;

-- What goes by the rules, a row a tenant and kind; `dry`: nothing is deleted. Of a time series a chunk that is past every tenant's rule,
-- and in which nothing is held, goes whole.
create function destroy_expired(dry boolean, wanted_tenant int default null)
returns table (tenant int, of_class text, of_kind text, from_at timestamptz, to_at timestamptz, gone bigint, kept_days int, chunk_whole boolean)
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    what  record;
    rule  record;
    chunk record;
    owner_of text;
    condition text;
    cutoff timestamptz;
begin
    if not pg_try_advisory_xact_lock(1465011278, 0) then
        return;
    end if;
    for what in select * from retained() loop
        owner_of := case what.id_column
            when 'stream_id' then 'join stream c using (stream_id) join source o on o.source_id = c.source_id'
            when 'series_id' then 'join series c using (series_id) join source o on o.source_id = c.source_id'
            when 'source_id' then 'join source o using (source_id)'
            else 'left join device o on o.tenant_id = x.tenant_id and o.name = x.device' end;
        -- Whole chunks: past the rule of every tenant, and nothing in them is held.
        if not dry and wanted_tenant is null then
            select case when count(*) = count(r.keep_days) then now() - max(r.keep_days) * interval '1 day' end into cutoff
              from tenant t left join retention_rule r on r.tenant_id = t.tenant_id and r.class = what.class;
            for chunk in
                select c.chunk_schema, c.chunk_name, c.range_start, c.range_end from timescaledb_information.chunks c
                 where c.hypertable_schema = 'public' and c.hypertable_name = what.kind and c.range_end + what.extent <= cutoff
                   and not exists (select from legal_hold h where h.lifted_at is null and h.from_time < c.range_end + what.extent and h.to_time > c.range_start)
                 order by c.range_start
            loop
                execute format('lock table %I.%I in access exclusive mode', chunk.chunk_schema, chunk.chunk_name);
                for rule in execute format(
                    'select r.tenant_id, r.keep_days, min(x.%1$I) as first, max(x.%1$I) as last, count(*) as rows from %2$I.%3$I x %4$s'
                    ' join retention_rule r on r.tenant_id = o.tenant_id and r.class = %5$L group by 1, 2 order by 1',
                    what.time_column, chunk.chunk_schema, chunk.chunk_name, owner_of, what.class)
                loop
                    insert into destruction (tenant_id, class, kind, from_time, to_time, rows, keep_days, whole_chunk)
                    values (rule.tenant_id, what.class, what.kind, rule.first, rule.last + what.extent, rule.rows, rule.keep_days, true);
                    return query select rule.tenant_id, what.class, what.kind, rule.first::timestamptz, rule.last + what.extent, rule.rows, rule.keep_days, true;
                end loop;
                perform drop_chunks(what.kind::regclass, older_than => chunk.range_end, newer_than => chunk.range_start);
            end loop;
        end if;
        for rule in
            select r.tenant_id, r.keep_days, now() - r.keep_days * interval '1 day' as until_time from retention_rule r
             where r.class = what.class and (wanted_tenant is null or r.tenant_id = wanted_tenant) order by r.tenant_id
        loop
            condition := format('x.%1$I + %2$L::interval < %3$L and x.%1$I < %3$L and %6$s = %4$s and not is_held(%4$s, o.device_id, x.%1$I, x.%1$I + %2$L::interval)%5$s',
                what.time_column, what.extent, rule.until_time, rule.tenant_id,
                case when what.kind = 'quarantine' then ' and x.state in (''released'', ''discarded'')' else '' end,
                case when what.kind = 'quarantine' then 'x.tenant_id' else 'o.tenant_id' end);
            declare
                first_ timestamptz;
                last_  timestamptz;
                rows_  bigint;
            begin
                if dry then
                    execute format('select min(x.%1$I), max(x.%1$I), count(*) from %2$I x %3$s where %4$s', what.time_column, what.kind, owner_of, condition)
                       into first_, last_, rows_;
                else
                    -- Of a hypertable a row is named by chunk and place.
                    execute format('with gone as (delete from %2$I d using (select x.tableoid as chunk, x.ctid as place from %2$I x %3$s where %4$s) e'
                                   ' where d.tableoid = e.chunk and d.ctid = e.place returning d.%1$I as t) select min(t), max(t), count(*) from gone',
                                   what.time_column, what.kind, owner_of, condition)
                       into first_, last_, rows_;
                    if rows_ > 0 then
                        insert into destruction (tenant_id, class, kind, from_time, to_time, rows, keep_days, whole_chunk)
                        values (rule.tenant_id, what.class, what.kind, first_, last_ + what.extent, rows_, rule.keep_days, false);
                    end if;
                end if;
                if rows_ > 0 then
                    return query select rule.tenant_id, what.class, what.kind, first_, last_ + what.extent, rows_, rule.keep_days, false;
                end if;
            end;
        end loop;
    end loop;
end $$;

-- Late data for a time whose readings, or minutes, were destroyed must not make the rollups of that time anew: they would then lack the rest.
create or replace function rollups_kept_from(series int) returns timestamptz language sql stable
begin atomic
    select coalesce(date_trunc('hour', max(d.to_time) + interval '1 hour' - interval '1 microsecond', 'UTC'), '-infinity')
      from destruction d
      join series s on s.tenant_id = d.tenant_id
     where s.series_id = series and d.class in ('numeric', 'minute');
end;

revoke execute on function destroy_expired, is_held from public;
grant execute on function destroy_expired to wardlink_worker;
grant select, insert, update, delete on retention_rule to wardlink_worker;
grant select, insert on legal_hold to wardlink_worker;
grant update (lifted_by, lifted_at) on legal_hold to wardlink_worker;
grant select on destruction to wardlink_worker, wardlink_web, wardlink_reporting;
grant select on retention_rule, legal_hold to wardlink_web;
do $$
declare
    name text;
begin
    foreach name in array array['retention_rule', 'legal_hold', 'destruction'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy own_tenant on %I to wardlink_web, wardlink_reporting using (tenant_id = current_tenant())', name);
        execute format('create policy all_tenants on %I to wardlink_worker using (true)', name);
    end loop;
end $$;
