# SPDX-License-Identifier: MIT
"""A little-endian 24K router (ramips) with Debian's kernel."""

from qemu.targets import Target

TARGET = Target(
    name="mipsel",
    qemu=("qemu-system-mipsel", "-M", "malta", "-cpu", "24Kf"),
    qemu_package="qemu-system-mips",
    memory_mb=64,
    console="ttyS0",
    nic="virtio-net-pci,romfile=",
    deb_arch="mipsel",
    kernel_package="linux-image-4kc-malta",
    needs=("seabios",),  # the board does not start without its graphics card's ROM
)
