# SPDX-License-Identifier: MIT
"""busybox, ip and wg for big-endian MIPS, which Debian has no port for: static, from source.

busybox and iproute2 are Debian's source packages; wg is qemu/guest/wg.c. The compiler is Debian's
cross gcc, whose programs want a processor with an FPU: the emulated 24Kf has one.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from machine import apt
from machine.debs import CACHE, Apt, unpack_source
from qemu.boot import GUEST

CROSS = "mips-linux-gnu-"
_NEEDED = {f"{CROSS}gcc": "gcc-mips-linux-gnu", "make": "make", "flex": "flex", "bison": "bison"}
# What needs headers that a cross compiler's libc has not, or takes long and is not used.
_BUSYBOX_OFF = ("TC", "FEATURE_MOUNT_NFS", "FEATURE_INETD_RPC", "RPM", "DPKG", "DPKG_DEB")
_IPROUTE2_CONFIG = """\
PKG_CONFIG:=pkg-config
TC_CONFIG_NO_XT:=y
YACC := bison
CFLAGS += -DHAVE_SETNS -DHAVE_HANDLE_AT -DNEED_STRLCPY
%.o: %.c
\t$(CC) $(CFLAGS) $(EXTRA_CFLAGS) -c -o $@ $<
"""


def _in_environment(argv: list[str], cwd: Path, log: Path, env: dict[str, str]) -> None:
    """Run a build step at low priority; its output goes to `log` and is shown when it fails."""
    with log.open("ab") as out:
        done = subprocess.run(
            ["nice", *argv], cwd=cwd, stdout=out, stderr=out, env={**os.environ, **env}
        )
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise RuntimeError(f"{' '.join(argv)} failed in {cwd}:\n{tail}")


def _busybox(tree: Path, log: Path) -> Path:
    config = (tree / "debian/config/pkg/static").read_text()
    for name in _BUSYBOX_OFF:
        config = config.replace(f"CONFIG_{name}=y", f"# CONFIG_{name} is not set")
    config = config.replace('CONFIG_CROSS_COMPILER_PREFIX=""', "")
    (tree / ".config").write_text(config + f'CONFIG_CROSS_COMPILER_PREFIX="{CROSS}"\n')
    questions = subprocess.Popen(["yes", ""], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with log.open("ab") as out:
        subprocess.run(
            ["make", "oldconfig"], cwd=tree, stdin=questions.stdout, stdout=out, stderr=out
        )
    questions.kill()
    questions.wait()
    _in_environment(["make", "-j2", "busybox"], tree, log, {})
    return tree / "busybox"


def _ip(tree: Path, log: Path) -> Path:
    (tree / "config.mk").write_text(_IPROUTE2_CONFIG)
    settings = [f"CC={CROSS}gcc", "HOSTCC=gcc", f"AR={CROSS}ar", "SHARED_LIBS=n", "LDFLAGS=-static"]
    _in_environment(["make", "-j2", "SUBDIRS=lib ip", *settings], tree, log, {})
    return tree / "ip" / "ip"


def _wg(tree: Path, log: Path) -> Path:
    tree.mkdir()
    source = GUEST / "wg.c"
    flags = ["-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-static"]
    _in_environment([f"{CROSS}gcc", *flags, str(source), "-o", str(tree / "wg")], tree, log, {})
    return tree / "wg"


def build() -> dict[str, Path]:
    """{name: static big-endian program}; built when the cache has none of these sources."""
    packages = Apt("bookworm", "amd64")
    sources = {name: packages.fetch_source(name) for name in ("busybox", "iproute2")}
    inputs = [files[0].name for files in sources.values()]
    inputs += [(GUEST / "wg.c").read_text(), Path(__file__).read_text()]
    key = hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:16]
    folder = CACHE / "userland" / f"mips-{key}"
    builders = {"busybox": _busybox, "ip": _ip, "wg": _wg}
    if folder.is_dir():
        return {name: folder / name for name in builders}
    apt.need([*apt.providers(_NEEDED), "libc6-dev-mips-cross"])
    work = CACHE / "build" / f"userland-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    fresh = work / "out"
    fresh.mkdir(parents=True)
    for name, source in (("busybox", "busybox"), ("ip", "iproute2"), ("wg", "")):
        tree = unpack_source(sources[source], work / source) if source else work / name
        program = builders[name](tree, work / f"{name}.log")
        subprocess.run([f"{CROSS}strip", "-o", fresh / name, program], check=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh.rename(folder)
    shutil.rmtree(work)
    return {name: folder / name for name in builders}
