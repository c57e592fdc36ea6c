"""Measures the product against docs/reference/figures: `python -m tests.figures [ONLY[,...]]`. Nothing is copied in."""
