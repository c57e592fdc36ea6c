-- The SQL of resting ECGs. Whose device was where is told by hub.placement.

-- name: ecg
select d.document_id, s.device_id, v.name, d.time, d.media_type, d.content
  from document d
  join source s using (source_id)
  join device v using (device_id)
 where d.tenant_id = %(tenant)s and d.document_id = %(document)s and d.media_type = any(%(types)s)

-- name: ecgs_of
select distinct on (d.time, d.sha256) d.document_id, w.device_id, v.name, d.time, d.media_type
  from unnest(%(devices)s::int[], %(froms)s::timestamptz[], %(tos)s::timestamptz[]) as w (device_id, from_time, to_time)
  join source s on s.device_id = w.device_id
  join device v on v.device_id = w.device_id
  join document d on d.source_id = s.source_id and d.time >= w.from_time and d.time < w.to_time
 where d.tenant_id = %(tenant)s and d.media_type = any(%(types)s)
 order by d.time desc, d.sha256, d.document_id
 limit %(most)s
