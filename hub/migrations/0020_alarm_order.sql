-- Where a change stands in its gateway's own order: the batch of the alarm lane and the record's place in it. Clocks step, this does
-- not. Null: of people and hops, stored before this migration, or from a hub below that does not tell it.
alter table alarm_event add epoch bytea;
alter table alarm_event add n bigint;
alter table alarm_event add record_index int;
alter table alarm_event add constraint alarm_event_place check (num_nulls(epoch, n, record_index) in (0, 3));

comment on column alarm.changed_at is 'when the edge made the change that counts, by its clock; it may lie before that of an older one';
