# SPDX-License-Identifier: MIT
"""A gateway with Debian's cloud kernel: what the engine tests boot in several versions."""

from qemu.targets import Target

TARGET = Target(
    name="x86_64",
    qemu=("qemu-system-x86_64", "-M", "q35", "-cpu", "max"),
    qemu_package="qemu-system-x86",
    memory_mb=256,
    console="ttyS0",
    nic="virtio-net-pci,romfile=",
    deb_arch="amd64",
    kernel_package="linux-image-cloud-amd64",
)
