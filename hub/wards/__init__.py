"""The ward view: what stands at each bed now, live numbers, strips and links, alarms as they happen."""
