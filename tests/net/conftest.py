# SPDX-License-Identifier: MIT
"""Fixtures of the net and interop suites."""

import pytest

from tests.net import netns


@pytest.fixture(scope="session", autouse=True)
def _swept():
    """A run that was killed must not hold back this one."""
    netns.sweep()


@pytest.fixture
def lab(tmp_path):
    """Namespaces and processes that end with the test; a failed test shows what they printed."""
    made = netns.Lab(tmp_path)
    try:
        yield made
    finally:
        try:
            made.close()
        finally:
            print(made.logs())
