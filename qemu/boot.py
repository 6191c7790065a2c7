# SPDX-License-Identifier: MIT
"""One boot of an emulated machine: files in, result lines out, within a time limit.

The guest reports by lines on its console: `TL: ok NAME`, `TL: fail NAME WHY`,
`TL: value NAME NUMBER`, `TL: note TEXT`, and `TL: done` when it got to its end.
"""

import os
import platform
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from machine import apt
from machine.debs import CACHE, Apt, unpacked
from qemu import kernels
from qemu.initramfs import Initramfs
from qemu.targets import Target

GUEST = Path(__file__).parent / "guest"
# crc32c_generic is what libcrc32c, and so batman_adv, asks the crypto layer for by name.
MODULES = (
    "crc32c_generic tun veth dummy vxlan 8021q bridge wireguard batman_adv sch_netem "
    "virtio_pci virtio_mmio virtio_net"
)


@dataclass
class Result:
    """What a guest said, in its order."""

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    ended: bool = False
    timed_out: bool = False
    fell_silent: bool = False
    kvm_failed: bool = False

    @property
    def ok(self) -> bool:
        return self.ended and bool(self.passed) and not self.failed

    def take(self, line: str) -> bool:
        """Note one console line; True when it was a result line."""
        self.console.append(line)
        _, marker, rest = line.partition("TL: ")
        if not marker:
            return False
        kind, _, rest = rest.partition(" ")
        name, _, why = rest.partition(" ")
        if kind == "ok":
            self.passed.append(name)
        elif kind == "fail":
            self.failed[name] = why
        elif kind == "value":
            self.values[name] = float(why)
        elif kind == "note":
            self.notes.append(rest)
        elif kind == "done":
            self.ended = True
        return True

    def why_not_ok(self) -> str:
        reasons = [f"{name}: {why}" for name, why in self.failed.items()]
        if self.fell_silent:
            reasons.append("the guest said nothing any more and QEMU was killed")
        elif self.timed_out:
            reasons.append("the time limit passed and QEMU was killed")
        elif not self.ended:
            reasons.append("the guest ended before its test script did")
        elif not self.passed:
            reasons.append("the guest reported no passed test")
        return "; ".join(reasons)


@dataclass(frozen=True)
class Kernel:
    """A bootable image and the folder with its modules (None when all is built in)."""

    image: Path
    modules: Path | None
    name: str


def _with_parts(apt_of_suite: Apt, concrete: str) -> list[Path]:
    """The .deb of a kernel; since 7.x its binary and its modules are packages of their own."""
    (deb,) = apt_of_suite.fetch([concrete])
    depends = subprocess.run(
        ["dpkg-deb", "--field", deb, "Depends"], capture_output=True, text=True, check=True
    ).stdout
    parts = re.findall(r"\blinux-(?:binary|modules)-\S+", depends)
    return [deb, *(apt_of_suite.fetch(parts) if parts else [])]


def debian_kernel(package: str, arch: str, suite: str) -> Kernel:
    """Debian's kernel for a meta package such as `linux-image-amd64`, fetched and unpacked."""
    apt_of_suite = Apt(suite, arch)
    concrete = apt_of_suite.concrete(package)
    debs = _with_parts(apt_of_suite, concrete)
    root = unpacked(debs, CACHE / "kernels" / debs[0].stem)
    images = [path for path in sorted(root.rglob("vmlinu*")) if path.is_file()]
    return Kernel(images[0], root, concrete)


def kernel_of(target: Target) -> Kernel:
    if target.own_kernel:
        return Kernel(kernels.build(target.own_kernel), None, target.own_kernel)
    return debian_kernel(target.kernel_package, target.deb_arch, target.suite)


def base_image(target: Target, kernel: Kernel, params: dict[str, str]) -> Initramfs:
    """An initramfs with /init, busybox is the caller's; `params` become shell variables."""
    image = Initramfs()
    image.add("init", (GUEST / "init").read_bytes(), 0o755)
    params = {"TL_END": "reboot" if target.reboots else "poweroff", **params}
    lines = [f"{name}='{value}'\nexport {name}\n" for name, value in params.items()]
    image.add("tl/params", "".join(lines))
    if kernel.modules:
        image.add_modules(kernel.modules, MODULES.split())
    else:
        image.add("lib/modules/order", "")
    return image


def may_use_kvm(target: Target) -> bool:
    return platform.machine() == target.name and os.access("/dev/kvm", os.R_OK | os.W_OK)


def command(
    target: Target, kernel: Kernel, initrd: Path, extra: list[str], kvm: bool = False
) -> list[str]:
    apt.need([*apt.providers({target.qemu[0]: target.qemu_package}), *target.needs])
    append = f"console={target.console} quiet loglevel=1 panic=-1 {target.append}".strip()
    return [
        *target.qemu,
        *(("-accel", "kvm") if kvm else ()),
        *("-m", str(target.memory_mb), "-nographic", "-no-reboot", "-monitor", "none"),
        *("-serial", "stdio", "-kernel", str(kernel.image), "-initrd", str(initrd)),
        *("-append", append),
        *extra,
    ]


def run(
    argv: list[str],
    limit_s: float,
    on_line: Callable[[str], None] | None = None,
    silence_s: float | None = None,
) -> Result:
    """Run QEMU and read its console to the end; after `limit_s`, or when it has said nothing for
    `silence_s`, it gets SIGKILL."""
    result = Result()
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )

    def watch() -> None:
        begun = time.monotonic()
        while not ended.wait(min(limit_s, silence_s or limit_s, 5)):
            now = time.monotonic()
            result.fell_silent = silence_s is not None and now - heard[0] >= silence_s
            result.timed_out = result.fell_silent or now - begun >= limit_s
            if result.timed_out:
                os.killpg(process.pid, signal.SIGKILL)
                return

    heard = [time.monotonic()]
    ended = threading.Event()
    watching = threading.Thread(target=watch)
    watching.start()
    try:
        for raw in process.stdout:
            heard[0] = time.monotonic()
            line = raw.decode(errors="replace").rstrip("\r\n")
            if result.take(line) and on_line:
                on_line(line[line.index("TL: ") + 4 :])
            if "KVM internal error" in line:
                result.kvm_failed = True
                break
        if not result.kvm_failed:
            process.wait()
    finally:
        ended.set()
        watching.join()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return result


def documents(console: list[str], kind: str) -> dict[str, str]:
    """What the guest printed between `--- KIND NAME` and `---`, by name."""
    found, name, lines = {}, "", []
    for line in console:
        if line.startswith(f"--- {kind} "):
            name, lines = line.split()[2], []
        elif line == "---" and name:
            found[name], name = "\n".join(lines), ""
        elif name:
            lines.append(line)
    return found


def boot(
    target: Target,
    kernel: Kernel,
    image: Initramfs,
    limit_s: float,
    extra: list[str] | None = None,
    prefix: list[str] | None = None,
    on_line: Callable[[str], None] | None = None,
    silence_s: float | None = None,
) -> Result:
    """Boot `image`; `prefix` runs QEMU by another program (`ip netns exec NAME`).

    KVM is used where the machine is of the host's kind and /dev/kvm works: inside some virtual
    machines it is there but cannot run every instruction, and the boot begins again without it.
    """
    with tempfile.TemporaryDirectory(prefix="tunlite-qemu-") as folder:
        initrd = Path(folder) / "initrd.gz"
        initrd.write_bytes(image.pack())
        extra = extra if extra is not None else ["-nic", "none"]
        for kvm in (True, False) if may_use_kvm(target) else (False,):
            argv = [*(prefix or []), *command(target, kernel, initrd, extra, kvm)]
            result = run(argv, limit_s, on_line, silence_s)
            if not result.kvm_failed:
                break
        return result
