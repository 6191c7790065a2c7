# SPDX-License-Identifier: MIT
"""A Cortex-A7 router (ipq40xx, sunxi) with Debian's kernel."""

from qemu.targets import Target

TARGET = Target(
    name="arm",
    # PCI would need highmem off: the network card is on virtio-mmio.
    qemu=("qemu-system-arm", "-M", "virt", "-cpu", "cortex-a7"),
    qemu_package="qemu-system-arm",
    memory_mb=64,
    console="ttyAMA0",
    nic="virtio-net-device",
    deb_arch="armhf",
    kernel_package="linux-image-armmp",
)
