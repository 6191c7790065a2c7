# SPDX-License-Identifier: MIT
"""What the bench compiles for itself, all of it below build/: the delay's relay, the packet path
without a kernel, and a tunlite whose cipher does nothing."""

import sys

from machine import native_build

_LIST = "native/crypto/aead_list.c"  # the one file of the core that TL_BENCH_NULL changes
_NULL = ["-fPIC", "-DTL_BENCH_NULL"]
_BIN = native_build.BUILD / "bin"
_MEMORY = ["-Wl,--wrap=readv,--wrap=recvmmsg"]
_TELLS = ["-g", "-finstrument-functions", "-finstrument-functions-exclude-file-list=.h,bench/"]


def relay():
    """bench/relay.c; its path."""
    return native_build.program("relay", ["bench/relay.c"])


def _core(*more, flags=()):
    """Objects of the core with the AEAD `null`, and of further sources."""
    usual = [source for source in native_build.core_sources() if source != _LIST]
    changed = [_LIST, "bench/aead_null.c", *more]
    return [
        *native_build.objects(usual, ["-fPIC", *flags]),
        *native_build.objects(changed, [*_NULL, *flags]),
    ]


def pipeline():
    """bench/pipeline.c with the whole core; its path."""
    return native_build.link(_BIN / "pipeline", _core("bench/pipeline.c"), _MEMORY)


def pipeline_that_tells_calls():
    """The same, which tells its calls (bench/calls.c)."""
    made = _core("bench/pipeline.c", "bench/calls.c", flags=_TELLS)
    return native_build.link(_BIN / "pipeline-calls", made, [*_MEMORY, "-no-pie"])


def null_tunlite():
    """The command of tunlite by CPython with an extension whose AEAD `null` does nothing.

    A folder of its own: this tree's Python by links, beside another _native.
    """
    folder = native_build.BUILD / "null"
    package = folder / "tunlite"
    package.mkdir(parents=True, exist_ok=True)
    for path in (native_build.ROOT / "tunlite").iterdir():
        link = package / path.name
        if path.suffix != ".so" and path.name != "__pycache__" and not link.is_symlink():
            link.symlink_to(path)
    native_build.build(package / native_build.EXTENSION.name, _core())
    return ["env", f"PYTHONPATH={folder}", sys.executable, "-P", "-m", "tunlite"]
