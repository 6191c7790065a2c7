# SPDX-License-Identifier: MIT
"""Emulated routers: kernels, guest images, and the boots that test tunlite in them."""
