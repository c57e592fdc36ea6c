-- Limits that a gateway was told and does not watch, as it answered to the newest placement that it has: none of most gateways.

create table limit_refusal (
    gateway_id       int not null references gateway,
    point_of_care_id int not null references point_of_care on delete cascade,
    code             text not null,
    tenant_id        int not null references tenant,
    reason           text not null,   -- a word of protocols/link/lane.py, or of a later version
    primary key (gateway_id, point_of_care_id, code)
);
create index on limit_refusal (point_of_care_id);
grant select on limit_refusal to wardlink_web;
grant select, insert, delete on limit_refusal to wardlink_ingest;
alter table limit_refusal enable row level security;
create policy own_tenant on limit_refusal to wardlink_web using (tenant_id = current_tenant());
create policy all_tenants on limit_refusal to wardlink_ingest using (true);
