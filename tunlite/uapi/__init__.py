# SPDX-License-Identifier: MIT
"""The control socket, both ends of it."""
