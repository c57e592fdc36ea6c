-- The job queue: procrastinate's own schema, in a schema of its own.
create schema jobs;
set local search_path = jobs, public;
-- include: procrastinate/sql/schema.sql
grant usage on schema jobs to wardlink_worker, wardlink_web;
grant select, insert, update, delete on all tables in schema jobs to wardlink_worker, wardlink_web;
grant usage on all sequences in schema jobs to wardlink_worker, wardlink_web;
