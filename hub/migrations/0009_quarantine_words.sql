-- Why a record is held, as a code with parameters beside the English sentence: pages say it in the reader's language.

alter table quarantine add said jsonb not null default '{}';
grant update (detail, said) on quarantine to wardlink_ingest;

-- What was discarded by one press is put back by one.
create index on quarantine (tenant_id, decided_at) where state = 'discarded';
