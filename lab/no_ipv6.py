# SPDX-License-Identifier: MIT
"""Becomes a program for which the kernel has no IPv6: socket(AF_INET6) is EAFNOSUPPORT.

python3 no_ipv6.py COMMAND ...
"""

import ctypes
import errno
import os
import platform
import struct
import sys

_SOCKET = {"x86_64": 41, "aarch64": 198}  # number of socket(2)
_AF_INET6 = 10
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # linux/filter.h
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # linux/seccomp.h


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def _row(code, operand, if_true=0, if_false=0):
    return struct.pack("HBBI", code, if_true, if_false, operand)


def main():
    """Filters and becomes the command."""
    number, first_argument = 0, 16  # where struct seccomp_data has them (little endian)
    code = b"".join(
        [
            _row(_LOAD, number),
            _row(_IF_EQUAL, _SOCKET[platform.machine()], 0, 3),
            _row(_LOAD, first_argument),
            _row(_IF_EQUAL, _AF_INET6, 0, 1),
            _row(_RETURN, _ERRNO | errno.EAFNOSUPPORT),
            _row(_RETURN, _ALLOW),
        ]
    )
    program = _Program(len(code) // 8, code)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
