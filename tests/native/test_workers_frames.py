# SPDX-License-Identifier: MIT
"""Layer 2 with several workers, on real sockets: frames for many, and from peer to peer."""

import contextlib
import platform
import socket
import struct
import time

import pytest

from tests.native.frames import ANY, STANDBY, frame, mac, message, opened, parts, whole
from tests.native.plane_ffi import KEY_A, KEY_B, lib
from tests.native.test_engines import PATIENCE_S, SO_RCVBUFFORCE, SO_SNDBUFFORCE, OnSockets

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="one worker only on this machine"
)


class Switch(OnSockets):
    """A peer for each worker, with a host behind it whose address is mac(peer)."""

    def __init__(self, workers=3, mode=0, **changes):
        super().__init__("mmsg", layer=2, mtu=1532, workers=workers, **changes)
        assert self.plane.features()["workers"] == (True, "chosen")
        self.inside.setblocking(False)
        self.inside.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20)
        self.outside.setblocking(False)
        self.mode = mode
        self.counters = [0] * workers
        self.peers = [self.plane.peer(where=self.where) for _ in range(workers)]
        born = self.now_ms()
        self.index = [
            self.plane.session(
                self.plane.index(p), struct.pack("<I", p), born_ms=born, pad=1, mode=mode
            )
            for p in self.peers
        ]
        for p in self.peers:
            self.comes(p, whole(frame(src=mac(p))))
        self.arrived(workers)
        self.left(workers * (workers - 1) if changes.get("forward") else 0)

    def comes(self, peer, plain):
        self.send(message(self.mode, KEY_B, self.index[peer], self.counters[peer], plain))
        self.counters[peer] += 1

    def gather(self, take, n):
        found, end = [], time.monotonic() + PATIENCE_S
        quiet = 0
        while len(found) < n or quiet < 5:
            assert time.monotonic() < end, found
            self.plane.turn()
            quiet += 1
            if len(found) >= n:
                time.sleep(0.002)  # that no more comes is worth a look
            with contextlib.suppress(BlockingIOError):
                while True:
                    found.append(take())
                    quiet = 0
        assert len(found) == n
        return found

    def settle(self):
        """Until no more copies are made: other threads' lanes may be full."""
        before = None
        while (copies := self.plane.counters()["flood_copies"]) != before:
            before = copies
            time.sleep(0.001)
            self.plane.turn(2)

    def arrived(self, n):
        return self.gather(lambda: self.inside.recv(4096), n)

    def left(self, n):
        """{peer: [plaintext]} of n datagrams, each peer's in the order of its counters."""
        found = {}
        for datagram in self.gather(lambda: self.outside.recv(4096), n):
            _, remote, counter, plain = opened(KEY_A, datagram)
            rows = found.setdefault(struct.unpack("<I", remote)[0], [])
            assert not rows or rows[-1][0] < counter
            rows.append((counter, plain))
        return {peer: [plain for _, plain in rows] for peer, rows in found.items()}


@pytest.mark.parametrize("turns", [0, 1])
def test_a_flood_goes_on_though_nothing_else_comes(turns):
    """In one stay in C, and from one to the next."""
    with OnSockets("mmsg", layer=2, mtu=1532) as one:
        one.outside.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20)
        born = one.now_ms()
        for _ in range(200):
            peer = one.plane.peer(where=one.where)
            one.plane.session(one.plane.index(peer), born_ms=born, pad=1)
        one.inside.send(frame())
        one.plane.turn(turns)
        one.plane.call("run", struct.pack("<Q", one.now_ms() + 300))
        assert one.plane.counters()["flood_copies"] == 200


@pytest.mark.parametrize("mode", [0, 1])
def test_frames_for_all_reach_each_workers_peers_in_order(mode):
    with Switch(mode=mode) as switch:
        frames = [frame(payload=struct.pack("<I", n)) for n in range(10)]
        for one in frames:
            switch.inside.send(one)
            switch.plane.turn()
        assert switch.left(30) == {p: [whole(one) for one in frames] for p in switch.peers}
        assert switch.plane.drops() == {}


def test_a_known_address_is_found_whichever_worker_learned_it():
    with Switch() as switch:
        for p in switch.peers:
            switch.inside.send(frame(dst=mac(p)))
        assert switch.left(3) == {p: [whole(frame(dst=mac(p)))] for p in switch.peers}


def test_parts_are_cut_and_joined_by_their_peers_worker():
    with Switch() as switch:
        inner = frame(dst=mac(2), payload=bytes(1500))
        switch.inside.send(inner)
        assert switch.left(2) == {2: parts(inner, 2)}
        for plain in parts(frame(src=mac(2), payload=bytes(1500)), 2):
            switch.comes(2, plain)
        assert switch.arrived(1) == [frame(src=mac(2), payload=bytes(1500))]


def test_peers_of_different_workers_reach_each_other_in_order():
    with Switch(forward=1) as switch:
        for one in switch.peers:
            for other in switch.peers:
                if one == other:
                    continue
                frames = [
                    frame(dst=mac(other), src=mac(one), payload=struct.pack("<I", n))
                    for n in range(20)
                ]
                for inner in frames:
                    switch.comes(one, whole(inner))
                assert switch.left(20) == {other: [whole(inner) for inner in frames]}
        assert switch.arrived(0) == [] and switch.plane.drops() == {}


def test_a_frame_for_all_of_another_workers_peer_goes_to_all_but_it():
    with Switch(forward=1) as switch:
        for one in switch.peers:
            inner = frame(dst=ANY, src=mac(one))
            switch.comes(one, whole(inner))
            expected = {p: [whole(inner)] for p in switch.peers if p != one}
            assert switch.left(2) == expected
            assert switch.arrived(1) == [inner]


@pytest.mark.parametrize("to", [mac(0), ANY])
def test_what_another_workers_peer_sends_on_waits_for_nothing_else_to_come(to):
    """In one stay in C: it is worker 0 that sends it, in a turn that only this began."""
    with Switch(workers=2, forward=1) as switch:
        switch.outside.settimeout(PATIENCE_S / 3)
        switch.comes(1, whole(frame(dst=to, src=mac(1))))
        assert switch.run_until(lambda: switch.outside.recv(4096))


def test_peers_come_go_and_change_their_use_under_traffic():
    with Switch(forward=1) as switch:
        for round_ in range(30):
            for p in switch.peers[:2]:
                switch.comes(p, whole(frame(src=mac(p))))
                switch.inside.send(frame(payload=bytes([round_])))
            extra = [switch.plane.peer(where=switch.where) for _ in range(5)]
            switch.plane.call("peer_use", switch.peers[2], round_ % 3)
            switch.plane.turn(2)
            for peer in extra:
                switch.plane.call("peer_free", peer)
            switch.settle()
        switch.plane.call("peer_use", switch.peers[2], STANDBY)
        switch.plane.turn(5)
        drops = switch.plane.drops()
        assert set(drops) <= {"peer_gone", "stage_flushed"}
        assert switch.plane.call("peer_arm", switch.peers[0], lib.TL_PEER_ACTIVE) == 0
