# SPDX-License-Identifier: MIT
"""The daemons on the host that a guest talks to through its virtual network card.

    network namespace of one boot                       QEMU (runs inside the namespace)
    wireguard-go :51821, tunlite :51822 --- tap0 10.77.0.1 === eth0 10.77.0.2

Nothing leaves this machine: the namespace has no other link.
"""

import base64
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from machine.debs import CACHE, Apt, unpacked

UAPI = Path("/var/run/wireguard")


class HostPeerError(Exception):
    """A daemon on the host did not start; the message has its output."""


def missing() -> str:
    """Why host peers cannot run here, or an empty string when they can."""
    if os.geteuid() != 0:
        return "needs root on the host (a network namespace and a tap)"
    if not Path("/dev/net/tun").exists():
        return "the host has no /dev/net/tun"
    if not shutil.which("ip"):
        return "the host has no ip: apt-get install iproute2"
    return ""


def wireguard_go() -> Path:
    """Debian's wireguard-go, or the program that WIREGUARD_GO names."""
    given = os.environ.get("WIREGUARD_GO")
    if given:
        return Path(given)
    arch = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    (deb,) = Apt("bookworm", arch).fetch(["wireguard-go"])
    return unpacked([deb], CACHE / "sysroots" / deb.stem) / "usr/bin/wireguard-go"


class Namespace:
    """A network namespace with one tap for QEMU."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.prefix = ["ip", "netns", "exec", name]

    def ip(self, *arguments: str) -> None:
        subprocess.run(["ip", "-n", self.name, *arguments], check=True)

    def open(self) -> None:
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.ip("link", "set", "lo", "up")
        self.ip("tuntap", "add", "dev", "tap0", "mode", "tap")
        self.ip("addr", "add", "10.77.0.1/24", "dev", "tap0")
        self.ip("link", "set", "tap0", "up")

    def close(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name])


@contextmanager
def namespace() -> Iterator[Namespace]:
    space = Namespace(f"tl-qemu-{os.getpid()}")
    space.open()
    try:
        yield space
    finally:
        space.close()


def _wait_for(condition, process: subprocess.Popen, log: Path, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise HostPeerError(f"{process.args[-1]} did not come up:\n{log.read_text()}")
        time.sleep(0.05)


def _uapi_set(interface: str, lines: list[str]) -> None:
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(UAPI / f"{interface}.sock"))
        s.sendall(("set=1\n" + "\n".join(lines) + "\n\n").encode())
        answer = s.makefile().readline().strip()
    if answer != "errno=0":
        raise HostPeerError(f"{interface} refused its configuration: {answer}")


def _hex(key: str) -> str:
    return base64.b64decode(key).hex()


class HostPeers:
    """Peer NUMBER has inner addresses 10.9.NUMBER.1 and 10.9.(NUMBER+2).1, port 51820 + NUMBER.

    Each knows the guest twice: by its key 3, to be called by the guest, and by key 4, at
    10.77.0.2:51830, which a keepalive makes the host call. `keys[n]` is (private, public).
    """

    def __init__(self, space: Namespace, keys: list[tuple[str, str]]) -> None:
        self.space = space
        self.keys = keys
        self.names: dict[str, int] = {}
        self._processes: list[subprocess.Popen] = []
        self._folder = Path(tempfile.mkdtemp(prefix="tunlite-hostpeer-"))

    def start_wireguard_go(self, program: Path) -> None:
        number, interface = 1, f"tlg{os.getpid()}"
        UAPI.mkdir(mode=0o755, parents=True, exist_ok=True)
        argv = [str(program), "-f", interface]
        self._start("wireguard-go", argv, (UAPI / f"{interface}.sock").exists)
        private = self.keys[4 + number][0]
        _uapi_set(
            interface,
            [
                *(f"private_key={_hex(private)}", f"listen_port={51820 + number}"),
                *(f"public_key={_hex(self.keys[3][1])}", f"allowed_ip=10.9.{number}.2/32"),
                *(f"public_key={_hex(self.keys[4][1])}", f"allowed_ip=10.9.{number + 2}.2/32"),
                *("endpoint=10.77.0.2:51830", "persistent_keepalive_interval=1"),
            ],
        )
        self.space.ip("addr", "add", f"10.9.{number}.1/24", "dev", interface)
        self.space.ip("addr", "add", f"10.9.{number + 2}.1/24", "dev", interface)
        self.space.ip("link", "set", interface, "up")
        self.names["wireguard-go"] = number

    def start_tunlite(self, argv: list[str]) -> None:
        """`argv` starts tunlite, without a command."""
        number, interface = 2, f"tlt{os.getpid()}"
        config = self._folder / "tunlite.conf"
        config.touch(mode=0o600)
        config.write_text(
            f"[Interface]\nPrivateKey = {self.keys[4 + number][0]}\n"
            f"ListenPort = {51820 + number}\n"
            f"Address = 10.9.{number}.1/24, 10.9.{number + 2}.1/24\n"
            f"[Peer]\nPublicKey = {self.keys[3][1]}\nAllowedIPs = 10.9.{number}.2/32\n"
            f"[Peer]\nPublicKey = {self.keys[4][1]}\nAllowedIPs = 10.9.{number + 2}.2/32\n"
            f"Endpoint = 10.77.0.2:51830\nPersistentKeepalive = 1\n"
        )
        argv = [*argv, "run", "--config", str(config), "--interface", interface]
        self._start("tunlite", argv, (UAPI / f"{interface}.sock").exists)
        self.names["tunlite"] = number

    def _start(self, name: str, argv: list[str], ready) -> None:
        log = self._folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*self.space.prefix, *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self._processes.append(process)
        _wait_for(ready, process, log)

    def logs(self) -> str:
        parts = [f"--- {log.name}\n{log.read_text()}" for log in sorted(self._folder.glob("*.log"))]
        return "\n".join(parts)

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._folder)
