"""Settings shared by every test."""

from __future__ import annotations

from hypothesis import settings

# A busy machine must not fail a property, and a failure must come back when the test is run again.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")
