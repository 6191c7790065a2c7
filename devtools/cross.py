# SPDX-License-Identifier: MIT
"""The static executable for routers: how it is made, and whether it fits."""

import fcntl
import lzma
import os
import shutil
import subprocess
import sys

from machine import toolchain
from machine.toolchain import ROOT, TARGETS
from micropython import relr, trim

# The stack of functions with buffers of 8 bytes and more is protected: zig's own word for it takes
# every function that gives away an address, 3 KB more as xz.
_HARDENED = " ".join(
    f"-Xclang {word}" for word in ("-stack-protector", "1", "-stack-protector-buffer-size", "8")
)
_HARDENED = f"-fPIE -DTL_RELOCATED=1 {_HARDENED}"
_HARDENED_LINK = "-static-pie -Wl,-z,relro,-z,now"


def _llvm(*words):
    return " ".join(f"-mllvm -{word}" for word in words)


# What is clever in one place is another pattern than its like elsewhere, which xz would have seen.
# First what packets hardly feel (docs/performance.md, Sizes).
_PLAIN_LOOPS = _llvm("regalloc=basic", "disable-block-placement")
_PLAIN = f"{_PLAIN_LOOPS} {_llvm('disable-machine-licm', 'disable-lsr', 'enable-pre=false')}"
_FEW_INLINE = _llvm("inline-threshold=25")
_NOT_OUTLINED = _llvm("enable-machine-outliner=never")


def make_command(arch, out, build, test):
    """The call of micropython/Makefile with zig: `out` is the executable, `build` a folder."""
    target = TARGETS[arch]
    program, micropython, bearssl = toolchain.all_of(
        toolchain.zig,
        lambda: toolchain.tree(toolchain.MICROPYTHON),
        lambda: toolchain.tree(toolchain.BEARSSL),
    )
    zig = f"{program} cc -target {target.triple} -mcpu={target.cpu}"
    return [
        *("nice", "make", "-C", str(ROOT / "micropython"), "-j2"),
        f"MICROPYTHON={micropython}",
        f"BEARSSL={bearssl}",
        f"MPY_CROSS={toolchain.mpy_cross(micropython)}",
        f"CC={zig}",
        f"CPP=python3 {ROOT}/micropython/cpp_each.py {zig} -E",
        # zig builds musl as it is told to optimise at the link: without -O2 it is large, and with
        # -Os its memcpy goes byte by byte (x86_64: 1420 bytes in 1504 ns instead of 15).
        f"LDFLAGS={_HARDENED_LINK if target.hardened else '-static'} -s -O2",
        f"CFLAGS={_HARDENED if target.hardened else ''}",
        # zig takes -Oz for -Os unless clang is told; outlined code is smaller, but not as xz.
        f"SMALL=-Os -Xclang -Oz {_NOT_OUTLINED} {_PLAIN}",
        f"SELDOM=-Os {_PLAIN}",
        f"OFTEN_SPEED=-O2 {'' if arch == 'x86_64' else f'{_PLAIN_LOOPS} {_FEW_INLINE}'}",
        "SMALL_MALLOC=1",
        # 11 KB as xz, which routers need for more than the lines of tracebacks.
        "NO_LINES=1",
        f"TL_COMPILER={1 if test else 0}",
        f"BUILD={build}",
        f"OUT={out}",
    ]


def build(arch, test=False):
    """Builds dist/tunlite-ARCH, or with `test` build/cross/ARCH-test/tunlite; its path."""
    folder = ROOT / "build" / "cross" / (f"{arch}-test" if test else arch)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once build once
        return _build(arch, test, folder)


def _build(arch, test, folder):
    linked = folder / "tunlite"
    command = make_command(arch, linked, folder, test)
    environment = toolchain.environment()
    environment.pop("MAKEFLAGS", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = f"{done.stdout[-3000:]}{done.stderr[-6000:]}"
        raise toolchain.ToolchainError(f"{' '.join(command)}\n{said}")
    if "warning:" in done.stderr:
        print(done.stderr, file=sys.stderr)
    if test:
        return linked
    out = ROOT / "dist" / f"tunlite-{arch}"
    out.parent.mkdir(exist_ok=True)
    half = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.copy(linked, half)
    half.write_bytes(finished(half.read_bytes()))
    half.rename(out)
    return out


def finished(image):
    """What is shipped of what was linked: bytes in, bytes out."""
    return trim.trimmed(relr.packed(image))


def report(arch, path):
    """One line of sizes against their bounds; False when one is past it."""
    target = TARGETS[arch]
    image = path.read_bytes()
    packed = len(lzma.compress(image, preset=9 | lzma.PRESET_EXTREME))
    fits = len(image) <= target.executable and packed <= target.packed
    print(
        f"{arch:8} {len(image):>8} bytes (at most {target.executable}), "
        f"{packed:>7} as xz (at most {target.packed}){'' if fits else '  TOO BIG'}"
    )
    return fits
