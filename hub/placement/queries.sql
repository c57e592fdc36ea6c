-- The SQL of placement. Triggers count the placement up and tell ingest, which sends it to the gateways.

-- name: wards
select ward_id, slug, name from ward where tenant_id = %(tenant)s order by slug

-- name: add_ward
insert into ward (tenant_id, slug, name) values (%(tenant)s, %(slug)s, %(name)s) on conflict (tenant_id, slug) do nothing

-- name: add_bed
insert into point_of_care (tenant_id, ward_id, bed) values (%(tenant)s, %(ward)s, %(bed)s) on conflict (ward_id, bed) do nothing

-- name: points
select p.point_of_care_id, p.bed, w.ward_id, w.slug, w.name
  from point_of_care p
  join ward w using (ward_id)
 where p.tenant_id = %(tenant)s

-- name: placed_devices
select d.device_id, a.point_of_care_id, d.name, coalesce(g.name, '')
  from device_association a
  join device d using (device_id)
  left join gateway g on g.gateway_id = d.gateway_id
 where a.tenant_id = %(tenant)s and a.during @> now()
 order by d.name

-- name: patients
select a.point_of_care_id, p.name, p.sex, p.birth_date, p.patient_id
  from patient_association a
  join patient p using (patient_id)
 where a.point_of_care_id = any(%(points)s) and a.during @> now()

-- name: watched
select a.point_of_care_id, d.device_id, d.name,
       greatest(lower(a.during), coalesce((select lower(p.during) from patient_association p
                                            where p.point_of_care_id = a.point_of_care_id and p.during @> now()),
                                          (select max(upper(p.during)) from patient_association p
                                            where p.point_of_care_id = a.point_of_care_id and upper(p.during) <= now())))
  from device_association a
  join device d using (device_id)
 where a.point_of_care_id = any(%(points)s) and a.during @> now()
 order by a.point_of_care_id, d.name

-- name: patient_now
select patient_id, lower(during) from patient_association where point_of_care_id = %(point)s and during @> now()

-- name: last_patient_left
select max(upper(during)) from patient_association where point_of_care_id = %(point)s and upper(during) <= now()

-- name: spans_of_patient
select d.device_id, d.name, lower(x.both), upper(x.both)
  from patient_association p
  join device_association a using (point_of_care_id)
  join device d using (device_id)
 cross join lateral (select p.during * a.during * tstzrange(%(from)s, %(to)s) as both) as x
 where p.patient_id = %(patient)s and p.point_of_care_id = any(%(points)s) and not isempty(x.both)
 order by d.name, lower(x.both)

-- name: spans_of_point
select d.device_id, d.name, lower(x.both), upper(x.both)
  from device_association a
  join device d using (device_id)
 cross join lateral (select a.during * tstzrange(%(from)s, %(to)s) as both) as x
 where a.point_of_care_id = %(point)s and not isempty(x.both)
 order by d.name, lower(x.both)

-- name: whose
select a.point_of_care_id, p.patient_id, p.name, p.sex, p.birth_date
  from device_association a
  left join patient_association b on b.point_of_care_id = a.point_of_care_id and b.during @> %(at)s
  left join patient p using (patient_id)
 where a.device_id = %(device)s and a.during @> %(at)s and a.point_of_care_id = any(%(points)s)

-- name: who_was
select p.name, p.sex, p.birth_date
  from patient_association a
  join patient p using (patient_id)
 where a.point_of_care_id = %(point)s and a.during @> %(at)s

-- What a gateway refused counts while a device of it is at the bed.
-- name: limits
select f.point_of_care_id, f.code, f.unit, f.low, f.high, f.bed_low, f.bed_high, f.set_by, f.set_at,
       (select min(r.reason)
          from limit_refusal r
          join device d on d.gateway_id = r.gateway_id
          join device_association a on a.device_id = d.device_id and a.point_of_care_id = r.point_of_care_id and a.during @> now()
         where r.point_of_care_id = f.point_of_care_id and r.code = f.code)
  from limit_in_force f
 where f.point_of_care_id = any(%(points)s)
 order by f.code

-- name: set_patient_limit
insert into patient_limit (tenant_id, patient_id, code, unit, low, high, set_by)
values (%(tenant)s, %(patient)s, %(code)s, %(unit)s, %(low)s, %(high)s, %(who)s)

-- name: give_back_limits
insert into patient_limit (tenant_id, patient_id, code, unit, set_by)
select distinct on (l.code) %(tenant)s, l.patient_id, l.code, l.unit, %(who)s
  from patient_limit l
 where l.patient_id = %(patient)s

-- name: one_at_a_time
select pg_advisory_xact_lock(hashtext('placement'), %(tenant)s)

-- name: patient_at
select a.patient_id, lower(a.during), p.name, p.sex, p.birth_date, p.hospital_number
  from patient_association a
  join patient p using (patient_id)
 where a.point_of_care_id = %(point)s and a.during @> now()

-- name: known_patient
select p.patient_id, p.name, p.sex, p.birth_date, a.point_of_care_id, w.slug, w.name, c.bed
  from patient p
  left join patient_association a on a.patient_id = p.patient_id and a.during @> now()
  left join point_of_care c on c.point_of_care_id = a.point_of_care_id
  left join ward w on w.ward_id = c.ward_id
 where p.tenant_id = %(tenant)s and p.hospital_number = %(number)s

-- name: patient_leaves
update patient_association set during = tstzrange(lower(during), now()) where patient_id = %(patient)s and during @> now()

-- name: placeable_devices
select d.device_id, d.name, d.make, d.model, d.serial, d.last_seen, a.point_of_care_id, w.slug, w.name, p.bed
  from device d
  left join device_association a on a.device_id = d.device_id and a.during @> now()
  left join point_of_care p on p.point_of_care_id = a.point_of_care_id
  left join ward w on w.ward_id = p.ward_id
 where d.tenant_id = %(tenant)s and d.admission = 'admitted'
   and not exists (select from gateway g where g.tenant_id = d.tenant_id and g.name = d.name)
 order by d.name

-- name: add_device
insert into device (tenant_id, name) values (%(tenant)s, %(name)s) on conflict (tenant_id, name) do nothing

-- name: device
select device_id from device where tenant_id = %(tenant)s and name = %(name)s

-- name: device_is_at
select point_of_care_id from device_association where device_id = %(device)s and during @> now()

-- name: device_leaves
update device_association set during = tstzrange(lower(during), now()) where device_id = %(device)s and during @> now()

-- name: device_comes
insert into device_association (tenant_id, device_id, point_of_care_id, during)
values (%(tenant)s, %(device)s, %(point)s, tstzrange(now(), null))

-- name: keep_patient
insert into patient (tenant_id, hospital_number, name, sex, birth_date, paced)
values (%(tenant)s, %(hospital_number)s, %(name)s, %(sex)s, %(birth_date)s, coalesce(%(paced)s, false))
on conflict (tenant_id, hospital_number) do update set
    name = excluded.name,
    -- What is not said this time is not forgotten.
    paced = coalesce(%(paced)s, patient.paced),
    sex = case when excluded.sex = 'unknown' then patient.sex else excluded.sex end,
    birth_date = coalesce(excluded.birth_date, patient.birth_date)
returning patient_id

-- name: patient_is_at
select point_of_care_id from patient_association where patient_id = %(patient)s and during @> now()

-- name: patients_leave
update patient_association set during = tstzrange(lower(during), now())
 where (patient_id = %(patient)s or point_of_care_id = %(point)s) and during @> now()

-- name: patient_comes
insert into patient_association (tenant_id, patient_id, point_of_care_id, during)
values (%(tenant)s, %(patient)s, %(point)s, tstzrange(now(), null))

-- name: set_limit
insert into alarm_limit (point_of_care_id, code, tenant_id, unit, low, high)
values (%(point)s, %(code)s, %(tenant)s, %(unit)s, %(low)s, %(high)s)
on conflict (point_of_care_id, code) do update set unit = excluded.unit, low = excluded.low, high = excluded.high
