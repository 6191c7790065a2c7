# SPDX-License-Identifier: MIT
"""What is compared: tunlite and other user-space tunnels, each between two namespaces.

A contender is started for every round, on namespaces that a place has just laid (bench/places.py);
start() returns a Link.
"""

import os
import subprocess

from lab.netns import wait_for
from lab.peers import Tunlite, WireguardGo, interface_name
from lab.topology import endpoint
from lab.traffic import ping
from machine import debs

_NEWEST = "sid"  # the suite that has today's wireguard-go; bookworm's of 2022 is far slower


class Link:
    """A tunnel that carries packets: its namespaces, inside addresses and daemon processes."""

    def __init__(self, source, target, address, daemons):
        self.source = source  # namespace of the client end
        self.target = target
        self.address = address  # the target's inside IPv4 address
        self.daemons = daemons  # {"sender": its process ids, "receiver": ...}

    def wait_up(self):
        """Waits until the target answers."""
        wait_for(
            lambda: ping(self.source, self.address, count=1, wait=1).received,
            20,
            f"an answer from {self.address}",
        )


class Wireguard:
    """A WireGuard daemon on both ends, as the net tests start it."""

    def __init__(self, name, make_end, **peer):
        self.name = name
        self._make_end = make_end
        self._peer = peer

    def start(self, laid):
        """Two ends, each other's peer; the left one begins."""
        left, right = self._make_end(laid.left, 1), self._make_end(laid.right, 2)
        left.add_peer(right, endpoint(laid.address), **self._peer)
        right.add_peer(left, **self._peer)
        right.start()
        left.start()
        daemons = {"sender": left.pids(), "receiver": right.pids()}
        return Link(laid.left, laid.right, right.v4, daemons)


def tunlite(name="tunlite", command=None, **interface):
    """tunlite by CPython, or by `command`; further words are keys of [Interface]."""

    def make(namespace, number):
        end = Tunlite(namespace, number, **interface)
        if command:
            end.command = list(command)
        return end

    # On layer 2 addresses are learned.
    peer = {"AllowedIPs": []} if interface.get("Layer") == 2 else {}
    return Wireguard(name, make, **peer)


def newest_wireguard_go():
    """The program of Debian's newest package, unpacked below the cache; DebsError."""
    arch = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True)
    (deb,) = debs.Apt(_NEWEST, arch.stdout.strip()).fetch(["wireguard-go"])
    return str(debs.unpacked([deb], debs.CACHE / "bench" / deb.stem) / "usr/bin/wireguard-go")


def wireguard_go(program):
    """wireguard-go, the yardstick."""
    return Wireguard("wireguard-go", lambda ns, number: WireguardGo(ns, number, program=program))


class BareWire:
    """No tunnel: what the veth pair itself does."""

    name = "bare veth"

    def start(self, laid):
        """Nothing to start."""
        return Link(laid.left, laid.right, laid.address, {})


class _Daemon:
    """fastd and tinc: two configured processes and `ip` commands for their links."""

    mtu = 1420

    def start(self, laid):
        """Two ends; the left one begins."""
        ends = [End(laid.left, 1), End(laid.right, 2)]
        for end in ends:
            end.folder.mkdir(mode=0o700)
            self.make_key(end)
        daemons = {}
        for side, end, other in (
            ("receiver", ends[1], ends[0]),
            ("sender", ends[0], ends[1]),
        ):
            argv = self.configure(end, other, laid.address if side == "sender" else None)
            process = end.namespace.start(argv, end.name)
            end.wait_link(process)
            daemons[side] = [process.pid]
            end.namespace.ip("addr", "add", end.v4 + "/24", "dev", end.name)
            end.namespace.ip("link", "set", end.name, "mtu", self.mtu, "up")
        return Link(laid.left, laid.right, ends[1].v4, daemons)


class End:
    """One end of fastd or tinc."""

    def __init__(self, namespace, number):
        self.namespace = namespace
        self.number = number
        self.name = interface_name()
        self.v4 = f"10.77.0.{number}"
        self.folder = namespace.folder / self.name
        self.key = None

    def wait_link(self, process):
        """Waits until the daemon has made its interface."""

        def made():
            if not process.is_running():
                raise AssertionError(f"{process.argv} ended early:\n{process.log()}")
            return self.name in self.namespace.ip("-br", "link")

        wait_for(made, 15, f"{self.name} is there")


class Fastd(_Daemon):
    """Debian's fastd with one method; `mode` is tun, or tap for Ethernet."""

    def __init__(self, method, mode="tun"):
        self.method = method
        self.mode = mode
        self.name = f"fastd {method}"

    def make_key(self, end):
        """(secret, public) in hexadecimal."""
        secret = end.namespace.run(["fastd", "--generate-key", "--machine-readable"]).stdout.strip()
        conf = end.folder / "key.conf"
        conf.write_text(f'secret "{secret}";\n', encoding="ascii")
        show = ["fastd", "--machine-readable", "--config", conf, "--show-key"]
        end.key = (secret, end.namespace.run(show).stdout.strip())

    def configure(self, end, other, remote):
        """Writes fastd.conf; the argv."""
        reach = f"remote {remote}:51820;" if remote else ""
        text = f"""
            mode {self.mode}; interface "{end.name}"; bind 0.0.0.0:51820; mtu {self.mtu};
            method "{self.method}"; secret "{end.key[0]}"; log level warn;
            peer "other" {{ key "{other.key[1]}"; {reach} }}
        """
        conf = end.folder / "fastd.conf"
        conf.write_text(text, encoding="ascii")
        return ["fastd", "--config", conf]


class Tinc(_Daemon):
    """Debian's tinc 1.0 with its default cipher and digest; `mode` switch is Ethernet."""

    name = "tinc"

    def __init__(self, mode="router"):
        self.mode = mode

    def make_key(self, end):
        """An RSA key pair in the place where tincd looks."""
        (end.folder / "hosts").mkdir()
        (end.folder / "tinc.conf").write_text(f"Name = n{end.number}\n", encoding="ascii")
        end.namespace.run(["tincd", "-c", end.folder, "-K", "2048"], input="\n\n", timeout=120)
        end.key = (end.folder / "hosts" / f"n{end.number}").read_text(encoding="ascii")

    def configure(self, end, other, remote):
        """Writes tinc.conf and both host files; the argv."""
        connect = f"ConnectTo = n{other.number}\n" if remote else ""
        text = f"Name = n{end.number}\nInterface = {end.name}\nMode = {self.mode}\n"
        (end.folder / "tinc.conf").write_text(text + connect, encoding="ascii")
        for one in (end, other):
            address = f"Address = {remote}\n" if remote and one is other else ""
            host = f"{address}Port = 51820\nSubnet = {one.v4}/32\n{one.key}"
            (end.folder / "hosts" / f"n{one.number}").write_text(host, encoding="ascii")
        return ["tincd", "-c", end.folder, "-D", f"--pidfile={end.folder / 'pid'}"]


def static_command():
    """The static executable's argv, where it has been built, else None."""
    path = os.path.join("dist", "tunlite-x86_64")
    return [os.path.abspath(path)] if os.access(path, os.X_OK) else None
