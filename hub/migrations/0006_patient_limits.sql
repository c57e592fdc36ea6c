-- Alarm limits of one patient, which go before those of the bed (alarm_limit) while the patient is there.

-- Append-only: the newest row of a code counts; one without a bound gives back the bed's.
create table patient_limit (
    patient_limit_id bigint generated always as identity primary key,
    tenant_id        int not null references tenant,
    patient_id       int not null references patient,
    code             text not null,
    unit             text not null,
    low              double precision,
    high             double precision check (low < high),
    set_by           text not null,
    set_at           timestamptz not null default clock_timestamp()
);
create index on patient_limit (patient_id, code, patient_limit_id desc);

grant select, insert on patient_limit to wardlink_web;
grant select on patient_limit to wardlink_ingest, wardlink_worker;
alter table patient_limit enable row level security;
create policy own_tenant on patient_limit to wardlink_web using (tenant_id = current_tenant());
create policy all_tenants on patient_limit to wardlink_ingest, wardlink_worker using (true);
create trigger placement_changed after insert on patient_limit for each row execute function placement_changed();

-- What is screened by at each point of care: the patient's limit, else the bed's; `bed_low`, `bed_high` are the bed's own.
create view limit_in_force with (security_invoker = true) as
with own as (
    select distinct on (a.point_of_care_id, l.code) a.tenant_id, a.point_of_care_id, l.code, l.unit, l.low, l.high, l.set_by, l.set_at
      from patient_association a
      join patient_limit l using (patient_id)
     where a.during @> now()
     order by a.point_of_care_id, l.code, l.patient_limit_id desc
)
select coalesce(o.tenant_id, b.tenant_id) as tenant_id, point_of_care_id, code, coalesce(o.unit, b.unit) as unit,
       case when o.code is null then b.low else o.low end as low, case when o.code is null then b.high else o.high end as high,
       b.low as bed_low, b.high as bed_high, o.set_by, o.set_at
  from alarm_limit b
  full join (select * from own where low is not null or high is not null) o using (point_of_care_id, code);
grant select on limit_in_force to wardlink_web, wardlink_ingest;
