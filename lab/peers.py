# SPDX-License-Identifier: MIT
"""The two ends of a tunnel: a tunlite daemon or wireguard-go in a namespace, one interface each."""

import base64
import ctypes
import itertools
import json
import os
import shlex
import signal
import socket
import sys
from pathlib import Path

import nacl.bindings
import nacl.utils

from lab import proc
from lab.netns import wait_for

_ROOT = Path(__file__).resolve().parents[1]
_SOCKETS = Path("/var/run/wireguard")
_SYS_PIDFD_GETFD = 438  # the same on every architecture; Linux 5.6
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)
ENDS = ("json", "status")  # of what one interface has in /run/tunlite


def interface_name():
    """A name that no other test or namespace uses: they all share /var/run/wireguard."""
    return f"tl{os.getpid()}n{next(_numbers)}"


def preshared_key():
    """A new preshared key, base64."""
    return base64.b64encode(nacl.utils.random(32)).decode()


class Keys:
    """A key pair, base64 as configs and wg(8) have it."""

    def __init__(self):
        private = nacl.utils.random(32)
        self.private = base64.b64encode(private).decode()
        self.public = base64.b64encode(nacl.bindings.crypto_scalarmult_base(private)).decode()


def ini(sections):
    """WireGuard's INI from [(section, {key: value or list of values}), ...]."""
    lines = []
    for section, options in sections:
        lines.append(f"[{section}]")
        for key, value in options.items():
            values = value if isinstance(value, list) else [value]
            lines += [f"{key} = {v}" for v in values]
    return "\n".join(lines) + "\n"


def tunlite_command():
    """The program under test: TUNLITE_BIN (a static executable, say) or this tree's Python."""
    named = os.environ.get("TUNLITE_BIN")
    return [named] if named else [sys.executable, "-m", "tunlite"]


def tunlite_program(folder):
    """Writes folder/tunlite, a program that is this tree's; its path."""
    program = folder / "tunlite"
    words = " ".join(shlex.quote(word) for word in tunlite_command())
    program.write_text(f'#!/bin/sh\ncd {shlex.quote(os.getcwd())} && exec {words} "$@"\n')
    program.chmod(0o755)
    return program


def _sockets_of(pid):
    """Copies of a daemon's UDP sockets, as socket objects of our own."""
    inodes = [
        line.split()[9]
        for table in ("udp", "udp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]
    ]
    pidfd = os.pidfd_open(pid)
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(entry) in [f"socket:[{inode}]" for inode in inodes]:
            fd = _libc.syscall(_SYS_PIDFD_GETFD, pidfd, int(entry.name), 0)
            if fd < 0:
                raise OSError(ctypes.get_errno(), "pidfd_getfd")
            found.append(socket.socket(fileno=fd))
    os.close(pidfd)
    return found


class _Peer:
    """What both kinds have: a name, keys, addresses inside the tunnel, the peers they were told of.

    `number` is the host part of the addresses inside: 10.77.0.NUMBER and fd77::NUMBER.
    """

    def __init__(self, namespace, number, port=51820):
        self.namespace = namespace
        self.number = number
        self.port = port
        self.name = interface_name()
        self.keys = Keys()
        self.v4 = f"10.77.{number >> 8}.{number & 255}"
        self.v6 = f"fd77::{number:x}"
        self.peers = {}
        self.process = None
        namespace.on_close.append(self.forget)

    def forget(self):
        """Removes what a killed daemon leaves in the folders that all namespaces share."""
        for path in (
            f"wireguard/{self.name}.sock",
            *(f"tunlite/{self.name}.{end}" for end in ENDS),
        ):
            Path("/var/run", path).unlink(missing_ok=True)

    @property
    def addresses(self):
        """What its interface carries."""
        return [self.v4 + "/16", self.v6 + "/64"]

    def add_peer(self, other, endpoint=None, **options):
        """Records `other` as a peer; options are [Peer] keys in addition or instead."""
        section = {"PublicKey": other.keys.public, "AllowedIPs": f"{other.v4}/32, {other.v6}/128"}
        if endpoint:
            section["Endpoint"] = endpoint
        section.update(options)
        self.peers[other.keys.public] = section

    def set_text(self, interface=None):
        """The config without wg-quick's keys, as `wg setconf` takes it."""
        base = {"PrivateKey": self.keys.private, "ListenPort": self.port}
        sections = [("Interface", {**base, **(interface or {})})]
        return ini(sections + [("Peer", peer) for peer in self.peers.values()])

    def wg(self, *arguments, **kwargs):
        """wg(8) inside the namespace; its output."""
        return self.namespace.run(["wg", *arguments], **kwargs).stdout

    def wg_set_conf(self, verb="setconf"):
        """Hands the recorded peers over by `wg setconf` or another verb of it."""
        self.wg(verb, self.name, "/dev/stdin", input=self.set_text())

    def wg_dump(self):
        """`wg show NAME dump` as {public key: {...}}; stamps in unix seconds, counts in bytes."""
        rows = [row.split("\t") for row in self.wg("show", self.name, "dump").splitlines()[1:]]
        names = ("preshared_key", "endpoint", "allowed_ips", "latest_handshake", "rx_bytes")
        peers = {}
        for key, *values in rows:
            peer = dict(zip((*names, "tx_bytes", "keepalive"), values, strict=True))
            for name in ("latest_handshake", "rx_bytes", "tx_bytes"):
                peer[name] = int(peer[name])
            peers[key] = peer
        return peers

    def wait_handshake(self, other, timeout=15):
        """Waits until this side counts a handshake with `other`."""
        key = other.keys.public
        wait_for(
            lambda: self.wg_dump()[key]["latest_handshake"],
            timeout,
            f"{self.namespace.label}: handshake with {other.namespace.label}",
        )

    def stop(self):
        """SIGTERM; the exit status."""
        return self.process.stop()

    def kill9(self):
        """SIGKILL to all its processes, as a crash would."""
        for pid in reversed(self.pids()):
            os.kill(pid, signal.SIGKILL)
        return self.process.wait()

    def pids(self):
        """The process ids of the daemon: the one we started, then its descendants."""
        found = [self.process.pid]
        for pid in found:  # grows while it is walked
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in task.read_text(encoding="ascii").split()]
        return found

    def udp_sockets(self):
        """Copies of its UDP sockets, as socket objects of our own."""
        return [sock for pid in self.pids() for sock in _sockets_of(pid)]

    def cpu_seconds(self):
        """User and system time of all its processes so far."""
        return sum(proc.cpu_seconds(pid) for pid in self.pids())

    def waits(self):
        """How often all its threads gave up the CPU to wait for something."""
        threads = [path for pid in self.pids() for path in Path(f"/proc/{pid}/task").iterdir()]
        return sum(int(proc.row(path / "status", "voluntary_ctxt_switches")) for path in threads)

    def memory_kb(self, which="VmRSS"):
        """Resident memory of its largest process, in kB: now (VmRSS) or at its peak (VmHWM)."""
        return max(int(proc.row(f"/proc/{pid}/status", which)) for pid in self.pids())

    def memory_all_kb(self):
        """Resident memory of all its processes, in kB, what they share counted once."""
        return sum(int(proc.row(f"/proc/{pid}/smaps_rollup", "Pss")) for pid in self.pids())


class Tunlite(_Peer):
    """A tunlite daemon in the foreground with a config file of its own."""

    kind = "tunlite"

    def __init__(self, namespace, number, port=51820, **interface):
        super().__init__(namespace, number, port)
        self.interface = interface
        self.groups = []  # the options of each [Group]
        self.command = tunlite_command()
        self.folder = namespace.folder / self.name
        self.folder.mkdir(mode=0o700)
        self.config = self.folder / "tunlite.conf"

    def config_text(self):
        """The config: addresses, own keys of the run's engine and AEAD, what the test asked for."""
        options = {
            "PrivateKey": self.keys.private,
            "ListenPort": self.port,
            "Address": ", ".join(self.addresses),
            "Table": "off",
            "StateDir": self.folder / "state",
        }
        for key, variable in (("Engine", "TUNLITE_ENGINE"), ("AEAD", "TUNLITE_AEAD")):
            if os.environ.get(variable):
                options[key] = os.environ[variable]
        options.update(self.interface)
        sections = [("Interface", {k: v for k, v in options.items() if v is not None})]
        sections += [("Group", group) for group in self.groups]
        return ini(sections + [("Peer", peer) for peer in self.peers.values()])

    def write_config(self):
        """Writes the config file, readable by its owner alone."""
        self.config.touch(mode=0o600)
        self.config.write_text(self.config_text(), encoding="utf-8")

    def start(self, ready=True, env=None):
        """Runs the daemon and, unless told otherwise, waits until link and UAPI socket answer."""
        self.write_config()
        argv = [*self.command, "run", "--config", self.config, "--interface", self.name]
        # Looked at before the start: the executable is ready within a few milliseconds.
        self._seen = len(self.process.log()) if self.process else 0
        self.process = self.namespace.start(argv, self.name, env=env)
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=20):
        """Waits for the daemon's word that it is ready."""
        wait_for(
            lambda: f"{self.name}: ready" in self.process.log()[self._seen :] or self._ended(),
            timeout,
            f"{self.name}: ready",
        )

    def _ended(self):
        if not self.process.is_running():
            raise AssertionError(f"the daemon ended early:\n{self.process.log()}")
        return False

    def reload(self):
        """Writes the config anew and sends SIGHUP."""
        self.write_config()
        self.process.popen.send_signal(signal.SIGHUP)

    def cli(self, *arguments, **kwargs):
        """Another tunlite command inside the namespace; the CompletedProcess."""
        return self.namespace.run([*self.command, *arguments], **kwargs)

    def show_json(self):
        """What `tunlite show NAME --json` says, as a dict."""
        return json.loads(self.cli("show", self.name, "--json").stdout)

    @property
    def is_basic(self):
        """Whether its engine takes datagrams one by one; how many wait together is luck."""
        return self.show_json()["engine"] == "basic"

    def peer_json(self, other):
        """The row of `other` in show_json()."""
        rows = self.show_json()["peers"]
        return next(row for row in rows if row["public_key"] == other.keys.public)

    def drops(self):
        """Refused packets by reason, those above 0."""
        return {reason: n for reason, n in self.show_json()["drops"].items() if n}


class WireguardGo(_Peer):
    """Debian's wireguard-go, driven by wg(8) and ip(8)."""

    kind = "wireguard-go"

    def __init__(self, namespace, number, port=51820, mtu=1420, program="wireguard-go"):
        super().__init__(namespace, number, port)
        self.mtu = mtu
        self.program = program

    def start(self):
        """Runs it and gives the interface its keys, peers and addresses."""
        env = {"LOG_LEVEL": "verbose"}
        argv = [self.program, "--foreground", self.name]
        self.process = self.namespace.start(argv, self.name, env=env)
        socket = _SOCKETS / f"{self.name}.sock"
        wait_for(lambda: socket.exists() or self._ended(), 15, f"{socket} is there")
        self.wg_set_conf()
        for address in self.addresses:
            flags = ["nodad"] if ":" in address else []
            self.namespace.ip("addr", "add", address, "dev", self.name, *flags)
        self.namespace.ip("link", "set", self.name, "mtu", self.mtu, "up")
        return self

    def _ended(self):
        if not self.process.is_running():
            raise AssertionError(f"wireguard-go ended early:\n{self.process.log()}")
        return False
