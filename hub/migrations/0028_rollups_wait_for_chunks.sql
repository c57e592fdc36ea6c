-- Rollups read while nobody makes a chunk. A statement is planned for the chunks that are there, and only then given its snapshot: a
-- transaction that ends in between and has made a chunk (the first reading of a day, the first sealed hour of a week, whose hot rows are
-- gone with it) is seen, and its chunk is not read. What was made anew then stayed short (decision 0172). Who makes a chunk holds this lock
-- on its table until it ends; SQLSTATE 55P03 after two seconds, then the next run makes what is left.
create function wait_for_chunks() returns void language plpgsql set lock_timeout = '2s' as $$
begin
    lock table only observation, only observation_block in share update exclusive mode;
end $$;
revoke execute on function wait_for_chunks from public;

-- Makes the minutes that were closed since the last call, an hour of them at most, as nobody makes a chunk meanwhile; true when there are more.
create or replace function roll_up_closed() returns boolean language plpgsql security definer set search_path = public, pg_temp as $$
declare
    state rollup_state;
    begin_ timestamptz;
    end_   timestamptz;
    every_ int[];
begin
    perform pg_advisory_xact_lock(1465011275, 0);
    perform wait_for_chunks();
    select * into state from rollup_state;
    begin_ := state.rolled_until;
    if begin_ = '-infinity' then
        select min(range_start) into begin_ from timescaledb_information.chunks
         where hypertable_schema = 'public' and hypertable_name = 'observation';
        begin_ := least(begin_, (select min(hour) from observation_block), state.closed_until);
    end if;
    end_ := least(begin_ + interval '1 hour', state.closed_until);
    if begin_ < end_ then
        select coalesce(array_agg(series_id), '{}') into every_ from series where value_kind = 'number';
        perform roll_up(every_, begin_, end_, end_);
    end if;
    update rollup_state set rolled_until = end_ where rolled_until is distinct from end_;
    return end_ < state.closed_until;
end $$;

-- As before, behind who makes a chunk.
create or replace function roll_up_late(most int) returns int language plpgsql security definer set search_path = public, pg_temp as $$
declare
    rolled timestamptz;
    late   record;
    taken  int := 0;
begin
    perform pg_advisory_xact_lock(1465011275, 0);
    perform wait_for_chunks();
    select rolled_until into rolled from rollup_state;
    for late in
        with eldest as (select ctid from rollup_dirty order by series_id, from_time limit most),
             gone as (delete from rollup_dirty d using eldest e where d.ctid = e.ctid returning d.*)
        select series_id, range_agg(tstzrange(from_time, to_time)) as touched, count(*) as marks from gone group by series_id order by series_id
    loop
        taken := taken + late.marks;
        declare
            stretch tstzrange;
            begin_  timestamptz;
            end_    timestamptz;
        begin
            foreach stretch in array array(select unnest(late.touched)) loop
                begin_ := greatest(lower(stretch), rollups_kept_from(late.series_id));
                continue when begin_ >= upper(stretch);
                end_ := least(upper(stretch), begin_ + interval '1 day');
                perform roll_up(array[late.series_id], begin_, end_, rolled);
                insert into rollup_dirty select late.series_id, end_, upper(stretch) where end_ < upper(stretch);
            end loop;
        end;
    end loop;
    return taken;
end $$;

-- As before; the table first and then its chunk, in the order of who reads under the lock above.
create or replace function drop_empty_chunks(hypertable regclass, before timestamptz) returns int
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    chunk record;
    full_  boolean;
    dropped int := 0;
begin
    if hypertable not in ('waveform'::regclass, 'observation'::regclass, 'waveform_block'::regclass, 'observation_block'::regclass) then
        raise exception 'drop_empty_chunks: % is no table of the store', hypertable;
    end if;
    execute format('lock table only %s in share update exclusive mode', hypertable);
    for chunk in
        select c.chunk_schema, c.chunk_name, c.range_start, c.range_end
          from timescaledb_information.chunks c
         where c.hypertable_schema = 'public' and c.hypertable_name = hypertable::text and c.range_end <= before
         order by c.range_start
    loop
        execute format('select exists (select from %I.%I)', chunk.chunk_schema, chunk.chunk_name) into full_;
        continue when full_;
        begin
            execute format('lock table %I.%I in access exclusive mode nowait', chunk.chunk_schema, chunk.chunk_name);
        exception when lock_not_available then
            continue;
        end;
        execute format('select exists (select from %I.%I)', chunk.chunk_schema, chunk.chunk_name) into full_;
        continue when full_;
        perform drop_chunks(hypertable, older_than => chunk.range_end, newer_than => chunk.range_start);
        dropped := dropped + 1;
    end loop;
    return dropped;
end $$;
