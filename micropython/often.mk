# SPDX-License-Identifier: MIT
# OFTEN: files of the core, below ROOT, that run for every packet. Their first comment ends with the
# words that are looked for; tests/test_repo_build.py reads the same by other means.

OFTEN := $(sort $(shell cd $(ROOT) && grep -rlE --include='*.c' 'Once per packet\.( \*/)?$$' native))
