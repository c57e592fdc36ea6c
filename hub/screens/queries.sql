-- The SQL of open ward pages.

-- name: in_turn
-- Reports of one page one behind the other: two at once would both see what was before.
select pg_advisory_xact_lock(hashtext('screen'), hashtext(%(screen)s::text))

-- name: tell
-- How the page sounded before, null for one that is new; no row for a page of somebody else.
with before as (select sound from screen where tenant_id = %(tenant)s and screen_id = %(screen)s)
insert into screen as s (tenant_id, screen_id, ward_id, who, sound)
values (%(tenant)s, %(screen)s, %(ward)s, %(who)s, %(sound)s)
on conflict (tenant_id, screen_id) do update
   set ward_id = excluded.ward_id, sound = excluded.sound, seen_at = clock_timestamp(),
       sound_since = case when s.sound = excluded.sound then s.sound_since else clock_timestamp() end
 where s.who = excluded.who
returning (select sound from before)

-- name: forget
delete from screen where tenant_id = %(tenant)s and seen_at < now() - interval '1 day'

-- name: close
delete from screen where tenant_id = %(tenant)s and screen_id = %(screen)s and who = %(who)s

-- name: open
select s.screen_id::text, w.slug, w.name, s.who, s.sound, s.sound_since, s.seen_at,
       greatest(s.seen_at, %(began)s) <= now() - %(silent)s as is_silent
  from screen s
  join ward w using (ward_id)
 where s.tenant_id = %(tenant)s and s.seen_at > now() - %(forgotten)s
   and (greatest(s.seen_at, %(began)s) > now() - %(silent)s
        or not exists (select from screen n
                        where n.tenant_id = s.tenant_id and n.ward_id = s.ward_id and n.who = s.who and n.opened_at > s.seen_at))
 order by is_silent desc, s.sound = 'on', w.slug, s.sound_since
 limit 500
