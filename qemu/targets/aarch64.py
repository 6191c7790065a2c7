# SPDX-License-Identifier: MIT
"""A Cortex-A53 router (mediatek) with Debian's kernel, which needs 128 MB to boot."""

from qemu.targets import Target

TARGET = Target(
    name="aarch64",
    qemu=("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53"),
    qemu_package="qemu-system-arm",
    memory_mb=128,
    console="ttyAMA0",
    nic="virtio-net-device",
    deb_arch="arm64",
    kernel_package="linux-image-arm64",
)
