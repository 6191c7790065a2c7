# SPDX-License-Identifier: MIT
"""What OpenWrt calls the architectures of its packages, and which of them we serve.

The names are those for which OpenWrt 24.10.0 and 25.12.0-rc2 have packages, as the images' own
profiles tell them (looked up on 2026-11-30).
"""

from dataclasses import dataclass

RELEASES = ("24.10", "25.12")
EVERYWHERE = "all"  # a package without a program; apk's word for it is noarch


@dataclass(frozen=True)
class Architecture:
    """One name that is served."""

    name: str
    built_as: str  # a row of machine/toolchain.py
    cpu: str  # of qemu-user: the least that a device of that name has; "": this machine
    targets: str  # OpenWrt's targets that are built for it
    releases: tuple[str, ...] = RELEASES


# The first of an executable is its usual one.
SERVED = (
    Architecture("mips_24kc", "mips", "24Kc", "ath79, lantiq, realtek"),
    # 25.12 builds rtl838x as mips_24kc.
    Architecture("mips_4kec", "mips", "4KEc", "realtek/rtl838x", ("24.10",)),
    Architecture("mipsel_24kc", "mipsel", "24Kc", "ramips: mt7620, mt7621, mt76x8, rt305x"),
    Architecture("mipsel_74kc", "mipsel", "74Kf", "ramips/rt3883, bcm47xx/mips74k"),
    # It has an FPU, which a soft-float program leaves alone.
    Architecture("mipsel_24kc_24kf", "mipsel", "24Kf", "pistachio"),
    Architecture(
        *("arm_cortex-a7_neon-vfpv4", "arm", "cortex-a7"),
        "ipq40xx, bcm27xx/bcm2709, mediatek/mt7623, sunxi/cortexa7, imx/cortexa7, stm32",
    ),
    Architecture("arm_cortex-a15_neon-vfpv4", "arm", "cortex-a15", "ipq806x, armsr/armv7"),
    Architecture(
        *("aarch64_cortex-a53", "aarch64", "cortex-a53"),
        "mediatek filogic and mt7622, qualcommax, bcm27xx/bcm2710, mvebu, sunxi, imx",
    ),
    Architecture("aarch64_cortex-a72", "aarch64", "cortex-a72", "bcm27xx/bcm2711, mvebu/cortexa72"),
    Architecture("aarch64_cortex-a76", "aarch64", "cortex-a76", "bcm27xx/bcm2712"),
    Architecture("aarch64_generic", "aarch64", "cortex-a53", "rockchip, layerscape, armsr/armv8"),
    Architecture("x86_64", "x86_64", "", "x86/64"),
)

_NO_DIVISION = "no division instruction, which the executable for Cortex-A7 uses"
_NO_NEON = "no NEON, or not said to have it"
_OLD_ARM = "ARMv4 to ARMv6"
_MIPS32R1 = "MIPS32 release 1: no instructions of release 2"
_NOT_BUILT = "nothing is built for this kind of CPU"
NOT_SERVED = {
    "arm_arm1176jzf-s_vfp": _OLD_ARM,
    "arm_arm926ej-s": _OLD_ARM,
    "arm_fa526": _OLD_ARM,
    "arm_xscale": _OLD_ARM,
    "armeb_xscale": _OLD_ARM,
    "arm_cortex-a5_vfpv4": _NO_DIVISION,
    "arm_cortex-a8_vfpv3": _NO_DIVISION,
    "arm_cortex-a9": _NO_DIVISION,
    "arm_cortex-a9_neon": _NO_DIVISION,
    "arm_cortex-a9_vfpv3-d16": _NO_DIVISION,
    "arm_cortex-a7": _NO_NEON,
    "arm_cortex-a7_vfpv4": _NO_NEON,
    "mips_mips32": _MIPS32R1,
    "mipsel_mips32": _MIPS32R1,
    "mips64_octeonplus": "64-bit; whether its kernel takes 32-bit programs was not tried",
    "i386_pentium-mmx": _NOT_BUILT,
    "i386_pentium4": _NOT_BUILT,
    "loongarch64_generic": _NOT_BUILT,
    "powerpc64_e5500": _NOT_BUILT,
    "powerpc_464fp": _NOT_BUILT,
    "powerpc_8548": _NOT_BUILT,
    "riscv64_generic": _NOT_BUILT,
    "riscv64_riscv64": _NOT_BUILT,
}


def names(built_as):
    """OpenWrt's names for one of our executables, the usual one first."""
    return [row.name for row in SERVED if row.built_as == built_as]


def executable_of(name):
    """Which of our executables a name means; None: it is none that we serve."""
    return next((row.built_as for row in SERVED if row.name == name), None)
