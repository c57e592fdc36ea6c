-- The device ledger and admission: what a device said of itself, whether its data may be stored, and what becomes of data that waits.

alter table account drop constraint account_roles_check;
alter table account add constraint account_roles_check
    check (roles <@ array['nurse', 'engineer', 'bureau', 'administrator'] and cardinality(roles) > 0);

-- required: data of a device wait in quarantine until somebody admits it. open: devices of enrolled gateways are admitted as they come.
alter table tenant add admission text not null default 'required' check (admission in ('required', 'open'));

-- refused: records beyond what the quarantine keeps of one device; they are counted, not kept.
alter table device
    add admission text not null default 'waiting' check (admission in ('waiting', 'admitted', 'retired')),
    add admitted_at timestamptz,
    add admitted_by text,
    add make text not null default '',
    add model text not null default '',
    add serial text not null default '',
    add firmware text not null default '',
    add door text not null default '',
    add battery_percent real check (battery_percent between 0 and 100),
    add battery_at timestamptz,
    add last_seen timestamptz,
    add refused bigint not null default 0,
    add refused_at timestamptz;
update device set admission = 'admitted', admitted_at = now(), admitted_by = 'system:migration';
create index on device (tenant_id, admission);

-- Whoever puts a device at a bed has admitted it.
create function placed_device_is_admitted() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update device set admission = 'admitted', admitted_at = now(), admitted_by = 'placement'
     where device_id = new.device_id and admission = 'waiting';
    return null;
end $$;
create trigger placed_device_is_admitted after insert on device_association for each row execute function placed_device_is_admitted();

-- Tells ingest that what it remembers of a device has changed.
create function admission_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('admission', new.device_id::text);
    return null;
end $$;
create trigger admission_changed after update of admission on device for each row
    when (old.admission is distinct from new.admission) execute function admission_changed();

create function default_admission() returns trigger language plpgsql as $$
begin
    if (select admission from tenant where tenant_id = new.tenant_id) = 'open' then
        new.admission := 'admitted';
        new.admitted_at := now();
        new.admitted_by := 'open tenant';
    end if;
    return new;
end $$;
create trigger default_admission before insert on device for each row execute function default_admission();

-- releasing: somebody decided, ingest has not stored it yet. note: why a release failed.
alter table quarantine
    add device text not null default '',
    add source text not null default '',
    add kind text not null default '',
    add field text not null default '',
    add media_type text not null default '',
    add note text not null default '',
    add decided_at timestamptz,
    add decided_by text;
alter table quarantine drop constraint quarantine_state_check;
alter table quarantine add constraint quarantine_state_check check (state in ('held', 'releasing', 'released', 'discarded'));
create index on quarantine (tenant_id, device) where state in ('held', 'releasing');
create index on quarantine (quarantine_id) where state = 'releasing';

create function quarantine_decided() returns trigger language plpgsql as $$
begin
    perform pg_notify('quarantine', '0');
    return null;
end $$;
create trigger quarantine_decided after update of state on quarantine for each statement execute function quarantine_decided();

-- The last thing that a gateway said of itself (WDL_EVT_GATEWAY_STATUS); its history is in the metrics.
alter table gateway add status jsonb not null default '{}', add status_at timestamptz;

-- What the edge still has to hear of: acknowledged, and not ended there.
create index alarm_acknowledged_not_ended on alarm (tenant_id) where acknowledged_at is not null and presence <> 'ended';

grant update (admission, admitted_at, admitted_by) on device to wardlink_web;
grant update (status, status_at) on gateway to wardlink_ingest;
grant update (decided_at, decided_by) on quarantine to wardlink_ingest;
grant update (admission, admitted_at, admitted_by, make, model, serial, firmware, door, battery_percent, battery_at, last_seen, refused, refused_at)
    on device to wardlink_ingest;
grant select on quarantine to wardlink_ingest;
grant update (state, reason, note) on quarantine to wardlink_ingest;
grant update (note, decided_at, decided_by) on quarantine to wardlink_web;
grant update (admission) on tenant to wardlink_web;
