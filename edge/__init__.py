"""The agent on a gateway: takes device data in, screens it, keeps it in the spool and forwards it to the hub."""
