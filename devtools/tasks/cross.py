# SPDX-License-Identifier: MIT
"""The static executables for routers and their packages, as tasks."""

import shutil
import subprocess
import sys

from invoke import task

from devtools import cross, openwrt
from machine import toolchain
from machine.toolchain import ROOT, TARGETS


def wanted(arch):
    """The architectures that `--arch` means; ends the program on an unknown one."""
    if arch == "all":
        return list(TARGETS)
    if arch not in TARGETS:
        sys.exit(f"--arch {arch} is none of {', '.join(TARGETS)}, all")
    return [arch]


@task(
    name="cross-build",
    help={"arch": "mips, mipsel, arm, aarch64, x86_64 or all", "test": "the tests' own executable"},
)
def cross_build(c, arch="all", test=False):
    """Build the static executable for routers into dist/tunlite-ARCH and check its size."""
    fits = True
    for one in wanted(arch):
        try:
            path = cross.build(one, test)
        except toolchain.ToolchainError as e:
            sys.exit(str(e))
        fits = (test or cross.report(one, path)) and fits
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
            cross.report(one, cross.build(one))
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
    ciphers = set(folder.glob("native/crypto/*.o"))
    rows = {
        "MicroPython": [*folder.glob("py/*.o"), *folder.glob("extmod/*.o"), folder / "main.o"],
        "system calls, border": [folder / f"{n}.o" for n in ("modos", "modtunlite", "modx25519")],
        "X25519 (BearSSL)": folder.glob("src/*/*.o"),
        "packet path (native/)": set(folder.glob("native/*/*.o")) - ciphers,
        "ciphers and hashes (native/crypto/)": ciphers,
        "frozen Python": [frozen],
    }
    for name, objects in rows.items():
        print(f"{name:36} {_bytes_of(list(objects)):>7}")
    modules = {p: p.stat().st_size for p in (folder / "frozen_mpy").rglob("*.mpy")}
    scale = _bytes_of([frozen]) / sum(modules.values())
    for path, size in sorted(modules.items(), key=lambda row: -row[1])[:12]:
        name = str(path.relative_to(folder / "frozen_mpy"))[:-4]
        print(f"  {name:34} {round(size * scale):>7}")
