# SPDX-License-Identifier: MIT
"""Between the first and the last packet nothing asks for memory.

router ==w1== gateway; in the router the calls for memory are counted (allocations.c) or traced.
"""

import os
import re
import signal
import struct

import pytest

from devtools import cross
from lab.topology import BackgroundTransfer, Keys, Tunlite, Tunnel, wait_for
from machine import native_build

_STEADY = 4 << 20  # bytes until every buffer was used once
_COUNTED = 64 << 20
_TRACED = 16 << 20  # strace is slow
_MEMORY = {"mmap", "munmap", "mremap", "brk"}


def _flow(tunnel, direction, size):
    """A transfer that runs, past its start."""
    ends = [tunnel.router, tunnel.gateway]
    source, target = ends if direction == "out" else ends[::-1]
    running = BackgroundTransfer(source.namespace, target.namespace, target.v4, size)
    _wait_more(running, _STEADY)
    return running


def _wait_more(running, size):
    goal = running.received() + size
    wait_for(lambda: running.received() >= goal, 120, f"{size} more bytes")


class _Counts:
    """The file that the preloaded library counts in."""

    def __init__(self, folder):
        self._path = folder / "allocations"
        self._path.write_bytes(bytes(24))
        library = native_build.shared("test_allocations", ["tests/net/allocations.c"])
        self.env = {"LD_PRELOAD": str(library), "TUNLITE_TEST_ALLOCATIONS": str(self._path)}

    def during(self, action):
        """What action() made the core and the whole process ask for."""
        with open(self._path, "r+b") as file:
            file.write(struct.pack("<3Q", 1, 0, 0))
            file.flush()
            action()
            file.seek(0)
            found = struct.unpack("<3Q", file.read())
            file.seek(0)
            file.write(bytes(8))
        return found[1:]


@pytest.mark.parametrize("direction", ["out", "back"])
def test_the_core_asks_for_no_memory_while_packets_flow(lab, direction):
    if "TUNLITE_BIN" in os.environ:
        pytest.skip("a library cannot be loaded into the static executable")
    counts = _Counts(lab.folder)
    tunnel = Tunnel(lab)
    tunnel.gateway.start()
    tunnel.router.start(env=counts.env)
    tunnel.wait_up()
    running = _flow(tunnel, direction, _STEADY + 8 * _COUNTED)
    core, _ = counts.during(lambda: _wait_more(running, _COUNTED))
    assert running.is_running() and core == 0
    # The count works: a peer takes memory of the core's.
    add = ["set", tunnel.router.name, "peer", Keys().public]
    core, everything = counts.during(lambda: tunnel.router.wg(*add))
    assert 0 < core < everything


class _Static(Tunlite):
    def __init__(self, *arguments):
        super().__init__(*arguments, Engine="mmsg", AEAD="auto")  # it has no libcrypto
        self.command = [str(cross.build("x86_64"))]


@pytest.mark.parametrize("direction", ["out", "back"])
def test_the_executable_for_routers_maps_nothing_while_packets_flow(lab, direction):
    tunnel = Tunnel(lab, router=_Static).start()
    tunnel.wait_up()
    running = _flow(tunnel, direction, _STEADY + 32 * _TRACED)
    log = lab.folder / "trace"
    daemon = tunnel.router.pids()[-1]
    words = ["strace", "-f", "-p", daemon, "-o", log, "-e", "trace=%memory,%desc,%network"]
    tracer = tunnel.router.namespace.start(words, "strace")
    tracer.wait_line("attached")
    _wait_more(running, _TRACED)
    assert running.is_running()
    tracer.popen.send_signal(signal.SIGINT)
    tracer.popen.wait(30)
    calls = re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)", log.read_text(), re.MULTILINE)
    # A packet alone goes by write, several by writev.
    used = {"write", "writev"} if direction == "back" else {"sendmmsg"}
    assert sum(call in used for call in calls) > 20, calls[:50]
    assert not _MEMORY & set(calls)
