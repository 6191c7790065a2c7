# SPDX-License-Identifier: MIT
"""WireGuard's algorithms, pure: bytes, clock and chance come in as arguments."""
