# SPDX-License-Identifier: MIT
"""The daemon: its loop, its interface, its peers, their handshakes and timers."""
