# SPDX-License-Identifier: MIT
"""Networks to try things in: namespaces, peers, traffic, and what disturbs them."""
