# SPDX-License-Identifier: MIT
"""The emulated machines, one small file each."""

import importlib
from dataclasses import dataclass

NAMES = ("mipsel", "arm", "aarch64", "mips", "x86_64")


@dataclass(frozen=True)
class Target:
    """One emulated machine and where its kernel and userland come from.

    `own_kernel` is a row of qemu.kernels.KERNELS for a machine that Debian has no port for; its
    userland is then built by qemu.userland. `reboots` is for machines whose poweroff does not end
    QEMU: they reboot, and `-no-reboot` ends it.
    """

    name: str
    qemu: tuple[str, ...]
    qemu_package: str
    memory_mb: int
    console: str
    nic: str  # with what follows its name: an empty romfile needs no ROM of ipxe-qemu
    deb_arch: str = ""
    kernel_package: str = ""
    suite: str = "bookworm"
    own_kernel: str = ""
    reboots: bool = False
    append: str = ""
    needs: tuple[str, ...] = ()  # packages besides, which `qemu_package` only recommends


def load(name: str) -> Target:
    if name not in NAMES:
        raise KeyError(f"no emulated machine {name!r}; there are {', '.join(NAMES)}")
    return importlib.import_module(f"qemu.targets.{name}").TARGET
