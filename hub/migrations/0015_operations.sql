-- Who sends more than it may; searching names by how they are spelt; what the processes of the hub measured of themselves.

-- flooding_since: its gateway holds it back since then; throttled_since: the hub holds it back, throttled_until: the last time that ended.
alter table device add flooding_since timestamptz, add flooded_at timestamptz;
alter table gateway add throttled_since timestamptz, add throttled_until timestamptz;
grant update (flooding_since, flooded_at) on device to wardlink_ingest;
grant update (throttled_since, throttled_until) on gateway to wardlink_ingest;

-- What is searched by name: devices, sources, wards, and patients (for those who may). The triggers write `words` at once, so that it is
-- found as it is written; `spelt` is pinyin, filled by the role web before it searches (null: not yet; docs/decisions/0148).
create table search_entry (
    kind      text not null check (kind in ('device', 'source', 'ward', 'patient')),
    ref_id    int not null,
    tenant_id int not null references tenant,
    label     text not null,
    words     text not null,
    spelt     text,
    text      text not null generated always as (' ' || words || ' ' || coalesce(spelt, '') || ' ') stored,
    primary key (kind, ref_id)
);
create index search_entry_text on search_entry using gin (text gin_trgm_ops);
create index search_entry_unspelt on search_entry (tenant_id) where spelt is null;

-- Small letters; each Chinese character is a word of its own, so that trigrams find any part of a name.
create function search_words(written text) returns text language sql immutable
return btrim(regexp_replace(regexp_replace(lower(normalize(written, NFKC)), '([\u3400-\u9fff])', ' \1 ', 'g'), '\s+', ' ', 'g'));

create function keep_search_entry(a_kind text, an_id int, a_tenant int, a_label text) returns void
language sql security definer set search_path = public, pg_temp
begin atomic
    insert into search_entry as e (kind, ref_id, tenant_id, label, words, spelt)
    values (a_kind, an_id, a_tenant, a_label, search_words(a_label), case when a_label !~ '[\u3400-\u9fff]' then '' end)
    on conflict (kind, ref_id) do update set label = excluded.label, words = excluded.words, spelt = excluded.spelt
     where e.label <> excluded.label;
end;
revoke execute on function keep_search_entry from public;

create function device_is_searched() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform keep_search_entry('device', new.device_id, new.tenant_id, concat_ws(' ', new.name, nullif(new.make, ''), nullif(new.model, ''), nullif(new.serial, '')));
    return null;
end $$;
create function source_is_searched() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform keep_search_entry('source', new.source_id, new.tenant_id, new.path);
    return null;
end $$;
create function ward_is_searched() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform keep_search_entry('ward', new.ward_id, new.tenant_id, concat_ws(' ', new.name, nullif(new.slug, new.name)));
    return null;
end $$;
create function patient_is_searched() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform keep_search_entry('patient', new.patient_id, new.tenant_id, concat_ws(' ', new.name, new.hospital_number));
    return null;
end $$;
create trigger device_is_searched after insert on device for each row execute function device_is_searched();
create trigger device_is_searched_anew after update of name, make, model, serial on device for each row
    when ((old.name, old.make, old.model, old.serial) is distinct from (new.name, new.make, new.model, new.serial)) execute function device_is_searched();
create trigger source_is_searched after insert on source for each row execute function source_is_searched();
create trigger ward_is_searched after insert or update of name, slug on ward for each row execute function ward_is_searched();
create trigger patient_is_searched after insert on patient for each row execute function patient_is_searched();
create trigger patient_is_searched_anew after update of name, hospital_number on patient for each row
    when ((old.name, old.hospital_number) is distinct from (new.name, new.hospital_number)) execute function patient_is_searched();

select keep_search_entry('device', device_id, tenant_id, concat_ws(' ', name, nullif(make, ''), nullif(model, ''), nullif(serial, ''))) from device;
select keep_search_entry('source', source_id, tenant_id, path) from source;
select keep_search_entry('ward', ward_id, tenant_id, concat_ws(' ', name, nullif(slug, name))) from ward;
select keep_search_entry('patient', patient_id, tenant_id, concat_ws(' ', name, hospital_number)) from patient;

grant select, update (spelt) on search_entry to wardlink_web;
alter table search_entry enable row level security;
create policy own_tenant on search_entry to wardlink_web using (tenant_id = current_tenant());

-- Row security would keep the index of trigrams from being used, so this looks at the tenant itself. Every word that was typed has to be
-- found: as a part of the text (`patterns`, for LIKE), or by most of its trigrams (`typed`). `patients`: those that may be found at all.
create function search_entries(typed text[], patterns text[], kinds text[], patients int[], most int)
returns table (kind text, ref_id int, label text, score real)
language sql stable security definer set search_path = public, pg_temp set pg_trgm.word_similarity_threshold = 0.45
begin atomic
    select e.kind, e.ref_id, e.label,
           (select sum(case when strpos(e.text, ' ' || w || ' ') > 0 then 2 when e.text like p then 1 + word_similarity(w, e.text) / 2
                            else word_similarity(w, e.text) end)
              from unnest(typed, patterns) as u (w, p))::real as score
      from search_entry e
     where e.tenant_id = current_tenant() and e.kind = any (kinds) and (e.kind <> 'patient' or e.ref_id = any (patients))
       and (e.text like patterns[1] or typed[1] <% e.text)
       and (select bool_and(e.text like p or w <% e.text) from unnest(typed, patterns) as u (w, p))
     order by score desc, e.label, e.kind, e.ref_id
     limit most;
end;
revoke execute on function search_entries from public;
grant execute on function search_entries to wardlink_web;

-- What the processes of the hub measured of themselves, a row a process and minute (docs/decisions/0149); of no tenant, and of nobody.
-- up_s: seconds of the minute in which the process ran. buckets: calls by response time, hub.core.functions.BOUNDS_S and those above.
create table operation_process (
    minute   timestamptz not null,
    role     text not null,
    instance text not null,
    up_s     real not null,
    figures  jsonb not null,
    primary key (minute, role, instance)
);
create table operation_function (
    minute   timestamptz not null,
    role     text not null,
    instance text not null,
    function text not null,
    calls    int not null,
    failed   int not null,
    buckets  int[] not null,
    primary key (minute, role, instance, function)
);
create index operation_function_failed on operation_function (minute, function) where failed > 0;
grant insert on operation_process, operation_function to wardlink_ingest, wardlink_web, wardlink_worker;
grant select on operation_process, operation_function to wardlink_web, wardlink_worker;
grant delete on operation_process, operation_function to wardlink_worker;

-- Somebody at the hub's machine wants to follow the next message of a device: ingest is told, and writes the times of its hops here, once.
-- Times, positions and codes only.
create table trace (
    trace_id  bigint generated always as identity primary key,
    tenant_id int not null references tenant,
    device    text not null,
    asked_at  timestamptz not null default clock_timestamp(),
    ends_at   timestamptz not null,
    told      jsonb
);
create index on trace (ends_at) where told is null;
create function trace_asked() returns trigger language plpgsql as $$
begin
    perform pg_notify('trace', '0');
    return null;
end $$;
create trigger trace_asked after insert on trace for each statement execute function trace_asked();
grant select, insert on trace to wardlink_web;
grant select, update (told) on trace to wardlink_ingest;
grant select, delete on trace to wardlink_worker;
alter table trace enable row level security;
create policy own_tenant on trace to wardlink_web using (tenant_id = current_tenant());
create policy all_tenants on trace to wardlink_ingest, wardlink_worker using (true);
