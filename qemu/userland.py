# SPDX-License-Identifier: MIT
"""busybox, ip and wg for a guest: Debian's where Debian has the port, cross-built where not."""

import hashlib
from pathlib import Path

from machine.debs import CACHE, Apt, unpacked
from qemu import cross_userland
from qemu.initramfs import Initramfs
from qemu.targets import Target


def sysroot(arch: str, packages: list[str], suite: str = "bookworm") -> Path:
    """A folder with `packages` and all that they depend on unpacked, kept in the cache."""
    debs = Apt(suite, arch).fetch(packages, closure=True)
    key = hashlib.sha256(" ".join(deb.name for deb in debs).encode()).hexdigest()[:16]
    return unpacked(debs, CACHE / "sysroots" / f"{suite}-{arch}-{key}")


def add_busybox(image: Initramfs, arch: str, suite: str = "bookworm") -> None:
    (deb,) = Apt(suite, arch).fetch(["busybox-static"])
    root = unpacked([deb], CACHE / "sysroots" / deb.stem)
    program = next(p for p in (root / "bin/busybox", root / "usr/bin/busybox") if p.is_file())
    image.add_program("bin/busybox", program)
    image.link("bin/sh", "busybox")


def add_userland(image: Initramfs, target: Target) -> None:
    """/bin/busybox, /bin/sh, /bin/ip (iproute2's) and /bin/wg."""
    if not target.deb_arch:
        for name, path in cross_userland.build().items():
            image.add_program(f"bin/{name}", path)
        image.link("bin/sh", "busybox")
        return
    add_busybox(image, target.deb_arch, target.suite)
    root = sysroot(target.deb_arch, ["iproute2", "wireguard-tools"], target.suite)
    for name in ("bin/ip", "usr/bin/wg"):
        path = root / name
        if not path.exists():
            path = root / "usr" / name
        image.add_program(f"bin/{Path(name).name}", path, root)
