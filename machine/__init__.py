# SPDX-License-Identifier: MIT
"""What the tools need of a machine: packages, compilers, the rights of root."""
