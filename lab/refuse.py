# SPDX-License-Identifier: MIT
"""Takes a system call away, as a container's seccomp filter does.

python lab/refuse.py NUMBER ERRNO COMMAND...
"""

import ctypes
import os
import platform
import struct
import sys

CLONE3 = 435  # on every machine
IO_URING_SETUP = 425  # on x86_64 and aarch64
SETSOCKOPT = 208 if platform.machine() == "aarch64" else 54

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # of the classic BPF
_RET_ERRNO, _RET_ALLOW = 0x00050000, 0x7FFF0000


def refuse_system_call(number, error):
    """From now on this process and its children get `error` from that system call. OSError."""
    instructions = (
        (_LOAD, 0, 0, 0),  # the system call's number
        (_JUMP_IF_EQUAL, 0, 1, number),
        (_RETURN, 0, 0, _RET_ERRNO | error),
        (_RETURN, 0, 0, _RET_ALLOW),
    )
    text = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    code = ctypes.create_string_buffer(text, len(text))
    program = struct.pack("@HP", len(instructions), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in ((_PR_SET_NO_NEW_PRIVS, 1, 0), (_PR_SET_SECCOMP, _MODE_FILTER, program)):
        if libc.prctl(*words, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    refuse_system_call(int(sys.argv[1]), int(sys.argv[2]))
    os.execvp(sys.argv[3], sys.argv[3:])
