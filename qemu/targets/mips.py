# SPDX-License-Identifier: MIT
"""A big-endian 24K router (ath79) with a kernel and a userland of our own."""

from qemu.targets import Target

TARGET = Target(
    name="mips",
    qemu=("qemu-system-mips", "-M", "malta", "-cpu", "24Kf"),
    qemu_package="qemu-system-mips",
    memory_mb=64,
    console="ttyS0",
    nic="virtio-net-pci,romfile=",
    own_kernel="malta-be",
    reboots=True,
    needs=("seabios",),  # the board does not start without its graphics card's ROM
)
