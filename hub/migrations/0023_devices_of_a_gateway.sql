-- Each gateway that comes asks for what is known of its devices.
create index on device (gateway_id);
