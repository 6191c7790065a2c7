# SPDX-License-Identifier: MIT
"""What system and interpreter offer; port.py says it and chooses."""
