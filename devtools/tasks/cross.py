# SPDX-License-Identifier: MIT
"""The static executables for routers and their packages, as tasks."""

import subprocess
import sys

from invoke import task

from devtools import cross
from devtools.openwrt import architectures, make, rows
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


def _architectures(arch, as_):
    """[(OpenWrt's name, our executable)] that --arch and --as mean; ends the program on others."""
    if as_:
        if arch not in TARGETS:
            sys.exit(f"--as {as_} is one architecture's name: say which with --arch")
        return [(as_, arch)]
    if built_as := architectures.executable_of(arch):
        return [(arch, built_as)]
    if why := architectures.NOT_SERVED.get(arch):
        sys.exit(f"--arch {arch} is not served: {why}")
    return [(name, one) for one in wanted(arch) for name in architectures.names(one)]


def _chosen(only):
    found = [row for row in rows.PACKAGES if only in ("", row.name)]
    if not found:
        sys.exit(f"--only {only} is none of {', '.join(row.name for row in rows.PACKAGES)}")
    return found


def _make(row, format, name, built_as):
    out = make.package(row, format, name, built_as)
    size = out.stat().st_size
    bound = TARGETS[built_as].ipk if "executable" in row.built.values() else None
    print(f"{out.relative_to(ROOT)}: {size} bytes{f' (at most {bound})' if bound else ''}")
    if format == "ipk" and bound and size > bound:
        sys.exit(f"{out.name} is past its size bound (machine/toolchain.py)")


@task(
    help={
        "arch": "mips, mipsel, arm, aarch64, x86_64 or all, under every name that OpenWrt has for "
        "it; or one such name",
        "format": "ipk, or apk for OpenWrt 25.12",
        "as": "a name of the architecture that OpenWrt itself does not have",
        "only": "one of the packages",
    }
)
def package(c, arch="all", format="ipk", as_="", only=""):
    """Make the OpenWrt packages; the executables are brought up to date first."""
    if format not in make.FORMATS:
        sys.exit(f"--format {format} is none of {', '.join(make.FORMATS)}")
    wanted_names, chosen = _architectures(arch, as_), _chosen(only)
    try:
        if any(row.built for row in chosen):
            for one in dict.fromkeys(built_as for _, built_as in wanted_names):
                cross.report(one, cross.build(one))
        for row in chosen:
            for name, built_as in wanted_names[:1] if row.is_for_all else wanted_names:
                _make(row, format, name, built_as)
    except (toolchain.ToolchainError, rows.PackageError) as e:
        sys.exit(str(e))


@task
def feed(c):
    """Make dist/feed of the packages in dist: for opkg, and a folder an architecture for apk."""
    try:
        print(f"dist/feed: {make.feed()} packages")
    except rows.PackageError as e:
        sys.exit(str(e))


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
