# SPDX-License-Identifier: MIT
"""tunlite: a tunnel daemon that speaks WireGuard. Runs on CPython and MicroPython."""

__version__ = "0.1.0"
