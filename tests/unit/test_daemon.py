# SPDX-License-Identifier: MIT
"""daemon.py: what wakes the loop, what ends it, and what it survives."""

import json

import pytest

from lab.fakes.net import Node, World
from tunlite.config.settings import Settings
from tunlite.plane import plane as planes, tuning
from tunlite.uapi import server, status

PEER = bytes(range(1, 33))


class Links:
    def __init__(self):
        self.found = (7, 1420, False)
        self.elsewhere = None
        self.ethernet = b"\2\0\0\0\0\7"

    def address_of(self, index):
        return self.ethernet

    def link_get(self, name, netns=-1):
        return self.elsewhere if netns >= 0 else self.found


class System:
    """Link monitor, signals and files of a machine, put into a node's port."""

    POLLIN, POLLOUT, DEVICE = 1, 4, -1

    def __init__(self, node):
        self.node = node
        self.links = Links()
        self.changes = []
        self.signals = b""
        self.closed = []
        self.gone = False
        self.device_takes = False
        for name in ("POLLIN", "POLLOUT", "links", "link_monitor", "link_changes", "os_read"):
            setattr(node.port, name, getattr(self, name))
        for name in ("close", "unlink", "stat", "watch_path", "poll"):
            setattr(node.port, name, getattr(self, name))
        node.native.tl_watch = lambda plane, fd, events: 0
        node.native.tl_ready = self.ready
        self.pending = []

    def link_monitor(self):
        return 50

    def link_changes(self, fd):
        changes, self.changes = self.changes, []
        if changes == "lost":
            raise OSError(105, "lost")
        return changes

    def os_read(self, fd, size):
        data, self.signals = self.signals, b""
        return data

    def watch_path(self, path):
        return 60

    def stat(self, path):
        if self.gone:
            raise OSError(2, path)
        return 0, 0, 0, 0

    def unlink(self, path):
        self.gone = True

    def close(self, fd):
        self.closed.append(fd)

    def poll(self, rows, timeout_ms):
        assert (rows, timeout_ms) == ([(self.DEVICE, self.POLLOUT)], 0)
        return rows if self.device_takes else []

    def ready(self, plane, out, size):
        import struct

        rows, self.pending = self.pending, []
        for i, fd in enumerate(rows):
            struct.pack_into("<iI", out, 8 * i, fd, 1)
        return len(rows)

    def wake(self, fd):
        """Descriptor fd is readable: one turn."""
        self.pending.append(fd)
        run = self.node.native.tl_run

        def woken(plane, deadline):
            self.node.native.tl_run = run
            return run(plane, deadline) | planes.WOKE_CONTROL

        self.node.native.tl_run = woken
        self.node.turn()


@pytest.fixture
def node():
    made = Node(World(), b"\x0a\0\0\x01")
    made.interface.set_private_key(made.port.random_bytes(32))
    made.system = System(made)
    return made


def test_the_link_that_comes_up_opens_the_sockets_and_down_closes_them(node):
    node.daemon.watch_link()
    assert not node.interface.listening
    node.system.changes = [(7, "fake", True, 1380, False)]
    node.system.wake(50)
    assert node.interface.listening
    assert node.daemon.mtu == 1380
    node.system.changes = [(7, "fake", False, 1380, False)]
    node.system.wake(50)
    assert not node.interface.listening
    assert node.native.port is None


def test_on_layer_2_the_device_s_own_address_is_followed_and_told_once():
    node = Node(World(), b"\x0a\0\0\x01", layer=2)
    node.system = System(node)
    node.daemon.watch_link()
    assert node.native.macs == [(b"\2\0\0\0\0\7", planes.OURS)]
    told = []
    publish, node.native.tl_macs = node.native.tl_macs, lambda *row: told.append(1) or publish(*row)
    for mtu, address in (
        (1500, b"\2\0\0\0\0\7"),
        (1400, b"\2\0\0\0\0\7"),
        (1400, b"\2\0\0\0\0\x08"),
    ):
        node.system.links.ethernet = address
        node.system.changes = [(7, "fake", True, mtu, False)]
        node.system.wake(50)
    node.system.links.ethernet = None  # nobody tells it
    node.system.changes = [(7, "fake", True, 1400, False)]
    node.system.wake(50)
    assert node.native.macs == [(b"\2\0\0\0\0\x08", planes.OURS)] and told == [1]


def test_changes_of_other_links_are_ignored(node):
    node.daemon.watch_link()
    node.system.changes = [(8, "other", True, 900, False), (8, "other", True, 900, True)]
    node.system.wake(50)
    assert not node.interface.listening
    assert node.daemon.stopped is None


def test_lost_changes_make_it_look_anew(node):
    node.daemon.watch_link()
    node.system.links.found = (7, 1300, True)
    node.system.changes = "lost"
    node.system.wake(50)
    assert node.interface.listening
    assert node.daemon.mtu == 1300


def test_a_port_in_use_is_said_and_the_daemon_lives(node):
    node.native.tl_plane_listen = lambda *args: -98
    node.system.links.found = (7, 1420, True)
    node.daemon.watch_link()
    assert not node.interface.listening
    assert "cannot be opened: Address already in use" in node.log.texts("error")[0]


@pytest.mark.parametrize("how", ["deleted", "missing", "device"])
def test_a_link_that_is_deleted_ends_the_daemon(node, how):
    if how == "device":
        node.native.device_gone = True
    else:
        node.daemon.watch_link()
        node.native.where = -19
        node.system.changes = "lost" if how == "missing" else [(7, "fake", True, 1420, True)]
        node.system.wake(50)
    assert "deleted" in node.daemon.run()
    assert node.interface.me is None


def _is_moved(node, number=9):
    """The link goes down and away, as netlink tells at home."""
    node.native.where = number
    node.system.links.found = None
    node.system.links.elsewhere = (3, 1420, False)
    node.system.changes = [(7, "fake", False, 1420, False), (7, "fake", False, 1420, True)]
    node.system.wake(50)


def test_a_link_that_is_moved_to_another_namespace_is_followed_there_and_back(node):
    system = node.system
    system.links.found = (7, 1420, True)
    node.daemon.watch_link()
    _is_moved(node)
    assert node.daemon.stopped is None and not node.interface.listening
    assert node.native.link == 0
    assert system.closed == [9]
    # It comes up there: the device says so.
    system.links.elsewhere, system.device_takes = (3, 1380, True), True
    system.wake(system.DEVICE)
    assert node.interface.listening and node.daemon.mtu == 1380
    # What changes there later is seen within a second.
    system.links.elsewhere = (3, 1360, True)
    node.world.run(1.1)
    assert node.daemon.mtu == 1360
    system.links.elsewhere, system.device_takes = (3, 1360, False), False
    node.world.run(1.1)
    assert not node.interface.listening
    # And back, with another number.
    node.native.where, system.links.found = 0, (12, 1420, False)
    system.changes = [(12, "fake", False, 1420, False)]
    system.wake(50)
    assert node.native.link == 12
    system.changes = [(12, "fake", True, 1420, False)]
    system.wake(50)
    assert node.interface.listening and node.daemon.mtu == 1420
    wakes = node.native.wakes
    node.world.run(60)
    assert node.native.wakes == wakes, "it looks no more"


def test_a_link_that_is_down_elsewhere_wakes_nobody(node):
    node.daemon.watch_link()
    _is_moved(node)
    wakes = node.native.wakes
    node.world.run(60)
    assert node.native.wakes == wakes
    node.native.where = -19
    node.system.wake(node.system.DEVICE)
    assert node.daemon.stopped == "the link was deleted"


def test_a_kernel_that_cannot_tell_where_a_link_went_tells_whether_it_is_up(node):
    node.daemon.watch_link()
    _is_moved(node, 0)
    assert node.daemon.stopped is None and node.native.link == 0
    node.system.device_takes = True
    node.system.wake(node.system.DEVICE)
    assert node.interface.listening and node.daemon.mtu == 1420


def _serve(node):
    made = server.Server(node.daemon, node.port, node.interface, None, node.log)
    made.listen(40)
    node.daemon.serve(made, "/run/fake.sock")


def test_a_socket_file_that_is_removed_ends_the_daemon(node):
    _serve(node)
    node.system.wake(60)
    assert node.daemon.stopped is None
    node.system.gone = True
    node.system.wake(60)
    assert node.daemon.run() == "the control socket was removed"


def test_sigterm_ends_it_keys_are_wiped_and_all_is_closed(node):
    private = node.interface.me.private
    _serve(node)
    node.daemon.watch_link()
    node.daemon.watch_signals(70)
    node.system.signals = b"\x0f"
    node.system.wake(70)
    assert node.daemon.run() == "signal 15"
    assert private == bytearray(32)
    assert sorted(node.system.closed) == [40, 50, 60, 70]
    assert node.system.gone


def test_the_socket_file_goes_while_nobody_else_can_have_put_one_of_his_own_there(node):
    """Who finds nobody listening replaces the file; ours would then be the next daemon's."""
    _serve(node)
    closed_before = []
    node.port.unlink = lambda path: closed_before.append(list(node.system.closed))
    node.daemon.close()
    assert closed_before == [[]] and 40 in node.system.closed


def test_sighup_reloads_and_does_not_end_it(node):
    calls = []
    node.daemon.reload = lambda: calls.append(1)
    node.daemon.watch_signals(70)
    node.system.signals = b"\x01\x01"
    node.system.wake(70)
    assert calls == [1, 1]
    assert node.daemon.stopped is None


@pytest.mark.parametrize(
    ("error", "kind"), [(MemoryError(), "memory"), (ValueError("a bug"), "error")]
)
def test_an_event_that_fails_is_dropped_logged_and_counted(node, error, kind):
    def fail(*_):
        raise error

    node.daemon.watch(33, 1, fail)
    node.system.wake(33)
    assert node.daemon.stopped is None
    assert node.daemon.dropped[kind] == 1
    assert len(node.log.texts("error")) == 1
    node.daemon.unwatch(33)
    node.system.wake(33)
    assert node.daemon.dropped[kind] == 1


def test_a_timer_that_fails_does_not_hold_up_the_others(node):
    calls = []
    now = node.daemon.now()

    def fail(now_ms):
        raise MemoryError

    node.daemon.at(now, fail)
    node.daemon.at(now, calls.append)
    node.turn()
    node.turn()
    assert calls == [now]
    assert node.daemon.dropped["memory"] == 1


def test_a_peer_whose_look_failed_is_looked_at_again(node):
    node.interface.link_up()
    peer = node.interface.add_peer(PEER)
    state = node.native.tl_peer_state
    node.native.tl_peer_state = lambda *args: -5
    node.interface.exchange.look_soon(peer, node.daemon.now())
    node.turn()
    assert node.daemon.dropped["error"] == 1
    node.native.tl_peer_state = state
    assert node.daemon.timers.next() == node.daemon.now() + 10_000


def test_a_broken_packet_path_ends_it(node):
    node.native.tl_run = lambda *args: -5
    assert node.daemon.run() == "the packet path failed: Input/output error"


def test_a_packet_path_that_breaks_amid_a_change_ends_it_behind_the_change(node):
    now_ms, turns = node.port.now_ms, []

    def later():
        node.world.clock.now_ms += planes.LONG_MS
        return now_ms()

    node.port.now_ms = later
    node.native.tl_run = lambda plane, deadline: turns.append(deadline) or -5
    before = node.interface.me.public
    node.interface.add_peer(PEER)
    node.interface.set_private_key(node.port.random_bytes(32))
    assert turns and not any(turns)
    assert node.interface.me.public != before
    assert node.daemon.run() == "the packet path failed: Input/output error"


def test_buffers_grow_when_short_and_are_given_back_a_minute_later(node):
    calls = []
    node.native.tl_plane_grow = lambda plane, size: calls.append(size) or 1024
    run = node.native.tl_run
    node.native.tl_run = lambda *args: run(*args) | planes.WOKE_POOL
    node.turn()
    node.turn()
    node.native.tl_run = run
    assert calls == [1 << 20]
    node.world.run(2)
    assert calls == [1 << 20] * 2
    node.world.run(120)
    assert calls[2:] == [0]


def test_the_status_is_json_and_names_everything(node):
    node.interface.link_up()
    peer = node.interface.add_peer(PEER)
    node.interface.set_psk(peer, PEER)
    node.interface.set_endpoint(peer, 6, bytes(15) + b"\x01", 7)
    peer.description = 'a "name"'
    found = json.loads(b"".join(status.pieces(node.daemon)))
    wanted = (
        "interface public_key listen_port fwmark mtu layer engine aead offloads drops counters"
        " workers workers_why returns memory_kb uptime_s peers"
    )
    assert set(wanted.split()) <= set(found)
    assert found["aead"] == "portable"
    assert found["offloads"] == [
        {"kind": "offload", "name": "udp_gso", "on": False, "why": "not in this build"}
    ]
    shown = found["peers"][0]
    assert shown["preshared"] is True
    assert shown["endpoint"] == "[::1]:7"
    assert shown["description"] == 'a "name"'
    assert shown["handshakes"] == {"initiated": 0, "responded": 0, "completed": 0, "failed": 0}


@pytest.mark.parametrize(("total_kb", "small"), [(60_000, True), (8_000_000, False), (None, True)])
def test_a_machine_with_little_memory_gets_a_small_window_and_pool(total_kb, small):
    port = Node(World(), b"\x0a\0\0\x01").port
    if total_kb:
        port.files["/proc/meminfo"] = b"MemTotal: %d kB\nMemFree: 1 kB\n" % total_kb
    assert tuning.is_small(port) is small
    tuned = tuning.Tuning(port, Settings({}), small)
    record = tuned.record
    replay_bits = int.from_bytes(record[60:64], "little")
    assert replay_bits == (2048 if small else 8192)
    assert len(record) == 152
    frames = tuple(int.from_bytes(record[i : i + 4], "little") for i in (92, 96, 100))
    assert frames == ((1024, 256, 16) if small else (8192, 1024, 256))
    assert tuned.device_queue == (128 if small else 0)


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize(
    ("settings", "workers"), [({}, 1), ({"Workers": 0}, 1), ({"Workers": 4}, 4)]
)
def test_each_worker_adds_a_pool_unless_the_memory_is_given(settings, workers, small):
    port = Node(World(), b"\x0a\0\0\x01").port
    for memory in (0, 1 << 20):
        given = Settings({**settings, "Memory": memory})
        record = tuning.Tuning(port, given, small).record
        pool, count = (int.from_bytes(record[i : i + 4], "little") for i in (52, 76))
        assert pool == (memory or workers * (768 << 10 if small else 4 << 20))
        assert count == workers


def test_settings_reach_the_options_record():
    port = Node(World(), b"\x0a\0\0\x01").port
    settings = {"Engine": "basic", "AEAD": "portable", "Memory": 1 << 20, "Batch": 7, "MTU": 1300}
    settings["RingSlots"] = (8, 32)
    settings["ForwardPeers"] = True
    record = tuning.Tuning(port, Settings(settings), False).record
    assert record[:6] == b"basic\0"
    assert record[16:25] == b"portable\0"
    numbers = [int.from_bytes(record[i : i + 4], "little") for i in range(40, 92, 4)]
    assert numbers[1:5] == [3, 1300, 1 << 20, 7]
    assert numbers[10:] == [8, 32, 1]
