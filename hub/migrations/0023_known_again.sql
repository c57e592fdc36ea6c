-- Each gateway that comes asks for what is known of its devices.
create index on device (gateway_id);

-- Which samples there are, hot and sealed, without the samples: of a block its marks tell (hub/store/blocks.py).
create function read_spans(wanted int[], from_time timestamptz, to_time timestamptz)
returns table (stream_id int, first_sample bigint, n int, groups int, marks bytea)
language sql stable security definer set search_path = public, pg_temp
begin atomic
    select w.stream_id, w.first_sample, w.n, 1, null::bytea
      from waveform w
      join stream s using (stream_id)
     where w.stream_id = any (wanted) and s.tenant_id = current_tenant()
       and w.start >= from_time - interval '10 seconds' and w.start < to_time
    union all
    select b.stream_id, null, b.n, b.groups, b.marks
      from waveform_block b
      join stream s using (stream_id)
     where b.stream_id = any (wanted) and s.tenant_id = current_tenant()
       and b.slot > from_time - interval '5 minutes 10 seconds' and b.slot < to_time
       and b.start < to_time and b.until > from_time;
end;
revoke execute on function read_spans from public;
grant execute on function read_spans to wardlink_web;
