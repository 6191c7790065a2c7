# SPDX-License-Identifier: MIT
"""Stand-ins for what Gluon's packages use: simple-uci, modules of gluon's, respondd."""
