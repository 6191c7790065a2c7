# SPDX-License-Identifier: MIT
"""Stand-ins for OpenWrt's parts, as busybox ash runs them: they go into emulated routers too."""
