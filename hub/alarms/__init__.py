"""Alarms at the hub: taken in from gateways here (`intake`); what people do with them is in `service`."""
