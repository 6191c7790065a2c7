# SPDX-License-Identifier: MIT
"""Where demo and net tests run: with CAP_NET_ADMIN, and with a /run of their own.

Root gets a mount namespace, so that nothing of a run is seen outside or outlives it; anybody else
gets a user namespace too.

    python -m machine.rootless COMMAND ...     inside: prepares /run, becomes COMMAND
"""

import ctypes
import os
import subprocess
import sys

_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21
_CLONE_NEWNS = 0x00020000
_MARK = "TUNLITE_PRIVATE_RUN"
# `ip netns`, UAPI sockets, what `tunlite up` notes down
_FOLDERS = ["/run/netns", "/run/wireguard", "/run/tunlite"]


def has_capabilities():
    """Whether this process may make namespaces and devices."""
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("CapEff:"))
    caps = int(line.split()[1], 16)
    return bool(caps >> _CAP_NET_ADMIN & 1 and caps >> _CAP_SYS_ADMIN & 1)


def wrap(argv):
    """argv such that it runs inside; SystemExit says what to change where that cannot be."""
    inside = ["--", sys.executable, "-m", "machine.rootless", *argv]
    if has_capabilities():
        return ["unshare", "--mount", *inside]
    unshare = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
    attempt = subprocess.run([*unshare, "true"], capture_output=True, text=True)
    if attempt.returncode:
        raise SystemExit(
            f"This needs root or a user who may create user namespaces: {attempt.stderr.strip()}\n"
            "Run it as root, or allow them with one of:\n"
            "  sudo sysctl kernel.unprivileged_userns_clone=1\n"
            "  sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise SystemExit(
            "This user may not open /dev/net/tun. Be root, or open it as udev usually does:\n"
            "  sudo chmod 0666 /dev/net/tun"
        )
    return [*unshare, *inside]


def _mount_tmpfs(folder):
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)


def _prepare():
    """In a mount namespace of our own: empty folders below /run."""
    if not os.access("/run", os.W_OK):
        _mount_tmpfs("/run")
    for folder in _FOLDERS:
        _mount_tmpfs(folder)
    os.environ[_MARK] = "1"


def enter():
    """The same for the process that calls, which has the capabilities: pytest run by hand."""
    if os.environ.get(_MARK):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        raise OSError(
            ctypes.get_errno(), "unshare: net tests need root; ./dev test manages without"
        )
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    _prepare()


def main():
    """Prepares and becomes the command."""
    _prepare()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
