"""The bed page: one patient's trends, past strips, alarms, notes and time-line, over the last 72 hours."""
