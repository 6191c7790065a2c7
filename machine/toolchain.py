# SPDX-License-Identifier: MIT
"""What the router build needs: two Debian source packages and zig's compiler, pinned and cached.

Each is looked for in the cache first, then fetched: sources by the host's own apt configuration,
zig by pip. MICROPYTHON= and BEARSSL= in the environment name local trees instead.
"""

import fcntl
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from machine import debs

ROOT = Path(__file__).resolve().parent.parent
CACHE = debs.CACHE


class ToolchainError(Exception):
    """Something is missing; the text says what and how to get it."""


@dataclass(frozen=True)
class Source:
    """A Debian source package: only its upstream tarball is used, and that one is pinned."""

    suite: str
    package: str
    sha256: str
    variable: str  # environment variable that names a local tree
    marker: str  # a file that tells such a tree


MICROPYTHON = Source(
    suite="trixie",
    package="micropython",
    sha256="7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea",  # 1.25.0+ds
    variable="MICROPYTHON",
    marker="py/py.mk",
)
BEARSSL = Source(
    suite="bookworm",
    package="bearssl",
    sha256="102a625bd8f6155260867a50c508df8d8c3f796985dd744df1a68e5cd1a79004",  # 0.6+dfsg.1
    variable="BEARSSL",
    marker="inc/bearssl.h",
)
ZIG = "ziglang==0.17.0"
ZIG_SHA256 = {
    "x86_64": "97079827064a7492cce5541ceb438ae8003ce1e54e399676da2d62fb7a5dc08b",
    "aarch64": "d2804f94f54f7fcf8169f4b212a619ad688a4e2e6592e976f0cf2e58e2cd8af3",
}


@dataclass(frozen=True)
class Target:
    """One architecture of the static executable."""

    triple: str
    cpu: str
    qemu: tuple[str, ...]  # qemu-user and the smallest CPU that must run it; empty: native
    executable: int  # bounds in bytes: the file, it as xz -9e, its .ipk
    packed: int
    ipk: int
    # Whether it is position-independent, and its stack protected. Not on small routers: a pointer
    # in a table is then a page of memory of its own, 70 KB of them (docs/security.md).
    hardened: bool = False


TARGETS = {
    "mips": Target(
        *("mips-linux-musleabi", "mips32r2", ("mips", "24Kc")),
        *(529_900, 209_300, 266_400),
    ),
    "mipsel": Target(
        *("mipsel-linux-musleabi", "mips32r2", ("mipsel", "24Kc")),
        *(529_000, 210_700, 266_000),
    ),
    "arm": Target(
        *("thumb-linux-musleabihf", "cortex_a7", ("arm", "cortex-a7")),
        *(384_700, 211_100, 247_500),
    ),
    "aarch64": Target(
        *("aarch64-linux-musl", "cortex_a53", ("aarch64", "cortex-a53")),
        *(580_200, 224_900, 279_100),
        hardened=True,
    ),
    # Four vector AEADs take 18 KB as xz.
    "x86_64": Target(
        *("x86_64-linux-musl", "x86_64", (), 606_000, 247_700, 291_700),
        hardened=True,
    ),
}


def _sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _host_arch():
    return subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()


def _once(make):
    """Of two processes that need the same thing, the second waits until the first has made it."""

    @functools.wraps(make)
    def locked(*arguments):
        CACHE.mkdir(parents=True, exist_ok=True)
        with open(CACHE / f"{make.__name__}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return make(*arguments)

    return locked


def _unpacked(archive, folder, unpack):
    """`folder`, made from the archive by `unpack(archive, empty folder)` unless it is there."""
    if not folder.is_dir():
        half = folder.with_name(f"{folder.name}.{os.getpid()}.new")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        unpack(archive, half)
        half.rename(folder)
    return folder


def _untar(archive, into):
    subprocess.run(["tar", "-xf", str(archive), "-C", str(into)], check=True)


@_once
def tree(source):
    """The folder of the source tree. ToolchainError says what to fetch when it cannot be had."""
    local = os.environ.get(source.variable)
    if local:
        if not (Path(local) / source.marker).is_file():
            raise ToolchainError(f"{source.variable}={local} holds no {source.marker}")
        return Path(local).resolve()
    folder = CACHE / "sources" / f"{source.package}-{source.sha256[:12]}"
    if not folder.is_dir():
        way_out = (
            f"Or unpack Debian {source.suite}'s source package `{source.package}` "
            f"yourself and set {source.variable}= to its folder."
        )
        try:
            files = debs.Apt(source.suite, _host_arch()).fetch_source(source.package)
        except debs.DebsError as e:
            raise ToolchainError(f"{e}\n{way_out}") from e
        archive = next((f for f in files if _sha256(f) == source.sha256), None)
        if archive is None:
            names = ", ".join(f.name for f in files)
            raise ToolchainError(
                f"none of {names} has the SHA-256 that {source.package} is pinned to: "
                f"{source.sha256}. To fetch them anew, remove {files[0].parent}\n{way_out}"
            )
        _unpacked(archive, folder, _untar)
    return next(folder.glob(f"*/{source.marker}")).parents[len(Path(source.marker).parents) - 1]


def _unzip(archive, into):
    with zipfile.ZipFile(archive) as wheel:
        wheel.extractall(into)
    (into / "ziglang" / "zig").chmod(0o755)


def _wheel(downloads, sha256):
    """The wheel that has this hash, or None."""
    wheels = downloads.glob("ziglang-*.whl")
    return next((wheel for wheel in wheels if _sha256(wheel) == sha256), None)


def _fetched_wheel(downloads, sha256, machine):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(downloads), ZIG]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ToolchainError(
            f"pip could not fetch {ZIG} (100 MB, needed once):\n{done.stderr.strip()}\n"
            f"With no network, copy its wheel for {machine} into {downloads}: the file of the "
            f"package ziglang that has the SHA-256 {sha256}."
        )
    archive = _wheel(downloads, sha256)
    if archive is None:
        raise ToolchainError(f"no wheel in {downloads} has the SHA-256 {sha256}")
    return archive


@_once
def zig():
    """The path of zig, from the Python package that carries it."""
    machine = platform.machine()
    if machine not in ZIG_SHA256:
        raise ToolchainError(
            f"no zig is pinned for a {machine} machine: build on x86_64 or aarch64"
        )
    wanted = ZIG_SHA256[machine]
    folder = CACHE / f"zig-{wanted[:12]}"
    if not folder.is_dir():
        downloads = CACHE / "downloads"
        archive = _wheel(downloads, wanted) or _fetched_wheel(downloads, wanted, machine)
        _unpacked(archive, folder, _unzip)
        archive.unlink()
    return folder / "ziglang" / "zig"


def all_of(*makers):
    """What each of them returns; one ToolchainError that tells all that are missing."""
    found = []
    missing = []
    for maker in makers:
        try:
            found.append(maker())
        except ToolchainError as e:
            missing.append(str(e))
    if missing:
        raise ToolchainError("\n\n".join(missing))
    return found


def environment():
    """The environment for zig: its caches in ours."""
    folder = str(CACHE / "zig-cache")
    return {**os.environ, "ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder}


# As in micropython/Makefile, which says why.
_TEXTS_ARE_NAMES = "CFLAGS_EXTRA=-DMICROPY_ALLOC_PARSE_INTERN_STRING_LEN=255"


@_once
def mpy_cross(micropython):
    """MicroPython's cross compiler for bytecode, built once for this machine."""
    built_from = f"{micropython.resolve()} {_TEXTS_ARE_NAMES}"
    stamp = hashlib.sha256(built_from.encode()).hexdigest()[:12]
    program = CACHE / f"mpy-cross-{stamp}" / "mpy-cross"
    if not program.is_file():
        command = ["make", "-C", str(micropython / "mpy-cross"), "-j2", "CC=cc"]
        command += [f"BUILD={program.parent}", "PROG=mpy-cross", "STRIP=", "SIZE=true"]
        command.append(_TEXTS_ARE_NAMES)
        environment = {**os.environ, "MICROPY_GIT_TAG": "v1.25.0", "MICROPY_GIT_HASH": "tunlite"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise ToolchainError(f"mpy-cross:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return program
