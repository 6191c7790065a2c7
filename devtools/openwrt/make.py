# SPDX-License-Identifier: MIT
"""Packages into dist, and the feed into dist/feed."""

import os
import shutil

from devtools.openwrt import apk, architectures, built, ipk, rows
from machine.toolchain import ROOT

FORMATS = ("ipk", "apk")
DIST = ROOT / "dist"


def package(row, kind, arch, built_as=None):
    """Writes one package of one of FORMATS for OpenWrt's architecture `arch`; its path.

    `built_as` is the executable for a name that is not in the table of architectures.
    """
    if row.is_for_all:
        arch = architectures.EVERYWHERE
    parts = built.parts(row, built_as or architectures.executable_of(arch))
    tree = rows.content(row, parts)
    if kind == "ipk":
        out = DIST / ipk.name(row, arch)
    else:
        out = DIST / apk.arch_of(arch) / apk.name(row)
    out.parent.mkdir(parents=True, exist_ok=True)
    half = out.with_name(f".{os.getpid()}.{out.name}")  # nobody reads half a package
    if kind == "ipk":
        half.write_bytes(ipk.ipk(row, tree, arch))
    else:
        apk.write(row, tree, arch, half)
    half.rename(out)
    return out


def _repositories(folder):
    """{architecture: .apk files} of dist; what is for all machines is in each."""
    found = {path.name: sorted(path.glob(f"*-{rows.version()}.apk")) for path in folder.iterdir()}
    for_all = found.pop(apk.NOARCH, [])
    return {arch: [*files, *for_all] for arch, files in found.items() if files}


def feed():
    """Makes dist/feed anew of what dist has of this version; how many packages it has.

    opkg takes all architectures from one index, apk wants a folder for each.
    """
    folder = DIST / "feed"
    shutil.rmtree(folder, ignore_errors=True)
    repositories = _repositories(DIST) if DIST.is_dir() else {}
    folder.mkdir(parents=True)
    for path in DIST.glob(f"*_{rows.version()}_*.ipk"):
        shutil.copy(path, folder)
    count = ipk.write_index(folder)
    for arch, files in repositories.items():
        (folder / arch).mkdir()
        for path in files:
            shutil.copy(path, folder / arch)
        count += apk.write_index(folder / arch)
    if not count:
        raise rows.PackageError(f"no package in {DIST}: ./dev package")
    return count
