# SPDX-License-Identifier: MIT
"""Malta kernels of our own, built from Debian's kernel source and cached by what went into them.

Debian has no big-endian MIPS port, and the instruction clock (`-icount`) needs a kernel that does
not calibrate its timer against the RTC. Each build is a row of KERNELS.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from machine import apt
from machine.debs import CACHE, Apt, unpacked

CONFIGS = Path(__file__).parent / "kernels"
SOURCE_PACKAGE = "linux-source-6.1"

_RTC_FUNCTION = "static void __init estimate_frequencies(void)"
_RTC_DECLARATIONS_END = "\tu64 giccount = 0, gicstart = 0;\n"
# 160 MHz: QEMU's Malta runs the CP0 counter at half of its 320 MHz CPU clock.
_RTC_FIXED = """\

\tif (!mips_gic_present()) {
\t\tmips_hpt_frequency = 160000000;
\t\treturn;
\t}
"""


class KernelError(Exception):
    """A kernel could not be built; the message says where and why."""


def fix_timer_frequency(tree: Path) -> None:
    """Let Malta take its counter's frequency as known, instead of measuring it by the RTC.

    Under `-icount` the two clocks agree by construction, and the measurement would spin through
    two guest seconds of CMOS reads.
    """
    path = tree / "arch/mips/mti-malta/malta-time.c"
    text = path.read_text()
    before, function, rest = text.partition(_RTC_FUNCTION)
    declarations, marker, body = rest.partition(_RTC_DECLARATIONS_END)
    if not function or not marker or "}" in declarations:
        raise KernelError(f"{path}: estimate_frequencies() is not the function this edit knows")
    path.write_text(before + function + declarations + marker + _RTC_FIXED + body)


@dataclass(frozen=True)
class Kernel:
    """One build: its config fragments, its compiler and an edit to the source, if any."""

    name: str
    configs: tuple[str, ...]
    cross_compile: str
    edit: Callable[[Path], None] | None = None

    def config(self) -> str:
        return "".join((CONFIGS / name).read_text() for name in self.configs)


KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel("malta-be", ("malta.config", "malta-be.config"), "mips-linux-gnu-"),
        Kernel(
            "malta-bench",
            ("malta.config", "malta-bench.config"),
            "mipsel-linux-gnu-",
            fix_timer_frequency,
        ),
    )
}


def _wanted_settings(config: str) -> list[str]:
    return [line for line in config.splitlines() if line.startswith("CONFIG_")]


def _check_config(kernel: Kernel, tree: Path) -> None:
    """kconfig drops a setting with an unmet dependency silently: here that is an error."""
    have = set((tree / ".config").read_text().splitlines())
    lost = [line for line in _wanted_settings(kernel.config()) if line not in have]
    if lost:
        raise KernelError(f"{kernel.name}: the kernel's config dropped {', '.join(lost)}")


def _make(kernel: Kernel, tree: Path, *targets: str) -> None:
    env = {**os.environ, "ARCH": "mips", "CROSS_COMPILE": kernel.cross_compile}
    # One name, host and date in the image: two builds of the same source are the same file.
    env |= {"KBUILD_BUILD_USER": "tunlite", "KBUILD_BUILD_HOST": "tunlite"}
    env |= {"KBUILD_BUILD_TIMESTAMP": "2024-01-01", "KCONFIG_ALLCONFIG": str(tree / "wanted")}
    log = tree / "tunlite-build.log"
    with log.open("ab") as out:
        done = subprocess.run(
            ["nice", "make", "-j2", *targets], cwd=tree, env=env, stdout=out, stderr=out
        )
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise KernelError(f"{kernel.name}: make {' '.join(targets)} failed in {tree}:\n{tail}")


def _unpacked_source(deb: Path, work: Path) -> Path:
    shutil.rmtree(work, ignore_errors=True)
    unpacked([deb], work / "deb")
    archive = next((work / "deb/usr/src").glob("linux-source-*.tar.xz"))
    subprocess.run(["nice", "tar", "-xf", archive, "-C", work], check=True)
    shutil.rmtree(work / "deb")
    return next(work.glob("linux-source-*"))


def build(name: str) -> Path:
    """The kernel image (a vmlinux) of KERNELS[name]; built when the cache has none of its kind."""
    kernel = KERNELS[name]
    (deb,) = Apt("bookworm", "amd64").fetch([SOURCE_PACKAGE])
    edit = fix_timer_frequency.__doc__ or "" if kernel.edit else ""
    key = hashlib.sha256(f"{deb.name}\n{kernel.config()}\n{edit}{_RTC_FIXED}".encode()).hexdigest()
    image = CACHE / "kernels" / f"{name}-{key[:16]}" / "vmlinux"
    if image.is_file():
        return image
    needed = {name: name for name in ("make", "flex", "bison", "bc")}
    gcc = f"{kernel.cross_compile}gcc"
    apt.need(apt.providers({**needed, gcc: f"gcc-{kernel.cross_compile.rstrip('-')}"}))
    print(f"building {name} (5-10 minutes on two cores, once) ...", file=sys.stderr, flush=True)
    work = CACHE / "build" / f"{name}-{os.getpid()}"
    tree = _unpacked_source(deb, work)
    if kernel.edit:
        kernel.edit(tree)
    (tree / "wanted").write_text(kernel.config())
    _make(kernel, tree, "allnoconfig")
    _check_config(kernel, tree)
    _make(kernel, tree, "vmlinux")
    image.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(tree / ".config", image.parent / "config")
    stripped = image.with_suffix(".new")
    subprocess.run([f"{kernel.cross_compile}strip", "-o", stripped, tree / "vmlinux"], check=True)
    stripped.rename(image)
    shutil.rmtree(work)
    return image


if __name__ == "__main__":
    for wanted in sys.argv[1:] or KERNELS:
        print(build(wanted))
