-- Searching names of a large ledger: the index is asked by every word that was typed, not by the longest alone ("unit 1734" read every unit),
-- and what is asked of a row is said without a subquery for each. The worker spells what was imported (docs/decisions/0173).

-- Loads pg_trgm: before that nobody but a superuser may set a parameter of it, and in a database that is brought up to date nothing has yet.
select word_similarity('', '');

create or replace function search_entries(typed text[], patterns text[], kinds text[], patients int[], most int)
returns table (kind text, ref_id int, label text, score real)
language plpgsql stable security definer set search_path = public, pg_temp set pg_trgm.word_similarity_threshold = 0.45 as $$
declare
    found_ text;
    score_ text;
begin
    select string_agg(format('(e.text like %1$L or %2$L <%% e.text)', p, w), ' and '),
           string_agg(format('case when strpos(e.text, %3$L) > 0 then 2 when e.text like %1$L then 1 + word_similarity(%2$L, e.text) / 2 else word_similarity(%2$L, e.text) end',
                             p, w, ' ' || w || ' '), ' + ')
      into found_, score_ from unnest(typed, patterns) as u (w, p);
    if found_ is null then
        return;
    end if;
    return query execute
        'select e.kind, e.ref_id, e.label, (' || score_ || ')::real as score
           from search_entry e
          where e.tenant_id = current_tenant() and e.kind = any ($1) and (e.kind <> ''patient'' or e.ref_id = any ($2)) and ' || found_ || '
          order by score desc, e.label, e.kind, e.ref_id limit $3' using kinds, patients, most;
end $$;

grant select, update (spelt) on search_entry to wardlink_worker;
create policy all_tenants on search_entry to wardlink_worker using (true);

-- As before, and each stretch of rollups is asked for by its time too: the index was asked by series alone, and a day read every day there is.
create or replace function observation_buckets(wanted int[], froms timestamptz[], tos timestamptz[], width interval)
returns table (series_id int, bucket timestamptz, lowest double precision, highest double precision, mean double precision, n bigint, unusable bigint)
language sql stable security definer set search_path = public, pg_temp
begin atomic
    with asked as (
        select w.series_id, w.from_time, w.to_time,
               date_trunc('minute', w.from_time + interval '1 minute' - interval '1 microsecond') as from_minute,
               least(date_trunc('minute', w.to_time), (select rolled_until from rollup_state)) as to_minute
          from unnest(wanted, froms, tos) as w (series_id, from_time, to_time)
          join series s on s.series_id = w.series_id and s.tenant_id = current_tenant()
         where w.from_time < w.to_time),
    made as (
        select a.series_id, tstzmultirange(tstzrange(a.from_time, a.to_time)) as whole,
               case when a.from_minute < a.to_minute and extract(epoch from width) % 60 = 0
                    then tstzmultirange(tstzrange(a.from_minute, a.to_minute)) else '{}'::tstzmultirange end
               - coalesce((select range_agg(tstzrange(d.from_time, d.to_time)) from rollup_dirty d
                            where d.series_id = a.series_id and d.from_time < a.to_time and d.to_time > a.from_time), '{}') as minutes
          from asked a),
    pieces as (
        select m.series_id, p.piece, lower(p.piece) as lower_minute, upper(p.piece) as upper_minute,
               date_trunc('hour', lower(p.piece) + interval '1 hour' - interval '1 microsecond', 'UTC') as from_hour,
               date_trunc('hour', upper(p.piece), 'UTC') as to_hour
          from made m cross join lateral unnest(m.minutes) as p (piece)),
    levels as (
        select p.series_id, p.piece,
               case when p.from_hour < p.to_hour and extract(epoch from width) % 3600 = 0
                    then tstzmultirange(tstzrange(p.from_hour, p.to_hour)) else '{}'::tstzmultirange end as hours
          from pieces p),
    gathered as (
        select r.series_id, r.bucket as at, r.lowest, r.highest, r.total, r.n::bigint as n,
               (r.qualities[3] + r.qualities[4] + r.qualities[5] + r.qualities[6] + r.qualities[7])::bigint as unusable
          from levels l cross join lateral unnest(l.hours) as h (piece)
         cross join lateral (select * from rollup_1h r where r.series_id = l.series_id and r.bucket >= lower(h.piece) and r.bucket < upper(h.piece) offset 0) r
        union all
        select r.series_id, r.bucket, r.lowest, r.highest, r.total, r.n,
               r.qualities[3] + r.qualities[4] + r.qualities[5] + r.qualities[6] + r.qualities[7]
          from levels l cross join lateral unnest(tstzmultirange(l.piece) - l.hours) as m (piece)
         cross join lateral (select * from rollup_1m r where r.series_id = l.series_id and r.bucket >= lower(m.piece) and r.bucket < upper(m.piece) offset 0) r
        union all
        select o.series_id, o.time, o.value, o.value, o.value, (o.quality <= 2)::int, (o.quality > 2)::int
          from made m cross join lateral unnest(m.whole - m.minutes) as raw (piece)
         cross join lateral readings(array[m.series_id], lower(raw.piece), upper(raw.piece)) o
         where o.value is not null and o.value <> 'NaN' and abs(o.value) <> 'Infinity')
    select g.series_id, time_bucket(width, g.at),
           min(g.lowest) filter (where g.n > 0), max(g.highest) filter (where g.n > 0),
           sum(g.total) filter (where g.n > 0) / nullif(sum(g.n), 0), sum(g.n)::bigint, sum(g.unusable)::bigint
      from gathered g
     group by 1, 2
     order by 1, 2;
end;
