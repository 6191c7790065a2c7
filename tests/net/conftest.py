# SPDX-License-Identifier: MIT
"""Fixtures of the net and interop suites."""

import pytest

from lab import netns
from machine import rootless


@pytest.fixture(scope="session", autouse=True)
def _private_run():
    """/run/netns and /var/run/wireguard of our own, gone with us."""
    rootless.enter()


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
