# SPDX-License-Identifier: MIT
"""Developers' tools (CPython only): native build, checks, demo, the tasks behind ./dev."""
