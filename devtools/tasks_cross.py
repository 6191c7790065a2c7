# SPDX-License-Identifier: MIT
"""The static executables for routers and their packages."""

import fcntl
import lzma
import os
import shutil
import subprocess
import sys

from invoke import task

from devtools import openwrt
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


def wanted(arch):
    """The architectures that `--arch` means; ends the program on an unknown one."""
    if arch == "all":
        return list(TARGETS)
    if arch not in TARGETS:
        sys.exit(f"--arch {arch} is none of {', '.join(TARGETS)}, all")
    return [arch]


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
        "SMALL=-Os -Xclang -Oz -mllvm -enable-machine-outliner=never",
        "SMALL_MALLOC=1",
        f"NO_LINES={0 if target.lines else 1}",
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


@task(
    name="cross-build",
    help={"arch": "mips, mipsel, arm, aarch64, x86_64 or all", "test": "the tests' own executable"},
)
def cross_build(c, arch="all", test=False):
    """Build the static executable for routers into dist/tunlite-ARCH and check its size."""
    fits = True
    for one in wanted(arch):
        try:
            path = build(one, test)
        except toolchain.ToolchainError as e:
            sys.exit(str(e))
        fits = (test or report(one, path)) and fits
    if not fits:
        sys.exit("an executable is past its size bound (machine/toolchain.py)")


@task(
    help={
        "arch": "mips, mipsel, arm, aarch64, x86_64 or all",
        "format": "ipk, or apk for OpenWrt 25.12",
        "as": "OpenWrt's name of the architecture, where it is another than the usual one",
    }
)
def package(c, arch="all", format="ipk", as_=""):
    """Make OpenWrt packages of dist/tunlite-ARCH, which is brought up to date first."""
    if format not in openwrt.FORMATS:
        sys.exit(f"--format {format} is none of {', '.join(openwrt.FORMATS)}")
    if as_ and arch == "all":
        sys.exit(f"--as {as_} is one architecture's name: say which with --arch")
    for one in wanted(arch):
        try:
            report(one, build(one))
            out = openwrt.package(one, format, as_)
        except (toolchain.ToolchainError, openwrt.PackageError) as e:
            sys.exit(str(e))
        size = out.stat().st_size
        print(f"{out.relative_to(ROOT)}: {size} bytes (at most {TARGETS[one].ipk})")
        if format == "ipk" and size > TARGETS[one].ipk:
            sys.exit(f"{out.name} is past its size bound (machine/toolchain.py)")


@task
def feed(c):
    """Make dist/feed, a folder for opkg: every .ipk in dist with Packages and Packages.gz."""
    folder = ROOT / "dist" / "feed"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for path in (ROOT / "dist").glob("*.ipk"):
        shutil.copy(path, folder)
    try:
        openwrt.write_feed(folder)
    except openwrt.PackageError as e:
        sys.exit(str(e))
    print(f"{folder.relative_to(ROOT)}: {len(list(folder.glob('*.ipk')))} packages")


def _bytes_of(objects):
    """Code and constants of object files, as `size` counts them."""
    command = ["size", "--totals", *map(str, objects)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    text, data = lines[-1].split()[:2]
    return int(text) + int(data)


@task(help={"arch": "mips, mipsel, arm, aarch64 or x86_64"})
def sizes(c, arch="mips"):
    """Tell where the bytes of dist/tunlite-ARCH go; it must have been built."""
    (one,) = wanted(arch)
    folder = ROOT / "build" / "cross" / one
    if not (folder / "tunlite").is_file():
        sys.exit(f"not built: ./dev cross-build --arch {one}")
    frozen = folder / "frozen.o"
    rows = {
        "MicroPython": [*folder.glob("py/*.o"), *folder.glob("extmod/*.o"), folder / "main.o"],
        "system calls, border": [folder / f"{n}.o" for n in ("modos", "modtunlite", "modx25519")],
        "X25519 (BearSSL)": folder.glob("src/*/*.o"),
        "packet path (native/)": folder.glob("native/*.o"),
        "ciphers and hashes (native/crypto/)": folder.glob("native/crypto/*.o"),
        "frozen Python": [frozen],
    }
    for name, objects in rows.items():
        print(f"{name:36} {_bytes_of(list(objects)):>7}")
    modules = {p: p.stat().st_size for p in (folder / "frozen_mpy").rglob("*.mpy")}
    scale = _bytes_of([frozen]) / sum(modules.values())
    for path, size in sorted(modules.items(), key=lambda row: -row[1])[:12]:
        name = str(path.relative_to(folder / "frozen_mpy"))[:-4]
        print(f"  {name:34} {round(size * scale):>7}")
