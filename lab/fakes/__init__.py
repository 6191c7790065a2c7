# SPDX-License-Identifier: MIT
"""Stand-ins for the system and the network, for whole daemons in one process."""
