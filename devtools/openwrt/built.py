# SPDX-License-Identifier: MIT
"""What packages have that a compiler made, by the executable it belongs to."""

from devtools.openwrt.rows import PackageError
from machine.toolchain import ROOT


def _executable(built_as):
    path = ROOT / "dist" / f"tunlite-{built_as}"
    if not path.is_file():
        raise PackageError(f"{path} is not there: ./dev cross-build --arch {built_as}")
    return path.read_bytes()


_MAKERS = {"executable": _executable}


def parts(row, built_as):
    """{path on the router: bytes} of a row for one of machine/toolchain.py's targets."""
    return {path: _MAKERS[what](built_as) for path, what in row.built.items()}
