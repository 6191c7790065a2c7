# SPDX-License-Identifier: MIT
"""What packages have that a compiler made, by the executable it belongs to."""

import subprocess
import tempfile
from pathlib import Path

from devtools.openwrt import rows
from devtools.openwrt.rows import PackageError
from machine import toolchain
from machine.debs import CACHE, Apt, DebsError, unpacked
from machine.toolchain import ROOT, TARGETS

_JSON_C = ("bookworm", "amd64", "libjson-c-dev")  # its headers are the same everywhere
_RESPONDD_H = ROOT / "lab/openwrt/gluon"


def _executable(built_as):
    path = ROOT / "dist" / f"tunlite-{built_as}"
    if not path.is_file():
        raise PackageError(f"{path} is not there: ./dev cross-build --arch {built_as}")
    return path.read_bytes()


def _json_headers():
    suite, arch, name = _JSON_C
    try:
        (deb,) = Apt(suite, arch).fetch([name])
    except DebsError as e:
        raise PackageError(f"{name}, whose headers respondd's module needs: {e}") from e
    return unpacked([deb], CACHE / "sysroots" / deb.stem) / "usr/include"


def _respondd(built_as):
    """Gluon's respondd loads it into itself, where libc (musl, under OpenWrt's name for it) and
    json-c are already: it names no other library.
    """
    target, source = TARGETS[built_as], rows.named(rows.GLUON).folder / "src/respondd.c"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "respondd.so"
        command = [str(toolchain.zig()), "cc", "-target", target.triple, f"-mcpu={target.cpu}"]
        command += ["-shared", "-fPIC", "-Os", "-s", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
        command += [f"-I{_RESPONDD_H}", "-isystem", str(_json_headers())]
        command += ["-o", str(out), str(source)]
        environment = toolchain.environment()
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise PackageError(f"{source.name} for {built_as}:\n{done.stderr}")
        return out.read_bytes()


_MAKERS = {"executable": _executable, "respondd": _respondd}


def parts(row, built_as):
    """{path on the router: bytes} of a row for one of machine/toolchain.py's targets."""
    return {path: _MAKERS[what](built_as) for path, what in row.built.items()}
