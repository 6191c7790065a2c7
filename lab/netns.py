# SPDX-License-Identifier: MIT
"""Network namespaces for one test: made with unique names, ended with everything that runs in them.

Needs CAP_NET_ADMIN and a /run/netns of its own (machine/rootless.py).
"""

import ctypes
import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from unittest import mock

_PREFIX = "tl-"
_RUN = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_numbers = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


class WaitError(AssertionError):
    """A condition did not come true in time."""


def wait_for(predicate, timeout, what):
    """Calls predicate() until it returns something true, which is returned. WaitError names `what`.

    Looks every 10 ms at first, later every 100 ms; `timeout` is in seconds.
    """
    deadline = time.monotonic() + timeout
    pause = 0.01
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise WaitError(f"not within {timeout} s: {what} (last seen: {value!r})")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def seconds_to_end(start, wanted=0):
    """Seconds from SIGTERM to the end, with the wanted exit status; the best of three: one could be
    this machine's other work. start(number) returns a Process that is ready. It is not watched by
    the tool of coverage, whose own end takes longer than ours."""
    taken = []
    for number in range(3):
        with mock.patch.dict(os.environ, COVERAGE_PROCESS_CONFIG=""):
            process = start(number)
        begun = time.monotonic()
        status = process.stop()
        taken.append(time.monotonic() - begun)
        assert status == wanted, process.log()
    return min(taken)


def _ip(*arguments):
    command = ["ip", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


def _end_processes(name):
    """Kills what runs inside until nothing does: a shell may begin the next program meanwhile."""

    def ended():
        pids = [int(pid) for pid in _ip("netns", "pids", name).split()]
        for pid in pids:
            if pid != os.getpid():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        return not pids

    wait_for(ended, 20, f"{name} is empty")


class Process:
    """A background program in a namespace; what it prints goes to a log file."""

    def __init__(self, namespace, argv, log, env=None, stdin=None):
        self.argv = [str(word) for word in argv]
        self.log_path = Path(log)
        with open(self.log_path, "ab") as out:
            # dies with us even when we are killed; not in our session: Ctrl-C is for us alone
            self.popen = subprocess.Popen(
                namespace.command(["setpriv", "--pdeathsig", "KILL", *self.argv]),
                start_new_session=True,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
            )

    @property
    def pid(self):
        """Its process id: nsenter becomes the program."""
        return self.popen.pid

    def is_running(self):
        """Whether it has not ended yet."""
        return self.popen.poll() is None

    def log(self):
        """All it has printed so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_line(self, text, timeout=15):
        """Waits until it has printed `text`; says what it printed when it ends without."""

        def seen():
            if text in self.log():
                return True
            if not self.is_running():
                raise WaitError(f"{self.argv} ended without {text!r}:\n{self.log()}")
            return False

        wait_for(seen, timeout, f"{text!r} from {self.argv}, which printed:\n{self.log()}")

    def wait(self, timeout=10):
        """Waits for its end; the exit status, negative for a signal."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise WaitError(f"{self.argv} did not end within {timeout} s:\n{self.log()}") from None

    def stop(self, signum=signal.SIGTERM, timeout=5):
        """Signals it and waits for its end; the exit status."""
        if self.is_running():
            self.popen.send_signal(signum)
        return self.wait(timeout)


class Namespace:
    """One network namespace with its loopback up and duplicate address detection off."""

    def __init__(self, label, folder):
        self.label = label
        self.folder = Path(folder)
        self.name = f"{_PREFIX}{os.getpid()}-{next(_numbers)}-{label}"
        self.processes = []
        self.on_close = []  # functions called when everything inside has ended
        _ip("netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        for scope in ("all", "default"):
            self.sysctl(f"net/ipv6/conf/{scope}/accept_dad", 0)

    def command(self, argv):
        """argv as it runs inside."""
        return ["nsenter", f"--net={_RUN / self.name}", "--", *map(str, argv)]

    def run(self, argv, check=True, timeout=30, **kwargs):
        """Runs a program to its end; the CompletedProcess with text output. A failure shows it."""
        result = subprocess.run(
            self.command(argv), capture_output=True, text=True, timeout=timeout, **kwargs
        )
        if check and result.returncode:
            raise RuntimeError(
                f"{self.label}: {' '.join(map(str, argv))}: exit status {result.returncode}\n"
                f"{result.stdout}{result.stderr}"
            )
        return result

    def start(self, argv, name, **kwargs):
        """Starts a background program, logged to LABEL-NAME.log; it ends with the namespace."""
        log = self.folder / f"{self.label}-{name}.log"
        process = Process(self, argv, log, **kwargs)
        self.processes.append(process)
        return process

    def ip(self, *arguments):
        """`ip` of iproute2 inside; its output."""
        return _ip("-n", self.name, *arguments)

    def sysctl(self, path, value):
        """Sets /proc/sys/PATH inside."""
        self.run(["sh", "-c", 'echo "$1" > "/proc/sys/$2"', "sh", str(value), path])

    def nft(self, rules):
        """Loads nftables rules (text as `nft -f` takes it) inside."""
        self.run(["nft", "-f", "-"], input=rules)

    def inside(self, function, *arguments):
        """Calls a Python function on a thread that is inside; sockets it makes stay there."""
        outcome = {}

        def body():
            try:
                with open(_RUN / self.name, "rb") as handle:
                    if _libc.setns(handle.fileno(), _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                outcome["value"] = function(*arguments)
            except BaseException as e:  # handed to the caller below
                outcome["error"] = e

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]

    def udp_socket(self, address="0.0.0.0", port=0):
        """A bound UDP socket inside, for the test's own process."""

        def make():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.bind((address, port))
            return sock

        return self.inside(make)

    def link(self, interface):
        """`ip -s -j link` of an interface as a dict: "mtu", "flags", "stats64" and more."""
        return json.loads(self.ip("-s", "-d", "-j", "link", "show", "dev", interface))[0]

    def sent_packets(self, interface):
        """How many packets have left through an interface."""
        return self.link(interface)["stats64"]["tx"]["packets"]

    def close(self):
        """Ends every process inside, kindly and then not, and the namespace with its interfaces."""
        running = [process for process in self.processes if process.is_running()]
        for process in running:
            process.popen.terminate()
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline and any(p.is_running() for p in running):
            time.sleep(0.01)
        _end_processes(self.name)
        for process in self.processes:
            process.popen.wait()
        _ip("netns", "del", self.name)
        for function in self.on_close:
            function()


class Lab:
    """Namespaces, wires and folders of one test. close() removes all of them, whatever happened."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._namespaces = []
        self._closers = []

    def namespace(self, label):
        """A new namespace; `label` names it in logs."""
        made = Namespace(label, self.folder)
        self._namespaces.append(made)
        return made

    def wire(self, left, right, number=1, mtu=1500):
        """Joins two namespaces by a veth pair on 10.99.NUMBER.0/24 and fd99:NUMBER::/64.

        Left gets .1, right .2; the ends are called wNUMBER. Returns (left, right) as Wire ends.
        """
        name = f"w{number}"
        _ip(
            *("link", "add", name, "mtu", mtu, "netns", left.name, "type", "veth"),
            *("peer", "name", name, "mtu", mtu, "netns", right.name),
        )
        ends = []
        for host, namespace in enumerate((left, right), start=1):
            end = WireEnd(namespace, name, f"10.99.{number}.{host}", f"fd99:{number}::{host}")
            namespace.ip("addr", "add", end.v4 + "/24", "dev", name)
            namespace.ip("addr", "add", end.v6 + "/64", "dev", name, "nodad")
            namespace.ip("link", "set", name, "up")
            ends.append(end)
        return tuple(ends)

    def on_close(self, function):
        """Calls function() before the namespaces go; the last one given is called first."""
        self._closers.append(function)

    def logs(self):
        """Everything the background programs printed, for a failed test's report."""
        parts = []
        for path in sorted(self.folder.glob("*.log")):
            text = path.read_text(encoding="utf-8", errors="replace")
            parts.append(f"---- {path.name}\n{text[-20000:]}")
        return "\n".join(parts)

    def close(self):
        """Removes everything, in reverse order; the first error is raised at the end."""
        first = None
        undo = [*(n.close for n in self._namespaces), *self._closers]
        self._namespaces, self._closers = [], []
        for function in reversed(undo):
            try:
                function()
            except Exception as e:  # the rest must go too
                first = first or e
        if first is not None:
            raise first


class WireEnd:
    """One end of a veth pair: its namespace, interface name and addresses."""

    def __init__(self, namespace, name, v4, v6):
        self.namespace = namespace
        self.name = name
        self.v4 = v4
        self.v6 = v6
