# SPDX-License-Identifier: MIT
"""What our shell costs in a router's flash: files as OpenWrt's squashfs keeps them."""

import subprocess

from devtools.openwrt import apk, rows
from devtools.openwrt.tree import Tree

# xz in blocks of 256 KB, as OpenWrt's images are made (its program has finer words for xz).
_MKSQUASHFS = ["-comp", "xz", "-b", "256k", "-Xdict-size", "100%", "-all-root", "-nopad", "-quiet"]
HANDLER_AND_PLUGIN = (
    "lib/netifd/proto/tunlite.sh",
    "lib/tunlite/uci.sh",
    "usr/libexec/rpcd/tunlite",
)
BOUND = 12_000


def squashfs_size(folder):
    """Bytes of a file system that holds this folder and nothing else."""
    out = folder.with_name("out.squashfs")
    command = ["mksquashfs", str(folder), str(out), *_MKSQUASHFS, "-no-progress"]
    subprocess.run(command, check=True, capture_output=True)
    return out.stat().st_size


def test_handler_and_plugin_take_less_than_12_kb(tree_of, tmp_path):
    files = {path: file for row in rows.PACKAGES for path, file in tree_of(row).files.items()}
    small = Tree()
    for path in HANDLER_AND_PLUGIN:
        small.add(path, *files[path])
    apk.lay_out(small, tmp_path / "root")
    assert squashfs_size(tmp_path / "root") <= BOUND
