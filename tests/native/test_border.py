# SPDX-License-Identifier: MIT
"""The border's other functions: primitives, children, privileges, names, bad arguments."""

import ctypes
import errno
import hashlib
import os
import select
import signal
import struct
import sys

import pytest

from machine import native_build
from tests.native.plane_ffi import ROOT, Plane, checked, ffi, lib, names, options


def test_the_border_header_is_text_that_cffi_takes():
    from cffi import FFI

    header = (ROOT / "native/include/tunlite.h").read_text(encoding="utf-8")
    FFI().cdef(native_build.build_ffi().border_cdef(header))


def test_clocks_tell_nanoseconds():
    import time

    out = ffi.new("unsigned char[8]")
    for number, clock in ((0, time.CLOCK_BOOTTIME), (1, time.CLOCK_REALTIME)):
        before = time.clock_gettime_ns(clock)
        assert lib.tl_clock(number, out) in (0, 1)
        after = time.clock_gettime_ns(clock)
        assert before <= struct.unpack("<Q", bytes(out))[0] <= after
    assert lib.tl_clock(2, out) == 0
    assert lib.tl_clock(3, out) == -errno.EINVAL


def test_random_bytes_differ_and_a_wipe_leaves_zeros():
    a, b = bytearray(32), bytearray(32)
    for buf in (a, b):
        assert lib.tl_random(ffi.from_buffer(buf), 32) == 0
    assert a != b
    assert lib.tl_wipe(ffi.from_buffer(a), 31) == 0
    assert bytes(a[:31]) == bytes(31) and a[31:] != b""


def test_equal_compares_lengths_too():
    assert lib.tl_equal(b"abc", 3, b"abc", 3) == 1
    assert lib.tl_equal(b"abc", 3, b"abd", 3) == 0
    assert lib.tl_equal(b"abc", 3, b"ab", 2) == 0
    assert lib.tl_equal(b"", 0, b"", 0) == 1


def test_blake2s_and_kdf_are_pythons_own():
    import hmac

    out = ffi.new("unsigned char[96]")
    assert lib.tl_blake2s(out, 16, b"key", 3, b"data", 4) == 0
    assert bytes(out)[:16] == hashlib.blake2s(b"data", digest_size=16, key=b"key").digest()
    assert lib.tl_blake2s(out, 32, ffi.NULL, 0, ffi.NULL, 0) == 0
    assert bytes(out)[:32] == hashlib.blake2s(b"").digest()
    assert lib.tl_kdf(out, 96, b"k" * 32, b"input", 5) == 0
    prk, expected, block = hmac.digest(b"k" * 32, b"input", "blake2s"), b"", b""
    for i in (1, 2, 3):
        block = hmac.digest(prk, block + bytes([i]), "blake2s")
        expected += block
    assert bytes(out) == expected


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("tl_blake2s", (0, b"", 0, b"", 0)),
        ("tl_blake2s", (33, b"", 0, b"", 0)),
        ("tl_blake2s", (32, b"x" * 33, 33, b"", 0)),
        ("tl_blake2s", (32, b"", 0, b"", -1)),
        ("tl_kdf", (33, b"k" * 32, b"", 0)),
        ("tl_kdf", (128, b"k" * 32, b"", 0)),
        ("tl_seal", (17, b"k" * 32, b"", 0, b"", 0, b"", 0)),
        ("tl_seal", (16, b"k" * 32, b"n" * 8, 8, b"", 0, b"", 0)),
        ("tl_open", (0, b"k" * 32, b"", 0, b"", 0, b"x" * 15, 15)),
        ("tl_open", (1, b"k" * 32, b"", 0, b"", 0, b"x" * 16, 16)),
        ("tl_random", (-1,)),
        ("tl_wipe", (-1,)),
    ],
)
def test_lengths_that_do_not_fit_are_einval(name, args):
    out = ffi.new("unsigned char[256]")
    assert getattr(lib, name)(out, *args) == -errno.EINVAL
    assert bytes(out) == bytes(256)


@pytest.mark.parametrize("nonce", [b"", b"n" * 12, b"n" * 24])
def test_what_is_sealed_opens_and_a_flipped_bit_does_not(nonce):
    sealed, plain = ffi.new("unsigned char[21]"), ffi.new("unsigned char[5]", b"?????")
    key, n = b"k" * 32, len(nonce)
    assert lib.tl_seal(sealed, 21, key, nonce, n, b"ad", 2, b"plain", 5) == 0
    assert lib.tl_open(plain, 5, key, nonce, n, b"ad", 2, bytes(sealed), 21) == 0
    assert bytes(plain) == b"plain"
    forged = bytes(sealed)[:-1] + bytes([bytes(sealed)[-1] ^ 1])
    assert lib.tl_open(plain, 5, key, nonce, n, b"ad", 2, forged, 21) == -errno.EBADMSG
    assert bytes(plain) == bytes(5)
    assert lib.tl_open(plain, 5, key, nonce, n, b"da", 2, bytes(sealed), 21) == -errno.EBADMSG


def block(*strings):
    """Strings as tl_spawn takes them."""
    return b"".join(os.fsencode(s) + b"\0" for s in strings)


def spawn(*argv, env=None, stdin=-1, stdout=-1, fd3=-1):
    args, variables = block(*argv), block(*env) if env is not None else ffi.NULL
    length = len(variables) if env is not None else 0
    return checked(lib.tl_spawn(args, len(args), variables, length, stdin, stdout, fd3))


def reap(pidfd):
    """Waits for the child's end through its pidfd."""
    assert select.select([pidfd], [], [], 20)[0]
    return lib.tl_reap(pidfd)


def test_a_child_reads_writes_sees_its_environment_and_ends_with_its_status():
    r, w = os.pipe()
    r2, w2 = os.pipe()
    script = 'read line; echo "$line $NAME $(ls /proc/self/fd | wc -l)"; exit 7'
    child = spawn("sh", "-c", script, env=["NAME=value", "PATH=/usr/bin:/bin"], stdin=r, stdout=w2)
    os.write(w, b"line\n")
    for fd in (r, w, w2):
        os.close(fd)
    assert reap(child) == 7
    assert os.read(r2, 100) == b"line value 4\n"  # 0, 1, 2 and the folder itself
    os.close(r2)


def test_a_child_gets_a_descriptor_3_wherever_it_was_and_no_other():
    r, w = os.pipe()
    for number in (0, 1, 3, 50):
        script = (
            "import os, sys; sys.path.insert(0, '.');"
            "from tests.native.test_border import *;"
            f"r, w = os.pipe(); os.write(w, b'text\\n'); os.dup2({w}, 60); out = 60;"
            f"os.dup2(r, {number});"
            "child = spawn('sh', '-c', 'read t <&3; echo $t $(ls /proc/self/fd | wc -l)',"
            f" stdout=out, fd3={number}); sys.exit(reap(child))"
        )
        import subprocess

        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, pass_fds=[w])
        assert done.returncode == 0
        assert os.read(r, 100) == b"text 5\n"  # 0, 1, 2, 3 and the folder itself
    os.close(r)
    os.close(w)


def test_a_running_child_is_eagain_and_a_killed_one_tells_its_signal():
    child = spawn("sleep", "100")
    assert lib.tl_reap(child) == -errno.EAGAIN
    assert lib.tl_kill(child, signal.SIGTERM) == 0
    assert reap(child) == 256 + signal.SIGTERM
    assert lib.tl_reap(child) == -errno.EBADF


def test_a_program_that_is_not_there_is_127_and_a_bad_block_is_einval():
    assert reap(spawn("/nonexistent/program")) == 127
    assert lib.tl_spawn(b"sh", 2, ffi.NULL, 0, -1, -1, -1) == -errno.EINVAL
    assert lib.tl_spawn(b"", 0, ffi.NULL, 0, -1, -1, -1) == -errno.EINVAL


def test_a_child_does_not_inherit_ignored_or_blocked_signals():
    script = (
        "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]);"
        "sys.path.insert(0, '.');"
        "from tests.native.test_border import *;"
        "child = spawn('grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status', stdout=1);"
        "sys.exit(reap(child))"
    )
    import subprocess

    out = subprocess.run([sys.executable, "-c", script], capture_output=True, cwd=ROOT, text=True)
    assert out.returncode == 0, out.stderr
    assert [line.split()[1] for line in out.stdout.splitlines()] == ["0" * 16] * 2


def status_of_confined(uid, gid, *sets):
    """/proc/self/status, as a dict, of a child that confined itself to each set after the other."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        result = [lib.tl_confine(uid, gid, caps) for caps in sets][-1]
        with open("/proc/self/status", encoding="ascii") as status:
            os.write(w, f"Result:\t{result}\n{status.read()}".encode())
        os._exit(0)
    os.close(w)
    with os.fdopen(r) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_confined_process_keeps_one_capability_and_can_gain_none():
    status = status_of_confined(65534, 65534, 1 << 12)
    assert status["Result"] == "0"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 1 << 12
    assert int(status["CapBnd"], 16) == int(status["CapInh"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Uid"].split() == status["Gid"].split() == ["65534"] * 4
    assert status["Groups"].strip() == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_confining_without_a_user_keeps_the_user():
    status = status_of_confined(-1, -1, 0)
    assert status["Result"] == "0" and status["Uid"].split() == ["0"] * 4
    assert int(status["CapEff"], 16) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_capability_that_a_container_did_not_give_is_not_asked_for():
    status = status_of_confined(-1, -1, 1 << 12, 1 << 12 | 1 << 10)
    assert status["Result"] == "0"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 1 << 12


def test_a_confined_process_leaves_no_core_and_nobody_may_look_into_it():
    """PR_GET_DUMPABLE of a child that confined itself."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        lib.tl_confine(-1, -1, 0)
        os.write(w, bytes([ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)]))
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(r, 1) == b"\0"
    os.close(r)
    os.close(w)


def test_names_are_distinct_and_a_short_buffer_is_enospc():
    for kind in range(lib.TL_SEEN_DROP_NAMES, lib.TL_SEEN_REASON_NAMES + 1):
        found = names(kind)
        assert len(found) == len(set(found)) > 0
        assert lib.tl_seen(-1, kind, ffi.new("unsigned char[4]"), 4) == -errno.ENOSPC
    assert lib.tl_seen(-1, lib.TL_SEEN_FDB + 1, ffi.NULL, 0) == -errno.EINVAL


def test_what_is_a_planes_needs_one_and_room_for_all_of_it():
    none = ffi.new("unsigned char[4]")
    with Plane() as plane:
        for kind in range(lib.TL_SEEN_DROPS, lib.TL_SEEN_FEATURES + 1):
            assert lib.tl_seen(plane.number, kind, none, 4) == -errno.ENOSPC
            assert lib.tl_seen(99, kind, none, 4) == -errno.EBADF
        assert lib.tl_seen(plane.number, -1, none, 4) == -errno.EINVAL


def test_features_name_one_engine_and_one_aead():
    out = ffi.new("unsigned char[800]")
    features, reasons = names(lib.TL_SEEN_FEATURE_NAMES), names(lib.TL_SEEN_REASON_NAMES)
    with Plane(fake=False, engine=b"basic", aead=b"portable") as plane:
        n = plane.call("seen", lib.TL_SEEN_FEATURES, out, 800)
    rows = [struct.unpack_from("<HHi", bytes(out), i * 8) for i in range(n)]
    assert [row[0] for row in rows] == list(range(len(features)))
    assert {features[f] for f, on, _ in rows if on} == {"basic", "portable"}
    assert all(reasons[why] == "chosen" for _, on, why in rows if on)
    assert checked(lib.tl_seen(-1, lib.TL_SEEN_FEATURES, out, 800)) == n


@pytest.mark.parametrize(
    ("changes", "err"),
    [
        ({"engine": b"none"}, errno.ENOTSUP),
        ({"aead": b"none"}, errno.ENOTSUP),
        ({"workers": 9}, errno.EINVAL),
        ({"workers": 0}, errno.EINVAL),
        ({"layer": 4}, errno.EINVAL),
        ({"mtu": 67}, errno.EINVAL),
        ({"replay_bits": 1000}, errno.EINVAL),
        ({"ring": 0}, errno.EINVAL),
        ({"ring": 100}, errno.EINVAL),
        ({"staged_per_peer": 0}, errno.EINVAL),
        ({"staged_per_peer": 129}, errno.EINVAL),
        ({"batch": 257}, errno.EINVAL),
    ],
)
def test_options_that_cannot_be_are_refused(changes, err):
    record = options(**changes)
    assert lib.tl_plane_new(record, len(record)) == -err
    assert lib.tl_plane_new(record, len(record) - 1) == -errno.EINVAL


def test_an_aead_is_timed():
    out = ffi.new("unsigned char[8]")
    assert lib.tl_measure(b"portable", 8, 1420, 100, out) == 0
    assert 10_000 < struct.unpack("<Q", bytes(out))[0] < 10**9
    assert lib.tl_measure(b"nothing", 7, 1420, 100, out) == -errno.ENOTSUP


def test_a_device_name_without_an_end_is_refused():
    assert lib.tl_device_open(ffi.from_buffer(bytearray(b"x" * 16)), 3, 0, 0) == -errno.EINVAL
    assert lib.tl_device_open(ffi.from_buffer(bytearray(16)), 4, 0, 0) == -errno.EINVAL
    assert lib.tl_device_open(ffi.from_buffer(bytearray(16)), 3, 0, -1) == -errno.EINVAL


def test_an_mtu_has_68_to_65535_bytes():
    with Plane() as plane:
        for mtu, code in ((67, -errno.EINVAL), (68, 0), (65535, 0), (65536, -errno.EINVAL)):
            assert lib.tl_plane_link(plane.number, 0, mtu) == code
