# SPDX-License-Identifier: MIT
"""What is done to the machine for a tunnel, and undone."""
