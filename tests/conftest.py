"""Settings shared by every test."""

from __future__ import annotations

import os
import re
from collections.abc import Generator

import pytest
from hypothesis import settings

# A busy machine must not fail a property, and a failure must come back when the test is run again.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

RADIO_SOFTWARE = re.compile(r"gnu ?radio|soapy|libiio|\biio\b|sigmf|g\+\+|compiler", re.IGNORECASE)
"""What `.ci/packages` installs and `make` brings along, as the reasons of skipped tests name it."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI has installed a component (ISAC_RADIO_SOFTWARE=required), to skip for it is to fail."""
    report = yield
    required = os.environ.get("ISAC_RADIO_SOFTWARE") == "required"
    if required and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if RADIO_SOFTWARE.search(reason):
            report.outcome = "failed"
            report.longrepr = f"installed, and yet: {reason}"
    return report
