# SPDX-License-Identifier: MIT
"""Segmentation offload and checksums for tests: the same requests answered in this process, by a
program under AddressSanitizer and UBSan, and by one for big-endian MIPS under an emulator."""

import atexit
import functools
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from machine import native_build, toolchain

ROOT = Path(__file__).resolve().parent.parent.parent
ANSWER_MAX = 1 << 25
TCP, UDP = 1, 2  # enum offload_kind
REFUSALS = {-1: "short", -2: "length", -3: "type", -4: "unsplittable", -5: "checksum", -6: "room"}
HARNESS = "tests/native/offload_harness.c"
MAIN = "tests/native/offload_harness_main.c"
FLAGS = ["-Itests/native"]
MIPS_QEMU = "qemu-mips-static"


def core_sources():
    """The C files under test, relative to the root."""
    found = [
        p
        for what in ("offload", "checksum", "ether")
        for p in ROOT.glob(f"native/inside/{what}*.c")
    ]
    return sorted(str(p.relative_to(ROOT)) for p in found)


class _Extension:
    """Answers in this process."""

    def __init__(self):
        # cffi compiles the module without our flags, so the harness is included by its full path
        header = (ROOT / "tests/native/offload_harness.h").as_posix()
        cdef = "size_t offload_harness(uint8_t *, size_t, uint8_t *, size_t);"
        module = native_build.test_module(
            "_test_offload", cdef, f'#include "{header}"\n', [*core_sources(), HARNESS]
        )
        self._ffi, self._lib = module.ffi, module.lib
        self._answer = self._ffi.new("uint8_t[]", ANSWER_MAX)

    def ask(self, request):
        data = self._ffi.from_buffer(bytearray(request))
        n = self._lib.offload_harness(data, len(request), self._answer, ANSWER_MAX)
        return bytes(self._ffi.buffer(self._answer, n))


class _Program:
    """Answers through pipes; RuntimeError with the program's last words when it ends."""

    def __init__(self, argv):
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe)
        atexit.register(self._close)

    def _read(self, n):
        data = self._process.stdout.read(n)
        if len(data) != n:
            raise RuntimeError(self._process.stderr.read().decode())
        return data

    def ask(self, request):
        try:
            self._process.stdin.write(struct.pack(">I", len(request)) + request)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise RuntimeError(self._process.stderr.read().decode()) from None
        return self._read(struct.unpack(">I", self._read(4))[0])

    def _close(self):
        self._process.kill()
        self._process.communicate()


class _Answer:
    def __init__(self, data):
        self._data, self._at = data, 0

    def word(self):
        self._at += 4
        return struct.unpack_from(">i", self._data, self._at - 4)[0]

    def bytes(self):
        n = self.word()
        self._at += n
        return self._data[self._at - n : self._at]

    def done(self):
        return self._at == len(self._data)


def _words(*values):
    return struct.pack(f">{len(values)}I", *values)


def _bytes(data):
    return _words(len(data)) + data


class Room:
    """struct offload_room without its memory, and the length of the array of slices."""

    def __init__(self, size=70000, headroom=16, tailroom=16, pad=16, mtu=1420, max_slices=64):
        self.size, self.headroom, self.tailroom = size, headroom, tailroom
        self.pad, self.mtu, self.max_slices = pad, mtu, max_slices


class Native:
    """The C functions by name, through a backend's ask()."""

    def __init__(self, backend):
        self._ask = backend.ask

    def checksums(self):
        """Names of the implementations that this CPU can run, by their index."""
        a = _Answer(self._ask(_words(ord("L"))))
        rows = [(a.bytes().decode(), a.word()) for _ in range(a.word())]
        return {i: name for i, (name, available) in enumerate(rows) if available}

    def sum(self, data, shift=0, checksum=0):
        """(sum, sum while copying, copy) of data at an address that is `shift` off."""
        a = _Answer(self._ask(_words(ord("C"), checksum, shift) + _bytes(data)))
        return a.word(), a.word(), a.bytes()

    def split(self, frame, room, checksum=0, ethernet=False):
        """(what begin returned, the frame afterwards, turns): a turn is (result, slices, room)."""
        request = _words(
            ord("S"), checksum, ethernet, room.headroom, room.tailroom, room.pad, room.mtu
        )
        request += _words(room.size, room.max_slices) + _bytes(frame)
        a = _Answer(self._ask(request))
        begun, after, turns = a.word(), a.bytes(), []
        while not a.done():
            result, done = a.word(), a.word()
            slices = [(a.word(), a.word()) for _ in range(result)]
            turns.append((result, slices, a.bytes()))
            assert bool(done) == a.done() or result < 0
        return begun, after, turns

    def merge(self, packets, kinds=TCP | UDP, unmerge=False, checksum=0, ethernet=False):
        """Groups, each a list of the iovecs' bytes; and what `bytes` of the group says."""
        request = _words(ord("M"), checksum, ethernet, kinds, unmerge, len(packets))
        a = _Answer(self._ask(request + b"".join(map(_bytes, packets))))
        groups = []
        for _ in range(a.word()):
            count, length = a.word(), a.word()
            groups.append(([a.bytes() for _ in range(count)], length))
        return groups

    def set_ecn(self, packet, ecn):
        return _Answer(self._ask(_words(ord("E"), ecn) + _bytes(packet))).bytes()

    def update(self, check, old, new):
        return _Answer(self._ask(_words(ord("U"), check, old, new))).word()


def _sanitized():
    flags = [*FLAGS, *native_build.SANITIZE["asan"]]
    program = native_build.program("offload_harness_asan", [*core_sources(), HARNESS, MAIN], flags)
    return _Program([program])


def _mips():
    target = native_build.BUILD / "bin" / "offload_harness_mips"
    target.parent.mkdir(parents=True, exist_ok=True)
    sources = [*core_sources(), HARNESS, MAIN]
    made = target.stat().st_mtime if target.exists() else 0
    headers = [*ROOT.glob("native/*/*.h"), *ROOT.glob("tests/native/offload_harness*")]
    if made < max(p.stat().st_mtime for p in [*headers, *(ROOT / s for s in sources)]):
        zig = [str(toolchain.zig()), "cc", "-target", "mips-linux-musleabi"]
        flags = ["-mcpu=mips32r2", "-O3", "-std=gnu11", "-static", *native_build.WARNINGS]
        command = [*zig, *flags, *native_build.INCLUDES, *FLAGS, *sources, "-o", str(target)]
        subprocess.run(command, cwd=ROOT, env=toolchain.environment(), check=True)
    return _Program([MIPS_QEMU, "-cpu", "24Kc", str(target)])


_BACKENDS = {"here": _Extension, "asan": _sanitized, "mips": _mips}
# of the CPU, and so of struct virtio_net_hdr
ORDERS = {"here": sys.byteorder, "asan": sys.byteorder, "mips": "big"}


def _why_not(name):
    """Why a backend cannot be had on this machine; an empty string when it can."""
    if name == "mips" and shutil.which(MIPS_QEMU) is None:
        return MIPS_QEMU + " is not installed (Debian: qemu-user-static)"
    return ""


@functools.cache
def native(where):
    """The functions as built `where`; compiled and started at the first use."""
    return Native(_BACKENDS[where]())


everywhere = pytest.mark.parametrize(
    "where",
    [
        pytest.param(name, marks=pytest.mark.skipif(bool(_why_not(name)), reason=_why_not(name)))
        for name in _BACKENDS
    ],
)
