"""Plugins of the test suite; each is tested with pytester in tests/unit/plugins."""
