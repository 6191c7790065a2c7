# SPDX-License-Identifier: MIT
"""The skips that are legitimate, and the property of the machine that makes each one so.

A skipped test that no row here allows fails the run: what is not tested is never passed silently.
"""

import ctypes
import os
import platform
import re
import struct
from pathlib import Path


def _cpu_flags():
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return set(found[1].split()) if found else set()


def _lacks_cpu(flag):
    return lambda: flag not in _cpu_flags()


def _is_not(machine):
    return lambda: platform.machine() != machine


def has_one_user():
    """Whether this is a user namespace that maps nobody but root."""
    return Path("/proc/self/uid_map").read_text(encoding="ascii").split()[2] == "1"


def _has_io_uring():
    """Whether a ring can be made as outside/uring.c makes it: Linux 6.1, and nothing forbids it."""
    params = bytearray(120)
    struct.pack_into("=I", params, 8, 1 << 6 | 1 << 12 | 1 << 13)
    ring = ctypes.CDLL(None).syscall(425, 1, (ctypes.c_char * 120).from_buffer(params))
    if ring >= 0:
        os.close(ring)
    return ring >= 0


# (part of the test's id, part of the skip's reason, what must hold for the skip to be legitimate);
# regular expressions, upper or lower case.
ALLOWED = [
    (r"", r"avx-?512", _lacks_cpu("avx512f")),
    (r"", r"avx-?2", _lacks_cpu("avx2")),
    (r"", r"\bneon\b", _lacks_cpu("asimd")),
    (r"", r"needs x86_64", _is_not("x86_64")),
    (r"test_clock|test_allocations", r"static executable", lambda: "TUNLITE_BIN" in os.environ),
    (r"io_uring", r"no io_uring", lambda: not _has_io_uring()),
    (r"becomes_user_and_group|whoever_it_is", r"namespace has one user", has_one_user),
]


def is_expected(test, reason):
    """Whether a row of ALLOWED covers this skip on this machine."""
    return any(
        re.search(test_part, test) and re.search(reason_part, reason, re.IGNORECASE) and holds()
        for test_part, reason_part, holds in ALLOWED
    )
