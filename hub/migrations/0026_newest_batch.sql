-- The newest batch that was ever stored of a lane, and when the gateway's spool closed it (0: not known), by which a gateway whose disk was put
-- back sees that it made another one of this number. It stays when a position is opened again.
alter table lane_position
    add column newest bigint not null default 0,
    add column newest_closed_ns bigint not null default 0;
