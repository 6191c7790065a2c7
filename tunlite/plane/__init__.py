# SPDX-License-Identifier: MIT
"""The packet path as Python sees it: the border as an object, what this machine has for it."""
