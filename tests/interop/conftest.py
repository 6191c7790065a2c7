# SPDX-License-Identifier: MIT
"""The fixtures of the net suite: namespaces, processes, a /run of our own."""

from tests.net.conftest import _private_run as _private_run, lab as lab
