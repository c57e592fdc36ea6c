"""What a power cut may leave of the spool: its writes are recorded, cut off anywhere, and what is left is opened.

In `make test` by tests/integration/test_edge_spool_power_cut.py; many workloads by `python -m tests.power_cuts --workloads N`.
"""
