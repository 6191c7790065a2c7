# SPDX-License-Identifier: MIT
"""The configuration file: what it may say, where it is, how it becomes UAPI and back."""
