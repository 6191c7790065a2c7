# SPDX-License-Identifier: MIT
"""The io_uring engine: what only it does, and what happens where the kernel refuses it.

What it has in common with the others is in test_engines.py.
"""

import errno
import os
import platform
import socket
import struct
import threading
import time
import traceback

import pytest

from lab.refuse import IO_URING_SETUP, refuse_system_call
from tests.native.plane_ffi import KEY_A, KEY_B, NEVER, endpoint, ipv4, lib, seal, unseal
from tests.native.test_engines import ALL_OFF, UDP_SEGMENT, Wired

FORBIDDEN = "the kernel forbids it: sysctl kernel.io_uring_disabled, or a seccomp filter"

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="no io_uring on this machine"
)


def in_a_child(function):
    """Runs it in a forked process; AssertionError with the traceback where it raised."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        try:
            function()
        except BaseException:
            os.write(w, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(w)
    with os.fdopen(r, "rb") as end:
        said = end.read().decode()
    os.waitpid(pid, 0)
    assert not said, said


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (errno.EPERM, FORBIDDEN),
        (errno.EACCES, FORBIDDEN),
        (errno.ENOSYS, "this kernel lacks it"),
        (errno.EINVAL, "this kernel lacks it"),  # a flag of a newer kernel
        (errno.ENOMEM, -errno.ENOMEM),
    ],
)
def test_where_the_kernel_refuses_a_ring_mmsg_carries_the_packets_and_the_reason_is_told(
    error, why
):
    def refused():
        refuse_system_call(IO_URING_SETUP, error)
        with Wired("io_uring", check=False) as wired:
            wired.inside.send(ipv4())
            wired.run()
            assert unseal(KEY_A, wired.outside.recv(4096))
            features = wired.plane.features()
            assert features["io_uring"] == (False, why)
            assert features["mmsg"] == (True, "chosen")

    in_a_child(refused)


def test_auto_says_why_io_uring_could_not_be_had_and_does_not_need_it():
    def refused():
        refuse_system_call(IO_URING_SETUP, errno.EPERM)
        with Wired("auto", check=False) as wired:
            assert wired.plane.features()["io_uring"] == (False, FORBIDDEN)
            assert wired.plane.features()["mmsg"] == (True, "chosen")

    in_a_child(refused)


def test_a_run_of_datagrams_is_received_as_one_and_cut_in_order():
    with Wired("io_uring") as wired:
        packets = [ipv4(payload=struct.pack("!I", i) + bytes(496)) for i in range(60)]
        sealed = [seal(KEY_B, wired.index, i, p) for i, p in enumerate(packets)]
        wired.outside.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(sealed[0]))
        wired.send(b"".join(sealed))
        wired.inside.setblocking(False)
        assert wired.receive(len(packets)) == packets
        counters = wired.plane.counters()
        assert counters["runs_read"] == 1 and counters["socket_read"] == 60


def test_many_more_datagrams_than_there_are_buffers_arrive_in_order():
    with Wired("io_uring") as wired:
        packets = [ipv4(payload=struct.pack("!I", i)) for i in range(2000)]
        for at in range(0, 2000, 500):
            wired.send(*[seal(KEY_B, wired.index, i, packets[i]) for i in range(at, at + 500)])
        wired.inside.setblocking(False)
        assert wired.receive(2000) == packets
        assert wired.plane.drops() == {}
        assert wired.plane.counters()["read_calls"] < 1000


def _calls_for(n, counter, turn, **changes):
    """How often the kernel was asked for n datagrams that turn(wired) brings or takes."""
    with Wired("io_uring", offloads_off=ALL_OFF, **changes) as wired:
        before = wired.plane.counters()[counter]
        turn(wired, n)
        assert wired.plane.drops() == {}
        return wired.plane.counters()[counter] - before


def _bring(wired, n):
    packets = [ipv4(payload=struct.pack("!I", i)) for i in range(n)]
    wired.send(*[seal(KEY_B, wired.index, i, p) for i, p in enumerate(packets)])
    wired.inside.setblocking(False)
    assert wired.receive(n) == packets


def _take(wired, n):
    for i in range(n):
        wired.inside.send(ipv4(payload=struct.pack("!I", i)))
    wired.run(1)
    assert [unseal(KEY_A, wired.outside.recv(4096))[1] for _ in range(n)] == list(range(n))


def test_the_slots_of_each_path_are_those_that_were_asked_for():
    assert _calls_for(100, "read_calls", _bring, ring_receives=1) >= 100
    assert _calls_for(100, "read_calls", _bring, ring_receives=64) < 50
    assert _calls_for(60, "write_calls", _take, ring_sends=1) >= 60
    assert 15 <= _calls_for(60, "write_calls", _take, ring_sends=4) < 60
    assert _calls_for(60, "write_calls", _take) < 15


@pytest.mark.parametrize("slots", [3, 128, 0x80000000])
@pytest.mark.parametrize("path", ["ring_receives", "ring_sends"])
def test_slots_that_no_ring_can_have_are_refused(path, slots):
    with pytest.raises(OSError, match="EINVAL"):
        Wired("io_uring", **{path: slots})


def test_what_the_rings_hold_does_not_wait_for_more_to_come_after_python_s_turn():
    with Wired("io_uring", batch=5) as wired:
        wired.plane.call("plane_grow", 1 << 20)  # else it asks for that in between
        wired.plane.arm(wired.peer)
        packets = [ipv4(payload=bytes([i])) for i in range(6)]
        wired.send(*[seal(KEY_B, wired.index, i, p) for i, p in enumerate(packets)])
        assert wired.plane.call("run", NEVER) & lib.TL_WOKE_PEERS
        wired.plane.events()
        assert [wired.inside.recv(4096) for _ in range(5)] == packets[:5]
        assert wired.run_until(lambda: wired.inside.recv(4096) == packets[5])


def test_a_datagram_without_bytes_ends_nothing():
    with Wired("io_uring") as wired:
        wired.send(b"", seal(KEY_B, wired.index, 0, ipv4()), b"")
        wired.send(seal(KEY_B, wired.index, 1, ipv4()))
        wired.inside.setblocking(False)
        assert len(wired.receive(2)) == 2
        assert wired.plane.drops() == {"too_short": 2}


def test_what_the_kernel_refuses_holds_nothing_up_and_swaps_nothing():
    with Wired("io_uring", offloads_off=0xFFFFFFFF) as wired:
        other = wired.plane.call("peer_new")
        wired.plane.call("peer_endpoint", other, endpoint("127.0.0.1", 0))
        wired.plane.routes([("0.0.0.0/0", wired.peer), ("10.9.0.0/16", other)])
        wired.plane.session(wired.plane.index(other), born_ms=wired.now_ms())
        for i in range(8):
            wired.inside.send(ipv4(dst="10.9.0.1" if i % 2 else "10.1.0.1", payload=bytes([i])))
        wired.run()
        opened = [unseal(KEY_A, wired.outside.recv(4096)) for _ in range(4)]
        assert [o[1] for o in opened] == [0, 1, 2, 3]
        assert wired.plane.drops() == {"send_error": 4}


def test_closing_the_sockets_frees_the_port_at_once_with_datagrams_still_waiting():
    with Wired("io_uring") as wired:
        for _ in range(20):
            wired.send(seal(KEY_B, wired.index, 0, ipv4()))
            wired.run(0.001)
            wired.send(*[bytes(100)] * 50)
            wired.plane.call("plane_listen", -1, bytes(4))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.bind(("0.0.0.0", wired.port))
            wired.plane.call("plane_listen", wired.port, bytes(4))
        wired.send(seal(KEY_B, wired.index, 100, ipv4()))
        wired.inside.setblocking(False)
        assert wired.receive(2) == [ipv4()] * 2


def ring_threads():
    """Threads of this process that the kernel made for a ring."""
    found = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/comm", encoding="utf-8") as name:
            found += [text for text in name if text.startswith("iou-")]
    return found


def test_planes_come_and_go_under_a_flood_and_leave_no_thread_and_no_descriptor():
    stop = threading.Event()
    where = [("127.0.0.1", 9)]

    def flood():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not stop.is_set():
                out.sendto(bytes(1000), where[0])

    thread = threading.Thread(target=flood)
    before = len(os.listdir("/proc/self/fd"))
    thread.start()
    try:
        for _ in range(30):
            with Wired("io_uring") as wired:
                where[0] = ("127.0.0.1", wired.port)
                end = time.monotonic() + 20
                while not wired.plane.counters()["socket_read"] and time.monotonic() < end:
                    wired.run(0.005)
                assert wired.plane.counters()["socket_read"] > 0
                assert ring_threads() == []
    finally:
        stop.set()
        thread.join()
    assert len(os.listdir("/proc/self/fd")) == before
