"""The hospital or regional platform: stores what gateways send, raises and tracks alarms, serves the pages."""
