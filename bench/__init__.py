# SPDX-License-Identifier: MIT
"""Side-by-side benchmarks: every contender in the same run, in alternating rounds."""
