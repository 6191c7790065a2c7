#!/bin/sh
# SPDX-License-Identifier: MIT
# The feed's CI calls this in the target's rootfs: test.sh PACKAGE VERSION
[ "$1" = tunlite ] || exit 0
tunlite --version | grep -F "$2"
