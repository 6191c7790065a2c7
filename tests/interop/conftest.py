# SPDX-License-Identifier: MIT
"""The fixtures of the net suite."""

from tests.net.conftest import _private_run, lab

__all__ = ["_private_run", "lab"]
