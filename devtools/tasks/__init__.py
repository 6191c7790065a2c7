# SPDX-License-Identifier: MIT
"""What ./dev can do: a file an area."""
